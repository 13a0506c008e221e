//! Moving bytes from one stream socket to another, inside the kernel where that pays.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use crate::stream::{StreamSocket, close_leniently};

/// What a direction reads at a time while it moves little. A full read calls for splicing, a smaller splice ends it.
const BUFFER_BYTES: usize = 16 * 1024;

/// Moves all bytes from one stream to the other until the first one ends; returns how many. It leaves the second one open.
///
/// Small amounts go through a buffer, two system calls a message. Large ones stay in the kernel (`splice(2)`) and are never copied into this process; where
/// the system does not allow that, the buffer serves.
///
/// # Limits
///
/// 16 KiB of memory, and two descriptors while bytes are spliced.
///
/// # Cancel safety
///
/// What has been read but not written when it is dropped is lost.
///
/// # Errors
///
/// Those of reading and of writing; `WriteZero` if the second stream takes nothing.
///
/// # Platform
///
/// Linux splices; elsewhere, and in programs that have set SIGPIPE back to its default (`splice` could not be told to spare
/// them), the buffer serves alone.
pub async fn copy<R: StreamSocket, W: StreamSocket>(from: &R, to: &W) -> io::Result<u64> {
    let mut pump = Pump::new();
    poll_fn(|cx| pump.poll(cx, from, to)).await
}

/// Moves bytes both ways until both streams have ended; returns how many went from the first to the second, and back.
///
/// The end of one direction is passed on (its receiver's sending side is shut down) and the other direction goes on.
///
/// # Cancel safety, Limits, Platform
///
/// As [`copy`], for each direction.
///
/// # Errors
///
/// The first error of either direction ends both.
///
/// # Examples
///
/// ```no_run
/// use smolkit_net::{TcpListener, TcpStream, copy_bidirectional};
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:8080").await?;
///     loop {
///         let (client, _) = listener.accept().await?;
///         smolkit::spawn(async move {
///             let server = TcpStream::connect("127.0.0.1:80").await?;
///             copy_bidirectional(&client, &server).await
///         })
///         .detach();
///     }
/// #   #[allow(unreachable_code)]
/// #   std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub async fn copy_bidirectional<A: StreamSocket, B: StreamSocket>(
    a: &A,
    b: &B,
) -> io::Result<(u64, u64)> {
    let (mut there, mut back) = (Pump::new(), Pump::new());
    let (mut sent, mut received) = (None, None);
    poll_fn(|cx| {
        if sent.is_none() {
            if let Poll::Ready(count) = there.poll(cx, a, b)? {
                close_leniently(b)?;
                sent = Some(count);
            }
        }
        if received.is_none() {
            if let Poll::Ready(count) = back.poll(cx, b, a)? {
                close_leniently(a)?;
                received = Some(count);
            }
        }
        match (sent, received) {
            (Some(sent), Some(received)) => Poll::Ready(Ok((sent, received))),
            _ => Poll::Pending,
        }
    })
    .await
}

/// One direction.
struct Pump {
    buffer: Box<[u8]>,
    /// What of the buffer has been read but not written.
    start: usize,
    end: usize,
    channel: kernel::Channel,
    is_large: bool,
    has_ended: bool,
    total: u64,
}

impl Pump {
    fn new() -> Pump {
        Pump {
            buffer: vec![0; BUFFER_BYTES].into(),
            start: 0,
            end: 0,
            channel: kernel::Channel::new(),
            is_large: false,
            has_ended: false,
            total: 0,
        }
    }

    fn poll<R: StreamSocket, W: StreamSocket>(
        &mut self,
        cx: &mut Context<'_>,
        from: &R,
        to: &W,
    ) -> Poll<io::Result<u64>> {
        loop {
            while self.start < self.end {
                let count = ready!(to.poll_send(cx, &self.buffer[self.start..self.end]))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.start += count;
            }
            ready!(self.channel.poll_empty(cx, to))?;
            if self.has_ended {
                return Poll::Ready(Ok(self.total));
            }
            let count = if self.is_large {
                let Some(count) = ready!(self.channel.poll_fill(cx, from))? else {
                    self.is_large = false;
                    continue;
                };
                self.is_large = count >= BUFFER_BYTES;
                count
            } else {
                let count = ready!(from.poll_recv(cx, &mut self.buffer))?;
                (self.start, self.end) = (0, count);
                self.is_large = count == BUFFER_BYTES && self.channel.open();
                count
            };
            self.has_ended = count == 0;
            self.total += count as u64;
        }
    }
}

