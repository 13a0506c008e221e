//! A pipe between two sockets: `splice` moves pages into it and out of it.

pub(super) use self::kernel::Channel;

/// Where bytes have gone, and how many.
pub(super) enum Filled {
    Channel(usize),
    /// To the caller's buffer; none at the end.
    Buffer(usize),
    /// Nowhere: these sockets cannot be spliced, or there is no pipe to be had.
    Refused,
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod kernel {
    use std::cell::Cell;
    use std::io;
    use std::os::fd::OwnedFd;
    use std::task::{Context, Poll, ready};

    use rustix::io::Errno;
    use rustix::net::{RecvFlags, recv};
    use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

    use super::Filled;
    use crate::stream::StreamSocket;

    /// More than the 64 KiB of a fresh pipe: fewer calls. Beyond the limit of an unprivileged user's pipes it stays at less.
    const PIPE_BYTES: usize = 256 * 1024;

    thread_local! {
        /// The pipe of whoever emptied his last on this thread. One that moves bytes needs it only between two calls, mostly: so many connections that were
        /// busy once do not keep a pipe each.
        static SPARE: Cell<Option<Pipe>> = const { Cell::new(None) };
    }

    struct Pipe {
        output: OwnedFd,
        input: OwnedFd,
    }

    impl Pipe {
        /// An empty one.
        fn take() -> Option<Pipe> {
            SPARE.try_with(Cell::take).ok().flatten().or_else(Pipe::new)
        }

        fn new() -> Option<Pipe> {
            let (output, input) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
            // The size that it has is good enough too.
            let _ = fcntl_setpipe_size(&input, PIPE_BYTES);
            Some(Pipe { output, input })
        }

        /// Leaves it to the next one. It has to be empty.
        fn give_back(self) {
            // While the thread ends there is no place for it any more.
            let _ = SPARE.try_with(|spare| spare.set(Some(self)));
        }
    }

    /// Has a pipe only while there is something in it.
    pub(in crate::copy) struct Channel {
        pipe: Option<Pipe>,
        filled: usize,
        /// `None` until somebody asks.
        is_refused: Option<bool>,
    }

    impl Channel {
        pub(in crate::copy) fn new() -> Channel {
            Channel { pipe: None, filled: 0, is_refused: None }
        }

        /// Whether it is worth trying.
        pub(in crate::copy) fn is_open(&mut self) -> bool {
            !*self.is_refused.get_or_insert_with(|| !crate::sys::ignores_sigpipe())
        }

        /// Fills the pipe, which is empty, or the buffer.
        pub(in crate::copy) fn poll_fill<S: StreamSocket>(
            &mut self,
            cx: &mut Context<'_>,
            from: &S,
            buffer: &mut [u8],
        ) -> Poll<io::Result<Filled>> {
            let Some(pipe) = Pipe::take() else {
                self.is_refused = Some(true);
                return Poll::Ready(Ok(Filled::Refused));
            };
            let result = from.io().poll_read_with(cx, |io| {
                match splice(io, None, &pipe.input, None, PIPE_BYTES, flags()) {
                    // A short count says nothing here: the pipe may be out of slots.
                    Ok(count @ 1..) => Ok(Filled::Channel(count)),
                    // The pipe is empty, so it is the socket that has nothing. Before TCP's urgent mark, though, the kernel says so whatever lies behind that;
                    // a read passes it.
                    Ok(_) | Err(Errno::AGAIN) => {
                        let (count, _) = recv(io, &mut *buffer, RecvFlags::empty())?;
                        Ok(Filled::Buffer(count))
                    }
                    Err(errno) => Err(errno.into()),
                }
            });
            if let Poll::Ready(Ok(Filled::Channel(count))) = result {
                self.filled = count;
                self.pipe = Some(pipe);
                return result;
            }
            pipe.give_back();
            match ready!(result) {
                Err(error) if is_refusal(&error) => {
                    self.is_refused = Some(true);
                    Poll::Ready(Ok(Filled::Refused))
                }
                result => Poll::Ready(result),
            }
        }

        /// Empties the pipe; false if `to` cannot be spliced to, and something is left to [`take`](Channel::take).
        pub(in crate::copy) fn poll_empty<S: StreamSocket>(
            &mut self,
            cx: &mut Context<'_>,
            to: &S,
        ) -> Poll<io::Result<bool>> {
            while self.filled > 0 && self.is_open() {
                let result = ready!(to.io().poll_write_with(cx, |io| {
                    Ok(splice(self.output(), None, io, None, self.filled, flags())?)
                }));
                match result {
                    Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Ok(count) => self.filled -= count,
                    Err(error) if is_refusal(&error) => self.is_refused = Some(true),
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            if self.filled > 0 {
                return Poll::Ready(Ok(false));
            }
            if let Some(pipe) = self.pipe.take() {
                pipe.give_back();
            }
            Poll::Ready(Ok(true))
        }

        /// Moves what is in the pipe to a buffer, or a part of it.
        pub(in crate::copy) fn take(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            // Never more than what is in it, so it does not block.
            let wanted = buffer.len().min(self.filled);
            let count = rustix::io::read(self.output(), &mut buffer[..wanted])?;
            self.filled -= count;
            Ok(count)
        }

        fn output(&self) -> &OwnedFd {
            &self.pipe.as_ref().expect("only `poll_fill` fills it, and leaves the pipe here").output
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

    use super::Filled;
    use crate::stream::StreamSocket;

    pub(in crate::copy) struct Channel;

    impl Channel {
        pub(in crate::copy) fn new() -> Channel {
            Channel
        }

        pub(in crate::copy) fn is_open(&mut self) -> bool {
            false
        }

        pub(in crate::copy) fn poll_fill<S: StreamSocket>(
            &mut self,
            _: &mut Context<'_>,
            _: &S,
            _: &mut [u8],
        ) -> Poll<io::Result<Filled>> {
            Poll::Ready(Ok(Filled::Refused))
        }

        pub(in crate::copy) fn poll_empty<S: StreamSocket>(
            &mut self,
            _: &mut Context<'_>,
            _: &S,
        ) -> Poll<io::Result<bool>> {
            Poll::Ready(Ok(true))
        }

        pub(in crate::copy) fn take(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Ok(0)
        }
    }
}
