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
//! - [`Async`], [`Timer`], [`unblock`], [`Unblock`]: wait for descriptors, for time, for work that blocks.
//! - [`time`]: sleeping, timeouts and intervals.
//! - [`channel`], [`lock`], [`sync`]: tasks wait for one another.
//! - [`fs`]: files and directories. [`process`]: subprocesses.
//! - [`net`]: TCP, UDP and Unix sockets. [`signal`]: being asked to stop.
//! - [`future`], [`io`], [`stream`], [`prelude`], [`pin!`], [`ready!`]: futures-lite.
//! - [`task`]: tasks by hand, for executors of one's own. ([`Builder`] builds a [`Runtime`]; async-task's is [`task::Builder`].)
//!
//! # Features
//!
//! | feature | adds | costs |
//! |---|---|---|
//! | `net` (default) | [`net`] | a crate of ours |
//! | `fs` (default) | [`fs`] | a crate of ours, tracing |
//! | `process` (default) | [`process`] | a crate of ours, `sync` |
//! | `sync` (default) | [`channel`], [`lock`], [`sync`] | async-channel, async-lock, async-broadcast |
//! | `http` | `http`: a server for HTTP/1 and HTTP/2 that takes an axum router | hyper, h2, axum |
//! | `metrics` | `metrics`: requests counted and timed by route, in Prometheus's text format | prometheus-client |
//!
//! Features only add; none changes what another one does.
//!
//! Default limits are listed where they apply: in the runtime's documentation and in that of `http`.

#![forbid(unsafe_code)]

#[doc(inline)]
pub use smolkit_runtime::{
    Async, Builder, Executor, FallibleTask, IoSafe, LocalExecutor, Readable, ReadableOwned,
    Runtime, Task, Timer, Unblock, Writable, WritableOwned, block_on, signal, spawn, task, time,
    unblock,
};

#[doc(inline)]
pub use futures_lite::{future, io, pin, prelude, ready, stream};

#[cfg(feature = "net")]
#[doc(inline)]
pub use smolkit_net as net;

#[cfg(feature = "fs")]
#[doc(inline)]
pub use smolkit_fs as fs;

#[cfg(feature = "process")]
#[doc(inline)]
pub use smolkit_process as process;

#[cfg(feature = "sync")]
#[doc(inline)]
pub use smolkit_sync::{self as sync, channel, lock};

#[cfg(feature = "http")]
#[doc(inline)]
pub use smolkit_service::http;

#[cfg(feature = "metrics")]
#[doc(inline)]
pub use smolkit_service::metrics;
