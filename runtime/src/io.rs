//! `Async<T>`: any pollable file descriptor, made async.

mod ready;
mod safe;
mod socket;
mod traits;

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

pub use self::ready::{Readable, ReadableOwned, Writable, WritableOwned};
pub use self::safe::IoSafe;

use self::ready::Waiting;
use crate::context::{self, Budget};
use crate::reactor::source::{Source, Way};

/// An async adapter for a type that is a file descriptor: a socket, a pipe, a timerfd...
///
/// The descriptor is put into non-blocking mode and registered, once, with the reactor of the thread that
/// made the `Async` or first waited for it; readiness for both directions is remembered, so that an operation costs no more system calls
/// than it has to.
///
/// It works on every executor. Regular files are refused by epoll: use a thread for those
/// ([`unblock`](crate::unblock)).
///
/// # Cancel safety
///
/// All waits are cancel safe: nothing is read or written unless the call returns.
///
/// # Caveats
///
/// Do not do blocking I/O on [`get_ref`](Async::get_ref), and do not set the descriptor back to blocking mode.
///
/// # Examples
///
/// ```
/// use std::net::{TcpListener, TcpStream};
/// use smolkit_runtime::{Async, block_on};
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
///
/// block_on(async {
///     let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0))?;
///     let mut client = Async::<TcpStream>::connect(listener.get_ref().local_addr()?).await?;
///     let (mut server, _) = listener.accept().await?;
///     client.write_all(b"ping").await?;
///     let mut buffer = [0; 4];
///     server.read_exact(&mut buffer).await?;
///     assert_eq!(&buffer, b"ping");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub struct Async<T> {
    source: Arc<Source>,
    /// `None` only while `into_inner` takes it out.
    io: Option<T>,
}

impl<T> Unpin for Async<T> {}

impl<T: AsFd> Async<T> {
    /// Makes `io` async: sets it to non-blocking mode and registers it.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` (EPERM) for what cannot be polled, such as regular files and directories; `AlreadyExists` for a descriptor that is
    /// registered with the same reactor already; and when the system is short of descriptors or memory.
    pub fn new(io: T) -> io::Result<Async<T>> {
        set_nonblocking(io.as_fd())?;
        Async::new_nonblocking(io)
    }

    /// The same for what is in non-blocking mode already.
    ///
    /// # Errors
    ///
    /// As [`new`](Async::new).
    pub fn new_nonblocking(io: T) -> io::Result<Async<T>> {
        let this = Async::new_unregistered(io);
        this.source.register()?;
        Ok(this)
    }

    /// The same for what is in non-blocking mode and known to be pollable: registered when it is first
    /// waited for, with the reactor of the thread that does so.
    ///
    /// A new connection so ends up with the worker that serves it, not with the one that accepted it.
    pub fn new_unregistered(io: T) -> Async<T> {
        Async { source: Source::new(io.as_fd().as_raw_fd()), io: Some(io) }
    }
}

impl<T> Async<T> {
    /// The inner value.
    pub fn get_ref(&self) -> &T {
        self.io.as_ref().expect("only into_inner empties it, and consumes it")
    }

    /// The inner value.
    ///
    /// # Safety
    ///
    /// The file descriptor must not be closed or exchanged through it.
    pub unsafe fn get_mut(&mut self) -> &mut T {
        self.io.as_mut().expect("only into_inner empties it, and consumes it")
    }

    /// Gives the inner value back. It stays in non-blocking mode.
    ///
    /// # Errors
    ///
    /// None today; smol's signature.
    pub fn into_inner(mut self) -> io::Result<T> {
        self.source.deregister();
        Ok(self.io.take().expect("only into_inner empties it, and consumes it"))
    }

