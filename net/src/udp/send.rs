//! Sending many datagrams with a call.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdSocket};
use std::task::{Context, Poll, ready};

#[cfg(any(target_os = "linux", target_os = "android"))]
use super::pieces::Runs;
use super::refusals::Refusals;
use super::{BATCH_MAX, Ecn, MESSAGE_BYTES_MAX, SEGMENTS_MAX, UdpSocket, pieces};
use crate::sys::batch::Piece;

/// A message to send: one datagram, or several of the same length.
///
/// # Examples
///
/// ```
/// use smolkit_net::UdpSocket;
/// use smolkit_net::udp::Transmit;
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let (one, other) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
///     let (to_one, to_other) = (one.local_addr()?, other.local_addr()?);
///     // One datagram for `one`, three for `other`.
///     let messages = &mut [
///         Transmit::new(b"hello", to_one),
///         Transmit::new(b"one two three", to_other).in_segments(5),
///     ];
///     let mut rest = &mut messages[..];
///     while !rest.is_empty() {
///         let sent = one.send_batch(rest).await?;
///         rest = &mut rest[sent..];
///     }
///     assert_eq!(one.recv(&mut [0; 16]).await?, 5);
///     assert_eq!(other.recv(&mut [0; 16]).await?, 5);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Transmit<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) to: Option<SocketAddr>,
    pub(super) segment_bytes: Option<usize>,
    pub(super) ecn: Option<Ecn>,
    pub(super) from: Option<IpAddr>,
}

impl<'a> Transmit<'a> {
    /// A datagram for `to`.
    pub fn new(bytes: &'a [u8], to: SocketAddr) -> Transmit<'a> {
        Transmit { to: Some(to), ..Transmit::connected(bytes) }
    }

    /// A datagram for the address that the socket is connected to.
    pub fn connected(bytes: &'a [u8]) -> Transmit<'a> {
        Transmit { bytes, to: None, segment_bytes: None, ecn: None, from: None }
    }

    /// The same bytes as datagrams of `segment_bytes` each, the last one of what is left. Linux cuts them late on their way (GSO), which costs
    /// little more than one datagram does.
    ///
    /// # Limits
    ///
    /// [`SEGMENTS_MAX`] datagrams and [`MESSAGE_BYTES_MAX`] bytes; [`send_batch`](UdpSocket::send_batch) refuses more. Segments should fit into a packet of the network
    /// (1,472 bytes on Ethernet with IPv4, 1,452 with IPv6): larger ones are sent, in fragments, but the kernel does not cut those.
    pub fn in_segments(self, segment_bytes: usize) -> Transmit<'a> {
        Transmit { segment_bytes: Some(segment_bytes), ..self }
    }

    /// The same with this mark; the rest of the socket's traffic class is 0 for it. Linux only.
    pub fn with_ecn(self, ecn: Ecn) -> Transmit<'a> {
        Transmit { ecn: Some(ecn), ..self }
    }

    /// The same from this address of this host, as an answer to what came there ([`Message::local`](super::Message::local)). Linux only.
    pub fn from_ip(self, ip: IpAddr) -> Transmit<'a> {
        // Also an IPv6 socket sends to IPv4 addresses from what is one.
        Transmit { from: Some(ip.to_canonical()), ..self }
    }

    /// What is left to send.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Refuses what the system would refuse less clearly, or differently from one to the next.
    fn check(&self, io: &StdSocket) -> io::Result<()> {
        if !kernel::MARKS && (self.ecn.is_some() || self.from.is_some()) {
            let message = "cannot choose the mark of congestion or the sender on this system";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        if let Some(from) = self.from {
            let to = self.to.map_or_else(|| io.peer_addr(), Ok)?;
            // The kernel would pass over a sender of the other family, and choose one.
            if to.ip().to_canonical().is_ipv4() != from.is_ipv4() {
                let message = format!("cannot send to {to} from {from}: another family");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
        }
        let Some(segment_bytes) = self.segment_bytes else { return Ok(()) };
        let message = if segment_bytes == 0 {
            "cannot send segments of 0 bytes".to_owned()
        } else if segment_bytes > MESSAGE_BYTES_MAX {
            format!("cannot send segments of {segment_bytes} bytes: {MESSAGE_BYTES_MAX} at most")
        } else if self.bytes.len() > MESSAGE_BYTES_MAX {
            let len = self.bytes.len();
            format!("cannot send {len} bytes in segments: {MESSAGE_BYTES_MAX} at most")
        } else if self.datagrams() > SEGMENTS_MAX {
            format!("cannot send {} segments: {SEGMENTS_MAX} at most", self.datagrams())
        } else {
            return Ok(());
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, message))
    }

    /// How many datagrams it is; one without bytes is one, too.
    pub(super) fn datagrams(&self) -> usize {
        self.segment_bytes.map_or(1, |bytes| self.bytes.len().div_ceil(bytes).max(1))
    }
}

