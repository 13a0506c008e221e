//! Runs futures that need a Tokio runtime on any executor: reqwest, tonic's own transport, and whatever else calls `tokio::spawn`.
//!
//! ```
//! use std::time::Duration;
//! use smolkit_tokio_compat::compat;
//! # use smolkit_runtime as smolkit;
//!
//! let answer = smolkit::block_on(async {
//!     // Would panic without: "there is no reactor running".
//!     compat(async {
//!         tokio::time::sleep(Duration::from_millis(1)).await;
//!         tokio::spawn(async { 6 * 7 }).await
//!     })?
//!     .await
//!     .map_err(std::io::Error::other)
//! })?;
//! assert_eq!(answer, 42);
//! # std::io::Result::Ok(())
//! ```
//!
//! The future itself is polled where it was spawned: by a worker of smolkit, say. For the time of each poll, and while it is dropped, Tokio's context is there, so that
//! what it calls finds a reactor, timers and `tokio::spawn`. Those are a Tokio runtime's: by default one thread, `smolkit-tokio`, which starts with the first [`compat`].
//! [`TokioContext`] chooses another one.
//!
//! # What runs where
//!
//! | | on |
//! |---|---|
//! | the future that was given to [`compat`] or [`TokioContext::run`] | the executor that polls it |
//! | what it spawns by `tokio::spawn` (the connections of reqwest and tonic) | the Tokio runtime |
//! | Tokio's sockets and timers, wherever they are polled | woken by the Tokio runtime |
//!
//! So each wake-up for Tokio's I/O goes from one thread to another: a service that talks to others all day wants sockets of smolkit's. What Tokio's types return may leave the context
//! (a `reqwest::Client`, a `tonic` channel), but is used within it.
//!
//! # Panics and the end
//!
//! - A panic of the future goes to whoever polls it, as without this crate; the thread's context is what it was before.
//! - The runtime of a [`Builder`] ends when the last [`TokioContext`] and the last future of it are gone, or by [`TokioContext::shutdown`]. What it had spawned is
//!   dropped. The default one lives as long as the process.
//! - Tokio panics if a timer or socket of a runtime that was shut down is waited for: so let the futures end before.
//!
//! # Limits
//!
//! Tokio's budget, by which its tasks yield now and then, holds only for what `tokio::spawn` has spawned. A future that always finds data in a Tokio socket yields to
//! nobody on its worker, unless it says so itself.

#![forbid(unsafe_code)]

mod builder;
mod context;
mod future;

pub use self::builder::Builder;
pub use self::context::{TokioContext, compat, set_default};
pub use self::future::InContext;