    /// Waits until the descriptor is readable, as the kernel sees it now.
    ///
    /// For those who do their own system calls on [`get_ref`](Async::get_ref). It costs a system call to ask; [`read_with`](Async::read_with)
    /// does not.
    ///
    /// # Errors
    ///
    /// Those of a registration, where it has not happened yet: see [`new`](Async::new).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::unix::net::UnixDatagram;
    /// use smolkit_runtime::{Async, block_on};
    ///
    /// let (one, other) = Async::<UnixDatagram>::pair()?;
    /// block_on(async {
    ///     other.send(b"ping").await?;
    ///     one.readable().await?;
    ///     assert_eq!(one.get_ref().recv(&mut [0; 8])?, 4);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn readable(&self) -> Readable<'_, T> {
        Readable::new(self)
    }

    /// [`readable`](Async::readable) as a future that borrows nothing: it keeps the `Async` alive.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::unix::net::UnixDatagram;
    /// use std::sync::Arc;
    /// use smolkit_runtime::{Async, block_on, spawn};
    ///
    /// let (one, other) = Async::<UnixDatagram>::pair()?;
    /// let waiting = spawn(Arc::new(one).readable_owned());
    /// block_on(async {
    ///     other.send(b"ping").await?;
    ///     waiting.await
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn readable_owned(self: Arc<Self>) -> ReadableOwned<T> {
        ReadableOwned::new(self)
    }

    /// Waits until the descriptor is writable, as the kernel sees it now. As [`readable`](Async::readable) otherwise.
    pub fn writable(&self) -> Writable<'_, T> {
        Writable::new(self)
    }

    /// [`writable`](Async::writable) as a future that borrows nothing: it keeps the `Async` alive.
    pub fn writable_owned(self: Arc<Self>) -> WritableOwned<T> {
        WritableOwned::new(self)
    }

    /// [`readable`](Async::readable) as a poll function: ready when an event has come since it last returned `Pending`.
    ///
    /// # Errors
    ///
    /// As [`readable`](Async::readable).
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.source.poll_level(cx, Way::Read)
    }

    /// [`writable`](Async::writable) as a poll function: ready when an event has come since it last returned `Pending`.
    ///
    /// # Errors
    ///
    /// As [`writable`](Async::writable).
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.source.poll_level(cx, Way::Write)
    }

    /// Calls `op` until it does not return `WouldBlock`, waiting for readability in between.
    ///
    /// `op` has to be one that reads: its `WouldBlock` is remembered as "nothing to read", and the next call waits without trying. An `op` that has been
    /// interrupted by a signal is called again.
    ///
    /// A task whose calls never have to wait lets others run after 64 of them.
    ///
    /// # Errors
    ///
    /// Those of `op`, and those of a registration, where it has not happened yet: see [`new`](Async::new).
    ///
    /// # Cancel safety
    ///
    /// `op` has either succeeded, and the call returned what it gave, or it has done nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::UdpSocket;
    /// use smolkit_runtime::{Async, block_on};
    ///
    /// let socket = Async::<UdpSocket>::bind(([127, 0, 0, 1], 0))?;
    /// let addr = socket.get_ref().local_addr()?;
    /// block_on(async {
    ///     socket.write_with(|io| io.send_to(b"ping", addr)).await?;
    ///     let mut buffer = [0; 8];
    ///     let (count, from) = socket.read_with(|io| io.recv_from(&mut buffer)).await?;
    ///     assert_eq!((&buffer[..count], from), (&b"ping"[..], addr));
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn read_with<R>(&self, op: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.with(Way::Read, op).await
    }

    /// Calls `op` until it does not return `WouldBlock`, waiting for writability in between. As [`read_with`](Async::read_with) otherwise.
    pub async fn write_with<R>(&self, op: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.with(Way::Write, op).await
    }

    /// [`read_with`](Async::read_with) on a mutable value, with its errors and its cancel safety.
    ///
    /// # Safety
    ///
    /// As [`get_mut`](Async::get_mut).
    pub async unsafe fn read_with_mut<R>(
        &mut self,
        op: impl FnMut(&mut T) -> io::Result<R>,
    ) -> io::Result<R> {
        self.with_mut(Way::Read, op).await
    }

    /// [`write_with`](Async::write_with) on a mutable value, with its errors and its cancel safety.
    ///
    /// # Safety
    ///
    /// As [`get_mut`](Async::get_mut).
    pub async unsafe fn write_with_mut<R>(
        &mut self,
        op: impl FnMut(&mut T) -> io::Result<R>,
    ) -> io::Result<R> {
        self.with_mut(Way::Write, op).await
    }

    /// [`read_with`](Async::read_with) as a poll function, for one task at a time.
    ///
    /// # Errors
    ///
    /// As [`read_with`](Async::read_with).
    pub fn poll_read_with<R>(
        &self,
        cx: &mut Context<'_>,
        mut op: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        poll_with(&self.source, cx, Way::Read, || op(self.get_ref()), |_| false)
    }

    /// [`write_with`](Async::write_with) as a poll function, for one task at a time.
    ///
    /// # Errors
    ///
    /// As [`write_with`](Async::write_with).
    pub fn poll_write_with<R>(
        &self,
        cx: &mut Context<'_>,
        mut op: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        poll_with(&self.source, cx, Way::Write, || op(self.get_ref()), |_| false)
    }

    /// [`poll_read_with`](Async::poll_read_with) where fewer bytes than `wanted`, but for none at all, mean that there are no more: the next call
    /// waits without trying.
    ///
    /// That holds for TCP and for pipes. It does not hold for Unix sockets as such: a read stops where descriptors or credentials were sent along, so
    /// `op` has to look out for those, and return 0 (which is never taken for a short count) where it may have met them.
    ///
    /// # Errors
    ///
    /// As [`read_with`](Async::read_with).
    pub fn poll_read_stream(
        &self,
        cx: &mut Context<'_>,
        wanted: usize,
        mut op: impl FnMut(&T) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        // Nothing read is the end, which stays readable.
        let is_short = |&count: &usize| count != 0 && count < wanted;
        poll_with(&self.source, cx, Way::Read, || op(self.get_ref()), is_short)
    }

    /// [`poll_write_with`](Async::poll_write_with) for stream sockets, where fewer bytes than `wanted` mean that the buffer is full:
    /// the next call waits without trying.
    ///
    /// # Errors
    ///
    /// As [`write_with`](Async::write_with).
    pub fn poll_write_stream(
        &self,
        cx: &mut Context<'_>,
        wanted: usize,
        mut op: impl FnMut(&T) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let is_short = |&count: &usize| count < wanted;
        poll_with(&self.source, cx, Way::Write, || op(self.get_ref()), is_short)
    }

    async fn with<R>(&self, way: Way, mut op: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        poll_fn(|cx| poll_turn(&self.source, cx, way)).await;
        loop {
            if let Some(result) = try_op(&self.source, way, || op(self.get_ref())) {
                return result;
            }
            Waiting::new(&self.source, way).await?;
        }
    }

    async fn with_mut<R>(
        &mut self,
        way: Way,
        mut op: impl FnMut(&mut T) -> io::Result<R>,
    ) -> io::Result<R> {
        let Async { source, io } = self;
        let io = io.as_mut().expect("only into_inner empties it, and consumes it");
        poll_fn(|cx| poll_turn(source, cx, way)).await;
        loop {
            if let Some(result) = try_op(source, way, || op(io)) {
                return result;
            }
            Waiting::new(source, way).await?;
        }
    }
}

