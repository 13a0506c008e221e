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
//! - [`block_on`], [`spawn`], [`Task`], [`Executor`], [`LocalExecutor`], and the same for a `static` ([`StaticExecutor`], [`StaticLocalExecutor`]): run futures.
//! - [`Runtime`], [`Handle`], [`Metrics`]: workers of your own.
//! - [`Async`], [`Timer`], [`unblock`], [`Unblock`]: wait for descriptors, for time, for work that blocks. [`blocking`]: the limits of the latter.
//! - [`time`]: sleeping, timeouts and intervals.
//! - [`channel`], [`lock`], [`sync`]: tasks wait for one another.
//! - [`fs`]: files and directories. [`process`]: subprocesses.
//! - [`net`]: TCP, UDP and Unix sockets, TLS. [`signal`]: Unix signals, above all being asked to stop.
//! - [`future`], [`io`], [`stream`], [`prelude`], [`pin!`], [`ready!`]: futures-lite.
//! - [`task`]: tasks by hand, for executors of one's own. ([`Builder`] builds a [`Runtime`]; async-task's is [`task::Builder`].)
//!
//! # Features
//!
//! | feature | adds | costs |
//! |---|---|---|
//! | `net` (default) | [`net`] | a crate of ours |
//! | `fs` (default) | [`fs`] | a crate of ours, tracing |
//! | `process` (default) | [`process`] | a crate of ours, `sync`, `signal` |
//! | `signal` (default) | [`signal`] | signal-hook |
//! | `sync` (default) | [`channel`], [`lock`], [`sync`] | async-channel, async-lock, async-broadcast |
//! | `dns` | `net::dns`: a resolver with a cache, for names and for SRV, TXT, MX and PTR records, with `tls` also over TLS; used by connections when the program asks for it | hickory's crates; Rust 1.88 |
//! | `http` | `http`: a server for HTTP/1 and HTTP/2 that takes an axum router | hyper, h2, axum; `signal` |
//! | `metrics` | `metrics`: requests counted and timed by route, in Prometheus's text format | prometheus-client |
//! | `tls` | `net::tls`: TLS for clients and servers, with ring and the system's roots | rustls, ring, rustls-platform-verifier; about 1 MiB of program; a C compiler to build |
//! | `tls-ring`, `tls-aws-lc` | the same with this cryptography and without roots; AWS-LC adds post-quantum key exchange | ring, or aws-lc-rs, which takes a minute to build |
//! | `tls-platform-roots`, `tls-webpki-roots` | `Roots::platform`, `Roots::webpki` | rustls-platform-verifier, or webpki-roots (100 KiB of program) |
//! | `smol-compat` | conversions between the sockets of [`net`] and those of async-net 2 | async-net, async-io, blocking |
//! | `hyper` | hyper's `rt::Read` and `rt::Write` on the sockets of [`net`] | hyper's traits |
//! | `tokio` | Tokio's `AsyncRead` and `AsyncWrite` on the sockets of [`net`] | Tokio's traits, no runtime |
//! | `tokio-compat` | `tokio_compat`: futures that need Tokio run here; and Tokio's I/O traits on the sockets of [`net`] | Tokio's runtime, which starts a thread when it is needed first |
//!
//! Features only add; none changes what another one does.
//!
//! Default limits are listed where they apply: in the runtime's documentation and in that of `http`.

#![forbid(unsafe_code)]

#[doc(inline)]
pub use smolkit_runtime::{
    Async, Builder, EnterGuard, Executor, FallibleTask, Handle, IoSafe, LocalExecutor, Metrics,
    Readable, ReadableOwned, Runtime, StaticExecutor, StaticLocalExecutor, Task, Timer,
    TryCurrentError, Unblock, Writable, WritableOwned, block_on, blocking, spawn, task, time,
    unblock,
};

#[doc(inline)]
pub use futures_lite::{future, io, pin, prelude, ready, stream};

#[cfg(feature = "signal")]
#[doc(inline)]
pub use smolkit_runtime::signal;

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

#[cfg(feature = "tokio-compat")]
#[doc(inline)]
pub use smolkit_tokio_compat as tokio_compat;
