//! From a process to the one that takes over: the sockets in one message, and one byte back.
//!
//! The message is the names, joined by colons and ended by a newline; the descriptors come with its first byte.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream as StdUnixStream;

use rustix::net::send;

use super::kind;
use super::sockets::{Entry, Sockets};
use crate::stream::NO_SIGNAL;
use crate::sys;
use crate::unix::{FDS_MAX, Received, UnixStream, check_fds, recv_fds, send_fds};

/// The variable ([`Successor::variable`]) by which a successor finds the descriptor that its predecessor has left to it.
pub const HANDOVER_VARIABLE: &str = "SMOLKIT_HANDOVER";

const READY: &[u8] = b"\n";

/// [`FDS_MAX`] names of 255 bytes, each with what follows it.
const MESSAGE_MAX: usize = FDS_MAX * 256;

/// A process that takes over, as its predecessor sees it.
///
/// Dropping it withdraws nothing: the sockets are on their way.
///
/// # Examples
///
/// ```
/// use futures_lite::future;
/// use smolkit_net::TcpListener;
/// use smolkit_net::handover::Sockets;
/// # use smolkit_net::unix::UnixStream;
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let mut sockets = Sockets::new();
///     sockets.add("http", &listener)?;
/// #   let (stream, other) = UnixStream::pair()?;
/// #   let _other = smolkit::spawn(async { Sockets::receive(other).await?.ready() });
///     let successor = sockets.send(stream).await?;
///     let accepting = async {
///         loop {
///             let (stream, _) = listener.accept().await?;
///             drop(stream);
///         }
///     };
///     // Accepts until the successor does.
///     future::or(accepting, successor.ready()).await
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Successor {
    stream: UnixStream,
}

impl Successor {
    /// The variable that the successor has to find in its environment, if the descriptor has this number there.
    pub fn variable(&self, number: RawFd) -> (&'static str, String) {
        (HANDOVER_VARIABLE, format!("{number}:{}", std::process::id()))
    }

    /// Waits until the successor says that it serves; all who wait are told, however often. Until then this process should go on accepting, and afterwards only serve what it has accepted.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing: it can be asked again.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the successor has ended, or has dropped what it got, before it was ready: this process goes on then. The others of reading.
    pub async fn ready(&self) -> io::Result<()> {
        // The byte stays there for whoever asks next.
        match self.stream.peek(&mut [0]).await {
            Ok(1..) => return Ok(()),
            // What was sent to it is still unread.
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => return Err(error),
            Ok(0) | Err(_) => {}
        }
        let message = "the successor has gone before it was ready";
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, message))
    }
}

impl Sockets {
    /// Leaves the sockets to a process that is about to be started: gives it a descriptor, and a variable that says where that is.
    ///
    /// The successor is to get the descriptor under a number of the caller's choice ([`Command::fd`] of `smolkit-process`), and the
    /// [variable](Successor::variable) with that number; its [`Sockets::inherited`] finds the sockets. The command must be dropped before
    /// [`ready`](Successor::ready) is waited for, because it holds the descriptor too: else nobody hears of a successor that has failed.
    /// It may be a standard stream: the successor has `/dev/null` there afterwards.
    ///
    /// [`Command::fd`]: https://docs.rs/smolkit-process/latest/smolkit_process/struct.Command.html#method.fd
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there are none, or more than 253; EMFILE and the others of `socketpair(2)`; ETOOMANYREFS if too many descriptors are under way.
    ///
    /// # Examples
    ///
    /// `examples/handover.rs` is a whole server. In short:
    ///
    /// ```
    /// use std::io::ErrorKind;
    /// use std::process::Command;
    /// use smolkit_net::TcpListener;
    /// use smolkit_net::handover::Sockets;
    /// # use smolkit_runtime as smolkit;
    ///
    /// smolkit::block_on(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let mut sockets = Sockets::new();
    ///     sockets.add("http", &listener)?;
    ///     let (successor, fd) = sockets.successor()?;
    ///     // std's command can pass it on as standard input only.
    ///     let (name, value) = successor.variable(0);
    ///     let mut child = Command::new("true").stdin(fd).env(name, value).spawn()?;
    ///     match successor.ready().await {
    ///         Ok(()) => println!("stop accepting, drain, end"),
    ///         // `true` is no server.
    ///         Err(error) => assert_eq!(error.kind(), ErrorKind::UnexpectedEof),
    ///     }
    ///     child.wait().map(drop)
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn successor(&self) -> io::Result<(Successor, OwnedFd)> {
        let (ours, theirs) = StdUnixStream::pair()?;
        let message = self.message()?;
        ours.set_nonblocking(true)?;
        // Into an empty buffer: what does not fit into it never will.
        let sent = send_fds(&ours, &[IoSlice::new(&message)], &self.fds())?;
        if sent < message.len() {
            let message =
                "cannot hand the sockets over: the system's buffer is too small for their names";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Ok((Successor { stream: UnixStream::try_from(ours)? }, theirs.into()))
    }

    /// Leaves the sockets to the process at the other end of `stream`, which [receives](Sockets::receive) them, and returns what tells when that is ready.
    ///
    /// Whoever may connect there gets the sockets: look at [`UnixStream::peer_cred`] first.
    ///
    /// # Cancel safety
    ///
    /// The other side may have got some bytes and the sockets: close the stream.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there are none, or more than 253; `BrokenPipe` or `ConnectionReset` if the other side has gone; ETOOMANYREFS if too many descriptors are under way.
    ///
    /// # Examples
    ///
    /// See [`receive`](Sockets::receive).
    pub async fn send(&self, stream: UnixStream) -> io::Result<Successor> {
        let message = self.message()?;
        let mut sent = stream.send_with_fds(&[IoSlice::new(&message)], &self.fds()).await?;
        while sent < message.len() {
            sent += stream.send_with_fds(&[IoSlice::new(&message[sent..])], &[]).await?;
        }
        Ok(Successor { stream })
    }

    /// Takes the sockets from the process at the other end of `stream`, which [sends](Sockets::send) them.
    ///
    /// # Cancel safety
    ///
    /// What was received is lost: close the stream, and ask again.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` or `ConnectionReset` if the other side has ended; `InvalidData` if it has sent something else; EMFILE if this process must not open that many.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::try_zip;
    /// use smolkit_net::TcpListener;
    /// use smolkit_net::handover::Sockets;
    /// use smolkit_net::unix::UnixStream;
    /// # use smolkit_runtime as smolkit;
    ///
    /// smolkit::block_on(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let mut sockets = Sockets::new();
    ///     sockets.add("http", &listener)?;
    ///     // Mostly these are two processes.
    ///     let (old, new) = UnixStream::pair()?;
    ///     let (successor, mut received) = try_zip(sockets.send(old), Sockets::receive(new)).await?;
    ///     let taken_over = received.tcp_listener("http")?.expect("it was sent");
    ///     received.ready()?;
    ///     successor.ready().await?;
    ///     assert_eq!(taken_over.local_addr()?, listener.local_addr()?);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn receive(stream: UnixStream) -> io::Result<Sockets> {
        let mut inbox = Inbox::default();
        while !inbox.is_whole() {
            let mut buf = [0; 4096];
            let received = stream.recv_with_fds(&mut [IoSliceMut::new(&mut buf)]).await?;
            inbox.take(received, &buf)?;
        }
        inbox.into_sockets(stream.try_into()?)
    }

