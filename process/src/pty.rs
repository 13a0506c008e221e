//! Pseudo-terminals.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, unlockpt};
use rustix::termios::{Winsize, tcgetwinsize, tcsetwinsize};
use smolkit_runtime::Async;

use crate::{Child, Command};

/// A pseudo-terminal: a child's input, output and terminal on one side, reading and writing on ours.
///
/// What the child writes is read here, and what is written here is the child's keyboard: Ctrl-C (`\x03`) interrupts it, Ctrl-D (`\x04`) at
/// the start of a line ends its input, and unless the child turns that off, the terminal repeats what is typed (echo) and turns `\n` into `\r\n` on
/// the way to us. `&Pty` reads and writes, too, so that two tasks may share it.
///
/// # Limits
///
/// As long as the child reads line by line, a line that is written has 4,095 bytes at most, the rest of it is lost (`termios(3)`, canonical mode).
///
/// # Cancel safety
///
/// A read or write that is dropped has done nothing, unless it had returned.
///
/// # Errors
///
/// When the last process that has the terminal open has ended, reads return what it wrote and then 0, the end: also on Linux, where the system says EIO. What is
/// written then is lost; some systems say so, with `BrokenPipe`, and Linux does not.
///
/// # Platform
///
/// When the `Pty` is dropped, the processes on it get SIGHUP.
///
/// # Examples
///
/// ```
/// use futures_lite::AsyncReadExt;
/// use smolkit_process::{Command, Pty, WindowSize};
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let mut pty = Pty::open(WindowSize { rows: 24, columns: 80 })?;
///     let mut child = pty.spawn(Command::new("stty").arg("size"))?;
///     let mut said = String::new();
///     pty.read_to_string(&mut said).await?;
///     assert_eq!(said, "24 80\r\n");
///     assert!(child.status().await?.success());
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Pty {
    ours: Async<OwnedFd>,
    /// The child's side, until there is a child: without anybody on it, the terminal would be at its end.
    theirs: Option<OwnedFd>,
}

/// The size of a terminal's window, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

impl Pty {
    /// Opens a new one.
    ///
    /// # Errors
    ///
    /// When the system has no pseudo-terminal left, no `/dev/pts`, or no descriptor.
    pub fn open(size: WindowSize) -> io::Result<Pty> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | CLOEXEC)?;
        #[cfg(not(any(target_os = "linux", target_os = "freebsd", target_os = "netbsd")))]
        rustix::io::fcntl_setfd(&ours, rustix::io::FdFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let theirs = open_theirs(&ours)?;
        let pty = Pty { ours: Async::new(ours)?, theirs: Some(theirs) };
        // On the child's side, which the BSDs ask for.
        resize(pty.theirs.as_ref().expect("it is there"), size)?;
        Ok(pty)
    }

    /// Starts a process on it: the terminal is its standard input, output and error, and it leads a new session, whose terminal this is.
    ///
    /// What the command says about standard descriptors and [`new_group`](Command::new_group) is replaced: a session's leader leads a group,
    /// too, so [`signal_group`](Child::signal_group) reaches it and what it starts. The command itself stays as it was.
    ///
    /// # Errors
    ///
    /// As [`Command::spawn`].
    pub fn spawn(&mut self, command: &mut Command) -> io::Result<Child> {
        let theirs = match self.theirs.take() {
            Some(theirs) => theirs,
            None => open_theirs(&self.ours)?,
        };
        let child = command.start_on(&theirs);
        if child.is_err() {
            // Nobody is on it, as before.
            self.theirs = Some(theirs);
        }
        child
    }

    /// The size of the window.
    ///
    /// # Errors
    ///
    /// Those of `tcgetwinsize(3)`; none is expected.
    pub fn window_size(&self) -> io::Result<WindowSize> {
        let size = tcgetwinsize(&self.ours)?;
        Ok(WindowSize { rows: size.ws_row, columns: size.ws_col })
    }

    /// Sets the size of the window. If it is another one, the system sends SIGWINCH to the processes in the foreground.
    ///
    /// # Errors
    ///
    /// Those of `tcsetwinsize(3)`; none is expected.
    pub fn set_window_size(&self, size: WindowSize) -> io::Result<()> {
        resize(&self.ours, size)
    }
}

#[cfg(any(target_os = "linux", target_os = "freebsd", target_os = "netbsd"))]
const CLOEXEC: OpenptFlags = OpenptFlags::CLOEXEC;
#[cfg(not(any(target_os = "linux", target_os = "freebsd", target_os = "netbsd")))]
const CLOEXEC: OpenptFlags = OpenptFlags::empty();

/// Through our side on Linux: there may be no `/dev/pts` of this name in a container.
#[cfg(target_os = "linux")]
fn open_theirs(ours: impl AsFd) -> io::Result<OwnedFd> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    Ok(rustix::pty::ioctl_tiocgptpeer(ours, flags)?)
}

#[cfg(not(target_os = "linux"))]
fn open_theirs(ours: impl AsFd) -> io::Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    let name = rustix::pty::ptsname(ours, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(name, flags, Mode::empty())?)
}

fn resize(terminal: impl AsFd, size: WindowSize) -> io::Result<()> {
    let WindowSize { rows, columns } = size;
    Ok(tcsetwinsize(
        terminal,
        Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 },
    )?)
}

/// The end is an error to Linux: nobody has the terminal open.
fn end_is_zero(read: rustix::io::Result<usize>) -> io::Result<usize> {
    match read {
        Err(Errno::IO) => Ok(0),
        read => Ok(read?),
    }
}

fn end_is_broken_pipe(written: rustix::io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(Errno::IO) => Err(io::Error::new(
            io::ErrorKind::BrokenPipe,
            "cannot write to the pseudo-terminal: no process has it open any more",
        )),
        written => Ok(written?),
    }
}

impl AsyncRead for &Pty {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        // A read that returns fewer bytes than wanted does not mean that there are no more, as it does for pipes.
        self.ours.poll_read_with(cx, |ours| end_is_zero(rustix::io::read(ours, &mut *buf)))
    }
}

impl AsyncRead for Pty {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_read(cx, buf)
    }
}

impl AsyncWrite for &Pty {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.ours.poll_write_with(cx, |ours| end_is_broken_pipe(rustix::io::write(ours, buf)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // There is no buffer on our side.
        Poll::Ready(Ok(()))
    }

    /// Does nothing: a terminal has no end of writing. Write Ctrl-D (`\x04`) to end the child's input, or drop the `Pty` to hang up.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pty {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_close(cx)
    }
}

impl AsFd for Pty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ours.as_fd()
    }
}

impl AsRawFd for Pty {
    fn as_raw_fd(&self) -> RawFd {
        self.ours.as_raw_fd()
    }
}

/// Three copies of the child's side.
pub(crate) fn stdio(theirs: &OwnedFd) -> io::Result<[Stdio; 3]> {
    let copy = || io::Result::Ok(Stdio::from(theirs.try_clone()?));
    Ok([copy()?, copy()?, copy()?])
}
