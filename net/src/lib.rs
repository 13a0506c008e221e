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
//! - [`udp`]: many datagrams with a call (`sendmmsg`, `recvmmsg`), cut and joined by the kernel (GSO, GRO).
//! - [`AsyncToSocketAddrs`], [`resolve`]: host names, through the system's resolver on a thread that may block, or through `dns` (feature).
//! - [`copy`], [`copy_bidirectional`]: from one socket to another, or from a [`FileRange`], inside the kernel.
//! - [`handover`]: sockets from systemd or from the process that ran before, and for the one that comes next.
//! - `tls` (feature): TLS for clients and servers, on any transport.
//! - [`split`]: the two directions of a stream as values of their own.
//!
//! # Errors
//!
//! Which [`ErrorKind`](std::io::ErrorKind) a socket gives, on Linux. No signal comes with any of them: a closed peer ends no process, also where SIGPIPE has its default effect;
//! what is taken out of our types as an `Async` or a socket of std is std's, whose vectored writes do raise it.
//!
//! | what has happened | reading | writing |
//! |---|---|---|
//! | TCP: the peer has ended its direction (half-close) | `Ok(0)` | works |
//! | TCP: the peer has closed | `Ok(0)` | works once, then `BrokenPipe` |
//! | TCP: the peer has reset the connection, or closed it with bytes unread | `ConnectionReset` once, then `Ok(0)` | `ConnectionReset` if nobody was told before, then `BrokenPipe` |
//! | TCP: the peer takes nothing for longer than [`set_user_timeout`](TcpSocket::set_user_timeout), or keepalive finds nobody | `TimedOut` once, then `Ok(0)` | `TimedOut` once, then `BrokenPipe` |
//! | Unix stream: the peer has closed, or ended its reading direction | `Ok(0)` if it has closed | `BrokenPipe` |
//! | Unix stream: the peer has closed with bytes unread | what was sent, `ConnectionReset` once, then `Ok(0)` | `ConnectionReset` once, or `BrokenPipe` |
//! | this end has shut down the direction | `Ok(0)` | `BrokenPipe` |
//! | connected UDP: nobody has that port | `ConnectionRefused` once, after a `send` | `ConnectionRefused` once, in the next `send` |
//! | Unix datagram: the receiver has gone | | `ConnectionRefused`; `NotFound` if its path has gone too |
//!
//! | connecting, binding, accepting | |
//! |---|---|
//! | nobody listens | `ConnectionRefused`; Unix: `NotFound` if there is no such path |
//! | no route; the network says that it cannot, or must not | `NetworkUnreachable`; `HostUnreachable`; `PermissionDenied` |
//! | no answer in the time of a [`TcpConnector`], or of the system | `TimedOut` |
//! | the address is taken, not this machine's, or a port below 1,024 | `AddrInUse`, `AddrNotAvailable`, `PermissionDenied` |
//! | no address, or none that can be read | `InvalidInput` |
//! | too many open descriptors; a family that the system does not have | EMFILE, ENFILE and EAFNOSUPPORT, like others, have no stable kind: [`raw_os_error`](std::io::Error::raw_os_error), in [`ConnectError::attempts`] too. A connection waits to be accepted meanwhile |
//! | the client has gone before it was accepted | none: the first read says `ConnectionReset` |
//! | a datagram that is too long; no receiver | `raw_os_error`: EMSGSIZE; EDESTADDRREQ |
//! | `peer_addr`, `shutdown` of a TCP connection that is gone | `NotConnected`. Of a Unix one, on Linux: none |
//!
//! # Features
//!
//! | feature | adds | costs |
//! |---|---|---|
//! | `dns` | `dns`: a resolver of our own, with `tls` also over TLS, used for connections when the program asks for it | hickory's crates, about 70; Rust 1.88 |
//! | `hyper` | hyper's I/O traits on the stream sockets and their halves, without a copy and without zeroing | hyper's traits |
//! | `tokio` | Tokio's I/O traits, likewise | Tokio's traits, no runtime |
//! | `smol-compat` | conversions from and to the types of async-net | async-net and async-io |
//! | `tls` | `tls-ring` and `tls-platform-roots` | theirs |
//! | `tls-ring` | `tls` with ring's cryptography | rustls, ring, der; a C compiler to build |
//! | `tls-aws-lc` | `tls` with AWS-LC's, and key exchange that resists quantum computers | rustls, aws-lc-rs, der; a C compiler and a minute to build |
//! | `tls-platform-roots` | `Roots::platform`: clients may trust whom the system trusts | rustls-platform-verifier |
//! | `tls-webpki-roots` | `Roots::webpki`: clients may trust whom Mozilla trusted at that time | 100 KiB of program |

#![deny(unsafe_code)]

mod accept;
mod addr;
#[cfg(feature = "smol-compat")]
mod compat;
mod conversions;
mod copy;
#[cfg(feature = "dns")]
pub mod dns;
pub mod handover;
#[cfg(feature = "hyper")]
mod hyper_io;
mod options;
mod sockets;
pub mod split;
mod stream;
mod sys;
mod tcp;
#[cfg(feature = "_tls")]
pub mod tls;
#[cfg(feature = "tokio")]
mod tokio_io;
pub mod udp;
pub mod unix;

pub use self::addr::{AsyncToSocketAddrs, resolve};
pub use self::copy::{CopySource, FileRange, copy, copy_bidirectional};
pub use self::stream::StreamSocket;
pub use self::tcp::{ConnectError, Incoming, TcpConnector, TcpListener, TcpSocket, TcpStream};
#[doc(inline)]
pub use self::udp::UdpSocket;

#[doc(no_inline)]
pub use std::net::{
    AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6,
};
