//! Networking for smolkit: TCP, on the smolkit reactor and on any executor.
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
//! - [`TcpListener`], [`TcpStream`]: names and signatures of async-net.
//! - [`AsyncToSocketAddrs`], [`resolve`]: host names, through the system's resolver on a thread that may block.
//!
//! With the feature `hyper`, [`TcpStream`] implements hyper's I/O traits, without a copy and without zeroing.

#![deny(unsafe_code)]

mod addr;
#[cfg(feature = "hyper")]
mod hyper_io;
mod tcp;

pub use self::addr::{AsyncToSocketAddrs, resolve};
pub use self::tcp::{Incoming, TcpListener, TcpStream};