/// Calls `op` if it may succeed. `None`: it would block.
fn try_op<R>(
    source: &Source,
    way: Way,
    mut op: impl FnMut() -> io::Result<R>,
) -> Option<io::Result<R>> {
    let seen = source.seen();
    if !source.is_ready(seen, way) {
        return None;
    }
    loop {
        match op() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                source.block(seen, way);
                return None;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return Some(result),
        }
    }
}

/// Waits for the task's next turn if it has done enough in this one.
#[inline]
fn poll_turn(source: &Source, cx: &mut Context<'_>, way: Way) -> Poll<Budget> {
    match context::spend_budget(1) {
        Some(budget) => Poll::Ready(budget),
        None => put_off(source, cx, way),
    }
}

#[cold]
fn put_off(source: &Source, cx: &mut Context<'_>, way: Way) -> Poll<Budget> {
    if source.was_put_off(way) {
        return Poll::Ready(Budget::SPENT);
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

fn poll_with<R>(
    source: &Arc<Source>,
    cx: &mut Context<'_>,
    way: Way,
    mut op: impl FnMut() -> io::Result<R>,
    is_short: impl Fn(&R) -> bool,
) -> Poll<io::Result<R>> {
    let budget = ready!(poll_turn(source, cx, way));
    loop {
        let seen = source.seen();
        match try_op(source, way, &mut op) {
            Some(Ok(output)) => {
                if is_short(&output) {
                    source.drained(seen, way);
                }
                return Poll::Ready(Ok(output));
            }
            Some(Err(error)) => return Poll::Ready(Err(error)),
            None => match source.poll_ready(cx, way) {
                Poll::Ready(result) => result?,
                Poll::Pending => {
                    context::restore_budget(budget);
                    return Poll::Pending;
                }
            },
        }
    }
}

impl<T> Drop for Async<T> {
    fn drop(&mut self) {
        if self.io.is_some() {
            // Before the descriptor is closed: a duplicate would keep the registration alive in the kernel.
            self.source.deregister();
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Async<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Async").field("io", &self.io).finish_non_exhaustive()
    }
}

impl<T> AsRef<T> for Async<T> {
    fn as_ref(&self) -> &T {
        self.get_ref()
    }
}

impl<T: AsFd> AsFd for Async<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

impl<T: AsRawFd> AsRawFd for Async<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.get_ref().as_raw_fd()
    }
}

impl<T: AsFd + From<OwnedFd>> TryFrom<OwnedFd> for Async<T> {
    type Error = io::Error;

    fn try_from(fd: OwnedFd) -> io::Result<Async<T>> {
        Async::new(fd.into())
    }
}

impl<T: Into<OwnedFd>> TryFrom<Async<T>> for OwnedFd {
    type Error = io::Error;

    fn try_from(io: Async<T>) -> io::Result<OwnedFd> {
        io.into_inner().map(Into::into)
    }
}

/// Flushing is tried in any case: most types have nothing to flush, and must not be kept waiting for room in the kernel's buffer.
fn poll_flush_with(
    source: &Arc<Source>,
    cx: &mut Context<'_>,
    mut flush: impl FnMut() -> io::Result<()>,
) -> Poll<io::Result<()>> {
    loop {
        let seen = source.seen();
        match flush() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => return Poll::Ready(result),
        }
        source.block(seen, Way::Write);
        ready!(source.poll_ready(cx, Way::Write))?;
    }
}

/// Sets the mode in one call that changes nothing else, where there is one.
fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::io::ioctl_fionbio(fd, true)?;
    #[cfg(not(target_os = "linux"))]
    {
        let flags = rustix::fs::fcntl_getfl(fd)?;
        if !flags.contains(rustix::fs::OFlags::NONBLOCK) {
            rustix::fs::fcntl_setfl(fd, flags | rustix::fs::OFlags::NONBLOCK)?;
        }
    }
    Ok(())
}