/// A pipe between the sockets: `splice` moves pages into it and out of it.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod kernel {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::task::{Context, Poll, ready};

    use rustix::io::Errno;
    use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

    use crate::stream::StreamSocket;

    /// More than the 64 KiB of a fresh pipe: fewer calls. Beyond the limit of an unprivileged user's pipes it stays at less.
    const PIPE_BYTES: usize = 256 * 1024;

    pub(super) struct Channel {
        pipe: Option<(OwnedFd, OwnedFd)>,
        filled: usize,
        is_refused: bool,
    }

    impl Channel {
        pub(super) fn new() -> Channel {
            Channel { pipe: None, filled: 0, is_refused: false }
        }

        /// Whether there is a pipe now.
        pub(super) fn open(&mut self) -> bool {
            if self.pipe.is_none() && !self.is_refused {
                self.pipe = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok();
                self.is_refused = self.pipe.is_none() || !crate::sys::ignores_sigpipe();
                if let Some((_, input)) = &self.pipe {
                    // The size that it has is good enough too.
                    let _ = fcntl_setpipe_size(input, PIPE_BYTES);
                }
            }
            self.pipe.is_some() && !self.is_refused
        }

        /// Fills the pipe, which is empty; `None` if these sockets cannot be spliced.
        pub(super) fn poll_fill<S: StreamSocket>(
            &mut self,
            cx: &mut Context<'_>,
            from: &S,
        ) -> Poll<io::Result<Option<usize>>> {
            let Some((_, input)) = &self.pipe else { return Poll::Ready(Ok(None)) };
            // A short count says nothing here: the pipe may be out of slots. WouldBlock comes from the socket, as the pipe is empty.
            let result = ready!(from.io().poll_read_with(cx, |io| {
                Ok(splice(io, None, input, None, PIPE_BYTES, flags())?)
            }));
            match result {
                Ok(count) => {
                    self.filled = count;
                    Poll::Ready(Ok(Some(count)))
                }
                Err(error) if is_refusal(&error) => {
                    self.is_refused = true;
                    Poll::Ready(Ok(None))
                }
                Err(error) => Poll::Ready(Err(error)),
            }
        }

        pub(super) fn poll_empty<S: StreamSocket>(
            &mut self,
            cx: &mut Context<'_>,
            to: &S,
        ) -> Poll<io::Result<()>> {
            while self.filled > 0 {
                let (output, _) = self.pipe.as_ref().expect("only `poll_fill` fills it");
                let count = ready!(to.io().poll_write_with(cx, |io| {
                    Ok(splice(output, None, io, None, self.filled, flags())?)
                }))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.filled -= count;
            }
            Poll::Ready(Ok(()))
        }
    }

    fn flags() -> SpliceFlags {
        SpliceFlags::MOVE | SpliceFlags::NONBLOCK
    }

    fn is_refusal(error: &io::Error) -> bool {
        let refusals = [Errno::INVAL, Errno::NOSYS, Errno::PERM, Errno::OPNOTSUPP];
        refusals.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
    }
}

/// There is no `splice`.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod kernel {
    use std::io;
    use std::task::{Context, Poll};

    use crate::stream::StreamSocket;

    pub(super) struct Channel;

    impl Channel {
        pub(super) fn new() -> Channel {
            Channel
        }

        pub(super) fn open(&mut self) -> bool {
            false
        }

        pub(super) fn poll_fill<S: StreamSocket>(
            &mut self,
            _: &mut Context<'_>,
            _: &S,
        ) -> Poll<io::Result<Option<usize>>> {
            Poll::Ready(Ok(None))
        }

        pub(super) fn poll_empty<S: StreamSocket>(
            &mut self,
            _: &mut Context<'_>,
            _: &S,
        ) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
}
