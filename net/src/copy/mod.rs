//! Moving bytes to a stream socket, inside the kernel where that pays.

mod channel;
mod file;

use std::future::{Future, poll_fn};
use std::io;
use std::task::{Context, Poll, ready};

pub use self::file::FileRange;

use self::channel::{Channel, Filled};
use crate::stream::{StreamSocket, close_leniently};

/// What a direction reads at a time while it moves little. A full read calls for splicing, a smaller splice ends it.
const BUFFER_BYTES: usize = 16 * 1024;

/// What [`copy`] takes bytes from: a [`TcpStream`](crate::TcpStream), a [`UnixStream`](crate::unix::UnixStream), or a [`FileRange`].
///
/// It cannot be implemented outside of this crate.
///
/// # Examples
///
/// See [`copy`] and [`FileRange`].
pub trait CopySource: source::Source {}

/// Keeps the trait's methods out of the public interface.
mod source {
    use super::*;

    pub trait Source {
        fn copy_to<W: StreamSocket>(&self, to: &W) -> impl Future<Output = io::Result<u64>> + Send;
    }
}

/// Moves all bytes from one stream to the other until the first one ends, or those of a [`FileRange`]; returns how many. It leaves the second stream open.
///
/// Between streams, small amounts go through a buffer, two system calls a message. Large ones stay in the kernel (`splice(2)`) and are never copied into this process; where
/// the system does not allow that, the buffer serves. Urgent data of TCP is not passed on: what is before and behind it is.
///
/// # Limits
///
/// 16 KiB of memory; two descriptors, and up to 256 KiB of the kernel's memory, while spliced bytes wait for the second stream. Each thread keeps such a pair for the next copy.
///
/// # Cancel safety
///
/// What has been read but not written when it is dropped is lost.
///
/// # Errors
///
/// Those of reading and of writing; `WriteZero` if the second stream takes nothing. Of a [`FileRange`] also [its own](FileRange#errors).
///
/// # Platform
///
/// Linux splices; elsewhere, and in programs that have set SIGPIPE back to its default (`splice` could not be told to spare
/// them), the buffer serves alone.
///
/// # Examples
///
/// ```
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use smolkit_net::copy;
/// use smolkit_net::unix::UnixStream;
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let (mut sender, from) = UnixStream::pair()?;
///     let (to, mut receiver) = UnixStream::pair()?;
///     sender.write_all(b"hello").await?;
///     sender.close().await?;
///     assert_eq!(copy(&from, &to).await?, 5);
///     drop(to);
///     let mut text = String::new();
///     receiver.read_to_string(&mut text).await?;
///     assert_eq!(text, "hello");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub async fn copy<R: CopySource, W: StreamSocket>(from: &R, to: &W) -> io::Result<u64> {
    from.copy_to(to).await
}

impl<S: StreamSocket> CopySource for S {}

impl<S: StreamSocket> source::Source for S {
    async fn copy_to<W: StreamSocket>(&self, to: &W) -> io::Result<u64> {
        let mut pump = Pump::new();
        poll_fn(|cx| pump.poll(cx, self, to)).await
    }
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
/// ```
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use smolkit_net::{TcpListener, TcpStream, copy_bidirectional};
/// # use smolkit_net::copy;
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let proxy = TcpListener::bind("127.0.0.1:0").await?;
///     let mut client = TcpStream::connect(proxy.local_addr()?).await?;
/// #   let echo = TcpListener::bind("127.0.0.1:0").await?;
/// #   let server_addr = echo.local_addr()?;
/// #   let _echo = smolkit::spawn(async move {
/// #       let (stream, _) = echo.accept().await?;
/// #       copy(&stream, &stream).await
/// #   });
///     let proxying = smolkit::spawn(async move {
///         let (client, _) = proxy.accept().await?;
///         let server = TcpStream::connect(server_addr).await?;
///         copy_bidirectional(&client, &server).await
///     });
///     client.write_all(b"ping").await?;
///     client.close().await?;
///     let mut answer = String::new();
///     client.read_to_string(&mut answer).await?;
///     assert_eq!(answer, "ping");
///     assert_eq!(proxying.await?, (4, 4));
///     std::io::Result::Ok(())
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
    channel: Channel,
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
            channel: Channel::new(),
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
            if !ready!(self.channel.poll_empty(cx, to))? {
                // Refused when bytes were in the pipe already: they come out the other way.
                let count = self.channel.take(&mut self.buffer)?;
                (self.start, self.end) = (0, count);
                continue;
            }
            if self.has_ended {
                return Poll::Ready(Ok(self.total));
            }
            let count = if self.is_large {
                match ready!(self.channel.poll_fill(cx, from, &mut self.buffer))? {
                    Filled::Channel(count) => {
                        self.is_large = count >= BUFFER_BYTES;
                        count
                    }
                    Filled::Buffer(count) => {
                        (self.start, self.end) = (0, count);
                        count
                    }
                    Filled::Refused => {
                        self.is_large = false;
                        continue;
                    }
                }
            } else {
                let count = ready!(from.poll_recv(cx, &mut self.buffer))?;
                (self.start, self.end) = (0, count);
                self.is_large = count == BUFFER_BYTES && self.channel.is_open();
                count
            };
            self.has_ended = count == 0;
            self.total += count as u64;
        }
    }
}