    fn message(&self) -> io::Result<Vec<u8>> {
        if self.is_empty() {
            let message = "cannot hand over a set without sockets";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let mut message = self.names().collect::<Vec<_>>().join(":").into_bytes();
        message.push(b'\n');
        check_fds(&self.fds(), message.len())?;
        Ok(message)
    }

    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        self.entries.iter().map(|entry| entry.fd.as_fd()).collect()
    }
}

pub(super) fn say_ready(stream: &StdUnixStream) -> io::Result<()> {
    send(stream, READY, NO_SIGNAL)?;
    Ok(())
}

/// `value` is what [`Successor::variable`] has made. `None` if it was not meant for this process, but for our parent, say.
pub(super) fn from_predecessor(value: &str) -> io::Result<Option<Sockets>> {
    let parts = value
        .split_once(':')
        .and_then(|(number, pid)| Some((number.parse::<RawFd>().ok()?, pid.parse::<i32>().ok()?)));
    let Some((number, pid)) = parts else {
        let message = format!("{HANDOVER_VARIABLE} is {value:?}, which no predecessor has said");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    };
    let is_meant = sys::with_fd(number, |fd| {
        kind::of(fd).ok().flatten() == Some(kind::UNIX_STREAM)
            // The kernel tells who has made the pair. Where it does not, the stream has to be enough.
            && sys::peer_credentials(fd).is_ok_and(|(.., peer)| peer.is_none_or(|peer| peer == pid))
    });
    if !is_meant {
        if pid as u32 != std::os::unix::process::parent_id() {
            return Ok(None);
        }
        let message = format!(
            "{HANDOVER_VARIABLE} is {value:?}, but descriptor {number} is not what `Sockets::successor` has made"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let stream = StdUnixStream::from(sys::inherited(number)?);
    // It was sent before this process was started.
    stream.set_nonblocking(true)?;
    let mut inbox = Inbox::default();
    while !inbox.is_whole() {
        let mut buf = [0; 4096];
        let received = recv_fds(&stream, &mut [IoSliceMut::new(&mut buf)])?;
        inbox.take(received, &buf)?;
    }
    inbox.into_sockets(stream).map(Some)
}

#[derive(Default)]
struct Inbox {
    names: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl Inbox {
    fn is_whole(&self) -> bool {
        self.names.ends_with(b"\n")
    }

    fn take(&mut self, received: Received, buf: &[u8]) -> io::Result<()> {
        if received.lost_fds {
            return Err(rustix::io::Errno::MFILE.into());
        }
        if received.count == 0 {
            let message = "the predecessor has gone before it had sent its sockets";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        self.names.extend_from_slice(&buf[..received.count]);
        self.fds.extend(received.fds);
        if self.names.len() > MESSAGE_MAX || self.fds.len() > FDS_MAX {
            return Err(not_ours());
        }
        Ok(())
    }

    fn into_sockets(self, stream: StdUnixStream) -> io::Result<Sockets> {
        let names = String::from_utf8(self.names).map_err(|_| not_ours())?;
        let names: Vec<_> = names.trim_end_matches('\n').split(':').collect();
        if names.len() != self.fds.len() {
            return Err(not_ours());
        }
        let named = names.into_iter().map(str::to_owned).zip(self.fds);
        let entries = named.map(|(name, fd)| Entry { name, fd }).collect();
        Ok(Sockets { entries, predecessor: Some(stream) })
    }
}

fn not_ours() -> io::Error {
    let message = "cannot take sockets over: what came is no message of `Sockets::send`";
    io::Error::new(io::ErrorKind::InvalidData, message)
}
