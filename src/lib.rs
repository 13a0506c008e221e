//! A batteries-included async toolkit: a small, fast runtime of its own, networking on it, and a service layer on top.
//!
//! ```
//! use smolkit::net::{TcpListener, TcpStream};
//! use smolkit::{io, prelude::*};
//!
//! smolkit::block_on(async {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let addr = listener.local_addr()?;
//!     let server = smolkit::spawn(async move {
//!         let (stream, _) = listener.accept().await?;
//!         io::copy(stream.clone(), stream).await
//!     });
//!     let mut client = TcpStream::connect(addr).await?;
//!     client.write_all(b"hello").await?;
//!     client.close().await?;
//!     let mut echo = String::new();
//!     client.read_to_string(&mut echo).await?;
//!     assert_eq!((echo.as_str(), server.await?), ("hello", 5));
//!     io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! Names and signatures are those of smol 2.x: `use smolkit as smol;`.
//!
//! - [`block_on`], [`spawn`], [`Task`], [`Runtime`], [`Executor`], [`LocalExecutor`]: run futures.
//! - [`Async`], [`Timer`], [`unblock`]: wait for descriptors, for time, for work that blocks.
//! - [`net`]: TCP, UDP and Unix sockets. [`signal`]: being asked to stop.
//! - [`future`], [`io`], [`stream`], [`prelude`]: futures-lite.
//!
//! # Features
//!
//! | feature | adds | costs |
//! |---|---|---|
//! | `net` (default) | [`net`] | a crate of ours |
//! | `http` | `http`: a server for HTTP/1 and HTTP/2 that takes an axum router | hyper, h2, axum |
//! | `metrics` | `metrics`: requests counted and timed by route, in Prometheus's text format | prometheus-client |
//!
//! Features only add; none changes what another one does.
//!
//! Default limits are listed where they apply: in the runtime's documentation and in that of `http`.

#![forbid(unsafe_code)]

#[doc(inline)]
pub use smolkit_runtime::{
    Async, Builder, Executor, LocalExecutor, Runtime, Task, Timer, block_on, signal, spawn, unblock,
};

#[doc(inline)]
pub use futures_lite::{future, io, pin, prelude, ready, stream};

#[cfg(feature = "net")]
#[doc(inline)]
pub use smolkit_net as net;

#[cfg(feature = "http")]
#[doc(inline)]
pub use smolkit_service::http;

#[cfg(feature = "metrics")]
#[doc(inline)]
pub use smolkit_service::metrics;
