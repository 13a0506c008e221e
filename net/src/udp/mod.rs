//! UDP, one datagram at a time and many of them.
//!
//! [`UdpSocket::recv_batch`] takes what has arrived, up to 64 messages, with one `recvmmsg`; [`UdpSocket::send_batch`] sends as many with one `sendmmsg`. A *message* is
//! what the kernel hands over at once: one datagram, or several of the same length and the same peer. The kernel cuts one that is sent
//! ([`Transmit::in_segments`], GSO), which saves most of what a datagram costs, and joins those that come ([`UdpSocket::set_gro`]).
//!
//! With a message come its mark of congestion and the address that it was sent to, for those who ask ([`UdpSocket::set_recv_ecn`], [`UdpSocket::set_recv_to`]); both can be
//! chosen for one that is sent ([`Transmit::with_ecn`], [`Transmit::from_ip`]).
//!
//! [`Unbound`] is a socket before it has an address, for options that have to be set by then.
//!
//! Where the kernel lacks any of that, the same is done datagram by datagram: the results are the same, the system calls more.
//!
//! # Examples
//!
//! A server that echoes, batch by batch:
//!
//! ```
//! use smolkit_net::UdpSocket;
//! use smolkit_net::udp::{RecvBatch, Transmit};
//! # use smolkit_runtime as smolkit;
//!
//! async fn echo(socket: UdpSocket) -> std::io::Result<()> {
//!     let mut batch = RecvBatch::new(32, 2_048)?;
//!     loop {
//!         socket.recv_batch(&mut batch).await?;
//!         let mut answers: Vec<_> = batch.iter().map(|m| Transmit::new(m.bytes, m.from)).collect();
//!         let mut rest = &mut answers[..];
//!         while !rest.is_empty() {
//!             let sent = socket.send_batch(rest).await?;
//!             rest = &mut rest[sent..];
//!         }
//!     }
//! }
//!
//! smolkit::block_on(async {
//!     let server = UdpSocket::bind("127.0.0.1:0").await?;
//!     let client = UdpSocket::bind("127.0.0.1:0").await?;
//!     client.connect(server.local_addr()?).await?;
//!     let _server = smolkit::spawn(echo(server));
//!
//!     // Three datagrams in one message.
//!     client.send_batch(&mut [Transmit::connected(b"one two three").in_segments(5)]).await?;
//!     let (mut buffer, mut answers) = ([0; 16], Vec::new());
//!     while answers.len() < 3 {
//!         let count = client.recv(&mut buffer).await?;
//!         answers.push(String::from_utf8_lossy(&buffer[..count]).into_owned());
//!     }
//!     // Nobody promises their order.
//!     answers.sort();
//!     assert_eq!(answers, ["one t", "ree", "wo th"]);
//!     std::io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```

use std::task::{Context, Waker};

use smolkit_runtime::task;

mod ecn;
mod options;
mod pieces;
mod recv;
mod refusals;
mod send;
mod socket;
mod unbound;

pub use self::ecn::Ecn;
pub use self::recv::{Message, RecvBatch};
pub use self::send::Transmit;
pub use self::socket::UdpSocket;
pub use self::unbound::Unbound;

/// Has a batch count for as many operations as it takes the time of, so that whoever moves one after the other leaves others their turns.
fn account(messages: usize, bytes: usize) {
    let cost = messages / 4 + bytes / 8_192;
    // It is done, so nobody waits: what is spent makes the next operation wait.
    let mut nobody = Context::from_waker(Waker::noop());
    let _ = task::poll_budget(&mut nobody, u32::try_from(cost).unwrap_or(u32::MAX));
}

/// So many messages are received or sent with a call.
pub const BATCH_MAX: usize = 64;

/// So many datagrams are in a message that is sent (`UDP_MAX_SEGMENTS` of the Linux that knew it first).
pub const SEGMENTS_MAX: usize = 64;

/// So many bytes are in a message: what IPv4 leaves of 65,535.
pub const MESSAGE_BYTES_MAX: usize = 65_507;
