//! Unix sockets: streams, datagrams, sequenced packets.
//!
//! ```
//! use futures_lite::{AsyncReadExt, AsyncWriteExt};
//! use smolkit_net::unix::UnixStream;
//! # use smolkit_runtime as smolkit;
//!
//! smolkit::block_on(async {
//!     let (mut one, mut other) = UnixStream::pair()?;
//!     one.write_all(b"ping").await?;
//!     let mut buffer = [0; 4];
//!     other.read_exact(&mut buffer).await?;
//!     assert_eq!(&buffer, b"ping");
//!     assert_eq!(other.peer_cred()?.pid(), Some(std::process::id() as i32));
//!     std::io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! - [`UnixListener`], [`UnixStream`], [`UnixDatagram`]: names and signatures of async-net.
//! - [`UnixSeqpacketListener`], [`UnixSeqpacket`]: connections that keep the borders of messages.
//! - [`UnixSocket`]: options, and an address for a client, before the connection is there.
//! - The functions ending in `_addr` take a [`SocketAddr`], and so also names of Linux's abstract namespace
//!   ([`SocketAddrExt`](https://doc.rust-lang.org/std/os/linux/net/trait.SocketAddrExt.html) makes them).
//! - [`UnixStream::send_with_fds`] and its like pass open descriptors to another process.

mod addr;
mod connect;
mod credentials;
mod datagram;
mod fds;
mod listener;
mod pauses;
mod seqpacket;
mod socket;
mod stream;

#[doc(no_inline)]
pub use std::os::unix::net::SocketAddr;

pub use self::credentials::Credentials;
pub use self::datagram::UnixDatagram;
pub use self::fds::{FDS_MAX, Received};
pub(crate) use self::fds::{check_fds, recv as recv_fds, send as send_fds};
pub use self::listener::{Incoming, UnixListener};
pub use self::seqpacket::{UnixSeqpacket, UnixSeqpacketListener};
pub use self::socket::UnixSocket;
pub use self::stream::UnixStream;