impl UdpSocket {
    /// Sends messages, from the first one on, and returns how many were sent: at least one, and as many as the system takes with a call. Go on with the rest, as the
    /// [example](Transmit#examples) does.
    ///
    /// Datagrams that follow one another to the same address and have the same length (the last one may be shorter) go as the segments of one message, if they
    /// are small enough for every network: that is much cheaper, and the receiver sees no difference.
    ///
    /// Where the kernel does not cut a message into its segments, it may be that only some of those can be sent before one has to wait; then the message
    /// is shortened, and what is left of it comes first when the call goes on.
    ///
    /// # Limits
    ///
    /// [`BATCH_MAX`] messages a call; the others wait for the next one.
    ///
    /// # Cancel safety
    ///
    /// A dropped call has sent no message as a whole. What it has sent of the segments of the first one is taken off it.
    ///
    /// # Errors
    ///
    /// An error is that of the first message: nothing before it is lost, and `batch[1..]` are those after it. A message that cannot be sent ends the
    /// call before it, and is an error when it comes first. `InvalidInput` for an empty batch, for segments of 0 bytes, for too many or too
    /// large ones, for a sender of another family than the address, and for an address of another family than the socket's where the system refuses that; the others of
    /// [`send_to`](UdpSocket::send_to).
    ///
    /// # Platform
    ///
    /// `sendmmsg` on Linux, segments from 4.18 on; elsewhere one call for each datagram.
    pub async fn send_batch(&self, batch: &mut [Transmit<'_>]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_send_batch(cx, batch)).await
    }

    /// [`send_batch`](UdpSocket::send_batch) as a poll function, for one task at a time.
    ///
    /// # Errors
    ///
    /// As [`send_batch`](UdpSocket::send_batch).
    pub fn poll_send_batch(
        &self,
        cx: &mut Context<'_>,
        batch: &mut [Transmit<'_>],
    ) -> Poll<io::Result<usize>> {
        // Fewer than wanted says nothing about room: it may have been an error that ended the call.
        let result = ready!(self.inner.poll_write_with(cx, |io| send(io, &self.refusals, batch)));
        if let Ok(count) = result {
            let sent = batch[..count].iter();
            let (datagrams, bytes) = sent.fold((0, 0), |(datagrams, bytes), message| {
                (datagrams + message.datagrams(), bytes + message.bytes.len())
            });
            super::account(datagrams, bytes);
        }
        Poll::Ready(result)
    }
}

fn send(io: &StdSocket, refusals: &Refusals, batch: &mut [Transmit<'_>]) -> io::Result<usize> {
    let count = valid(io, batch)?;
    let batch = &mut batch[..count];
    loop {
        let sent = kernel::send(io, refusals, batch);
        match sent.map_err(|error| explained(error, io, &batch[0]))? {
            // Some of the first one's segments: on with the others.
            0 => {}
            sent => return Ok(sent),
        }
    }
}

/// How many messages from the first one on can be sent.
fn valid(io: &StdSocket, batch: &[Transmit<'_>]) -> io::Result<usize> {
    let Some(first) = batch.first() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "cannot send an empty batch"));
    };
    first.check(io)?;
    let batch = &batch[..batch.len().min(BATCH_MAX)];
    Ok(batch.iter().position(|message| message.check(io).is_err()).unwrap_or(batch.len()))
}

/// Datagram by datagram, up to the first one that fails; how many messages are done. If it is not the first one, its error comes when it is tried again.
fn send_singly(io: &StdSocket, batch: &mut [Transmit<'_>]) -> io::Result<usize> {
    let mut count = 0;
    for piece in pieces::cut(batch) {
        match kernel::send_one(io, &piece) {
            Ok(()) => count += 1,
            Err(error) if count == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(pieces::advance(batch, count))
}

/// Says so if the address cannot be one for this socket.
fn explained(error: io::Error, io: &StdSocket, message: &Transmit<'_>) -> io::Error {
    let (Some(to), Ok(own)) = (message.to, io.local_addr()) else { return error };
    let refusals = [libc::EAFNOSUPPORT, libc::EINVAL];
    if own.is_ipv4() == to.is_ipv4() || !error.raw_os_error().is_some_and(|e| refusals.contains(&e))
    {
        return error;
    }
    let message = format!("cannot send to {to} from a socket that is bound to {own}: {error}");
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod kernel {
    use std::io;
    use std::net::UdpSocket as StdSocket;
    use std::os::fd::AsFd;
    use std::sync::OnceLock;

    use super::{Piece, Refusals, Runs, Transmit, pieces, send_singly};
    use crate::sys;

    pub(super) const MARKS: bool = true;

    pub(super) fn send_one(io: &StdSocket, piece: &Piece<'_>) -> io::Result<()> {
        sys::batch::send_one(io.as_fd(), piece)
    }

    /// How many messages were sent; none if it was only some of the first one's segments.
    pub(super) fn send(
        io: &StdSocket,
        refusals: &Refusals,
        batch: &mut [Transmit<'_>],
    ) -> io::Result<usize> {
        if !refusals.many.is_set() {
            match send_many(io, refusals, batch) {
                Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => refusals.many.set(),
                result => return result,
            }
        }
        send_singly(io, batch)
    }

    fn send_many(
        io: &StdSocket,
        refusals: &Refusals,
        mut batch: &mut [Transmit<'_>],
    ) -> io::Result<usize> {
        let fd = io.as_fd();
        if !refusals.segments.is_set() && cuts_segments(io) {
            let runs = Runs::of(batch);
            match sys::batch::send_many(fd, pieces::whole(batch, &runs)) {
                Err(error) if runs.are_cut_first(batch) && is_refusal(&error, refusals) => {
                    // The others may go elsewhere.
                    batch = &mut batch[..runs.messages(1)];
                }
                result => return Ok(runs.messages(result?)),
            }
        }
        let count = sys::batch::send_many(fd, pieces::cut(batch))?;
        Ok(pieces::advance(batch, count))
    }

    /// EIO: the interface does not compute checksums, and that will not change. The others may be this message's alone: its segments are larger than a packet.
    fn is_refusal(error: &io::Error, refusals: &Refusals) -> bool {
        match error.raw_os_error() {
            Some(libc::EIO) => {
                refusals.segments.set();
                true
            }
            Some(libc::EINVAL | libc::EMSGSIZE) => true,
            _ => false,
        }
    }

    /// Asked once: a Linux before 4.18 does not refuse, it sends all as one datagram.
    fn cuts_segments(io: &StdSocket) -> bool {
        static CUTS: OnceLock<bool> = OnceLock::new();
        *CUTS.get_or_init(|| sys::option(io.as_fd(), sys::SOL_UDP, sys::UDP_SEGMENT).is_ok())
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod kernel {
    use std::io;
    use std::net::UdpSocket as StdSocket;

    use super::{Piece, Refusals, Transmit, send_singly};

    pub(super) const MARKS: bool = false;

    pub(super) fn send_one(io: &StdSocket, piece: &Piece<'_>) -> io::Result<()> {
        match piece.to {
            Some(to) => io.send_to(piece.bytes, to).map(drop),
            None => io.send(piece.bytes).map(drop),
        }
    }

    pub(super) fn send(
        io: &StdSocket,
        _: &Refusals,
        batch: &mut [Transmit<'_>],
    ) -> io::Result<usize> {
        send_singly(io, batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_ends_before_what_cannot_be_sent() {
        let good = Transmit::connected(&[0; 640]).in_segments(10);
        let bad = Transmit::connected(&[0; 641]).in_segments(10);
        let io = StdSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(valid(&io, &[good, good, bad, good]).unwrap(), 2);
        assert!(valid(&io, &[bad, good]).is_err());
        assert!(valid(&io, &[]).is_err());
        assert_eq!(valid(&io, &[good; 100]).unwrap(), BATCH_MAX);
    }
}
