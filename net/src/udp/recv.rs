//! Receiving many datagrams with a call.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use super::refusals::Refusals;
use super::{BATCH_MAX, Ecn, UdpSocket};
use crate::sys::batch::{self, Arrival};

/// A buffer is never larger: no message is.
const BUFFER_BYTES_MAX: usize = 65_536;

/// Buffers for [`recv_batch`](UdpSocket::recv_batch), and what is in them. Make one for each task that receives, and use it again and again.
///
/// # Examples
///
/// ```
/// use smolkit_net::UdpSocket;
/// use smolkit_net::udp::RecvBatch;
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let socket = UdpSocket::bind("127.0.0.1:0").await?;
///     let addr = socket.local_addr()?;
///     let mut batch = RecvBatch::new(32, 2_048)?;
///     socket.send_to(b"one", addr).await?;
///     socket.send_to(b"two", addr).await?;
///     let mut texts = Vec::new();
///     // Mostly both are there by now, and in this order.
///     while texts.len() < 2 {
///         socket.recv_batch(&mut batch).await?;
///         texts.extend(batch.iter().map(|message| message.bytes.to_vec()));
///     }
///     texts.sort();
///     assert_eq!(texts, [b"one", b"two"]);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub struct RecvBatch {
    bytes: Box<[u8]>,
    buffer_bytes: usize,
    arrivals: Vec<Arrival>,
}

impl RecvBatch {
    /// Room for so many messages of so many bytes.
    ///
    /// A buffer should hold the largest datagram that is expected, because the rest is lost; with [`set_gro`](UdpSocket::set_gro) it should have 65,536 bytes. The system gives
    /// memory only to buffers that are filled.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for no messages or more than [`BATCH_MAX`], and for buffers of 0 or more than 65,536 bytes.
    pub fn new(messages: usize, buffer_bytes: usize) -> io::Result<RecvBatch> {
        if !(1..=BATCH_MAX).contains(&messages) {
            let message = format!("a batch of {messages} messages: it takes 1 to {BATCH_MAX}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        if !(1..=BUFFER_BYTES_MAX).contains(&buffer_bytes) {
            let message = format!("buffers of {buffer_bytes} bytes: 1 to {BUFFER_BYTES_MAX}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let bytes = vec![0; messages * buffer_bytes].into();
        Ok(RecvBatch { bytes, buffer_bytes, arrivals: Vec::with_capacity(messages) })
    }

    /// How many messages there is room for.
    pub fn capacity(&self) -> usize {
        self.bytes.len() / self.buffer_bytes
    }

    /// How many messages are in it.
    pub fn len(&self) -> usize {
        self.arrivals.len()
    }

    /// Whether none is in it.
    pub fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
    }

    /// The messages, in the order in which they came.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Message<'_>> {
        let buffers = self.bytes.chunks_exact(self.buffer_bytes);
        self.arrivals.iter().zip(buffers).map(|(arrival, buffer)| Message {
            bytes: &buffer[..arrival.len],
            from: arrival.from,
            segment_bytes: arrival.segment_bytes.unwrap_or(arrival.len),
            is_truncated: arrival.is_truncated,
            ecn: arrival.class.and_then(Ecn::of_class),
            to: arrival.to,
            local: arrival.local,
            interface: arrival.interface,
        })
    }

    /// All datagrams with their senders, in the order in which they came: the messages, cut apart where the kernel has joined them.
    pub fn datagrams(&self) -> impl Iterator<Item = (&[u8], SocketAddr)> {
        self.iter().flat_map(|message| message.datagrams().map(move |it| (it, message.from)))
    }

    fn fill(&mut self, fd: impl AsFd, refusals: &Refusals) -> io::Result<usize> {
        self.arrivals.clear();
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if !refusals.many.is_set() {
            let (bytes, each) = (&mut self.bytes, self.buffer_bytes);
            match batch::recv_many(fd.as_fd(), bytes, each, &mut self.arrivals) {
                Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => refusals.many.set(),
                result => return result,
            }
        }
        self.fill_singly(fd, &refusals.late)
    }

    fn fill_singly(&mut self, fd: impl AsFd, late: &super::refusals::Late) -> io::Result<usize> {
        for buffer in self.bytes.chunks_exact_mut(self.buffer_bytes) {
            match batch::recv_one(fd.as_fd(), buffer) {
                Ok(arrival) => self.arrivals.push(arrival),
                Err(error) if self.arrivals.is_empty() => return Err(error),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    late.keep(&error);
                    break;
                }
            }
        }
        Ok(self.arrivals.len())
    }
}

