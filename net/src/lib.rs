//! Networking for smolkit: TCP, UDP and Unix sockets, on the smolkit reactor and on any executor.
//!
//! ```
//! use futures_lite::{AsyncReadExt, AsyncWriteExt};
//! use smolkit_net::{TcpListener, TcpStream};
//! # use smolkit_runtime as smolkit;
//!
//! smolkit::block_on(async {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let mut client = TcpStream::connect(listener.local_addr()?).await?;
//!     let (mut server, _) = listener.accept().await?;
//!     client.write_all(b"ping").await?;
//!     let mut buffer = [0; 4];
//!     server.read_exact(&mut buffer).await?;
//!     assert_eq!(&buffer, b"ping");
//!     std::io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! - [`TcpListener`], [`TcpStream`], [`UdpSocket`], [`unix`]: names and signatures of async-net 2, and more.
//! - [`TcpConnector`], [`TcpSocket`]: deadlines and options before the connection is there. [`TcpListener::bind_many`]: a listener for each worker.
//! - [`AsyncToSocketAddrs`], [`resolve`]: host names, through the system's resolver on a thread that may block.
//! - [`copy`], [`copy_bidirectional`]: from one socket to another inside the kernel.
//! - [`split`]: the two directions of a stream as values of their own.
//!
//! # Features
//!
//! | feature | adds | costs |
//! |---|---|---|
//! | `hyper` | hyper's I/O traits on the stream sockets and their halves, without a copy and without zeroing | hyper's traits |
//! | `tokio` | Tokio's I/O traits, likewise | Tokio's traits, no runtime |
//! | `smol-compat` | conversions from and to the types of async-net | async-net and async-io |

#![deny(unsafe_code)]

mod accept;
mod addr;
#[cfg(feature = "smol-compat")]
mod compat;
mod conversions;
mod copy;
#[cfg(feature = "hyper")]
mod hyper_io;
mod sockets;
pub mod split;
mod stream;
mod sys;
mod tcp;
#[cfg(feature = "tokio")]
mod tokio_io;
mod udp;
pub mod unix;

pub use self::addr::{AsyncToSocketAddrs, resolve};
pub use self::copy::{copy, copy_bidirectional};
pub use self::stream::StreamSocket;
pub use self::tcp::{ConnectError, Incoming, TcpConnector, TcpListener, TcpSocket, TcpStream};
pub use self::udp::UdpSocket;

#[doc(no_inline)]
pub use std::net::{
    AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6,
};