impl fmt::Debug for RecvBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvBatch")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .field("buffer_bytes", &self.buffer_bytes)
            .finish()
    }
}

/// What the kernel has handed over at once: a datagram or, with [`set_gro`](UdpSocket::set_gro), several ones of the same peer.
///
/// # Examples
///
/// ```
/// use smolkit_net::UdpSocket;
/// use smolkit_net::udp::RecvBatch;
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let socket = UdpSocket::bind("127.0.0.1:0").await?;
///     socket.send_to(b"one", socket.local_addr()?).await?;
///     let mut batch = RecvBatch::new(8, 65_536)?;
///     // Where there is no GRO, each message is one datagram.
///     let _ = socket.set_gro(true);
///     socket.recv_batch(&mut batch).await?;
///     for message in batch.iter() {
///         for datagram in message.datagrams() {
///             println!("{} bytes from {}", datagram.len(), message.from);
/// #           assert_eq!(datagram, b"one");
///         }
///     }
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Message<'a> {
    /// The datagrams, one after the other.
    pub bytes: &'a [u8],
    /// The sender.
    pub from: SocketAddr,
    /// The length of each datagram; only the last one may be shorter.
    pub segment_bytes: usize,
    /// It was longer than the buffer, and its end is lost. Or the program has set more options than there is room for what the kernel has to say: then
    /// `segment_bytes`, `ecn`, `to`, `local` and `interface` may be missing.
    pub is_truncated: bool,
    /// The mark of congestion, if there is one; with [`set_recv_ecn`](UdpSocket::set_recv_ecn).
    pub ecn: Option<Ecn>,
    /// The address that it was sent to; with [`set_recv_to`](UdpSocket::set_recv_to).
    pub to: Option<IpAddr>,
    /// The address of this host to [answer from](super::Transmit::from_ip): `to`, but for a broadcast or multicast that of the interface, and `None` where the system does not say
    /// it (IPv6); with [`set_recv_to`](UdpSocket::set_recv_to).
    pub local: Option<IpAddr>,
    /// The index of the network interface that it came through; with [`set_recv_to`](UdpSocket::set_recv_to).
    pub interface: Option<u32>,
}

impl<'a> Message<'a> {
    /// The datagrams one by one.
    pub fn datagrams(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        // One without bytes is one, too.
        let empty = self.bytes.is_empty().then_some(self.bytes);
        empty.into_iter().chain(self.bytes.chunks(self.segment_bytes.max(1)))
    }
}

impl UdpSocket {
    /// Waits for a message and takes what else has arrived, as much as there is room for; returns how many messages are in the batch. What was in it before is gone.
    ///
    /// One call of the system for all of them: when it fetches fewer than there is room for, the next call waits without asking.
    ///
    /// # Cancel safety
    ///
    /// A dropped call has taken nothing out of the socket; the batch is empty.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](UdpSocket::recv_from). An error that comes after messages is that of the next call.
    ///
    /// # Platform
    ///
    /// `recvmmsg` on Linux; elsewhere, or where a sandbox does not know it, one call for each message and one that finds no more.
    pub async fn recv_batch(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        poll_fn(|cx| self.poll_recv_batch(cx, batch)).await
    }

    /// [`recv_batch`](UdpSocket::recv_batch) as a poll function, for one task at a time.
    ///
    /// # Errors
    ///
    /// As [`recv_batch`](UdpSocket::recv_batch).
    pub fn poll_recv_batch(
        &self,
        cx: &mut Context<'_>,
        batch: &mut RecvBatch,
    ) -> Poll<io::Result<usize>> {
        batch.arrivals.clear();
        // It has been taken out of the socket: no event tells of it.
        if let Some(error) = self.refusals.late.take() {
            return Poll::Ready(Err(error));
        }
        // Messages instead of bytes, but the same rule: fewer than wanted means that there was no more. If it was an error that ended the call, its
        // own event comes after it, and has the next call try.
        let wanted = batch.capacity();
        let result =
            ready!(self.inner.poll_read_stream(cx, wanted, |io| batch.fill(io, &self.refusals)));
        if let Ok(count) = result {
            super::account(count, batch.arrivals.iter().map(|arrival| arrival.len).sum());
        }
        Poll::Ready(result)
    }
}
