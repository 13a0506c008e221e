//! The smolkit runtime: executors, a reactor, timers and a pool for blocking work, small and fast.
//!
//! ```
//! use std::time::Duration;
//! use smolkit_runtime::{Timer, block_on, spawn};
//!
//! block_on(async {
//!     let task = spawn(async {
//!         Timer::after(Duration::from_millis(1)).await;
//!         "done"
//!     });
//!     assert_eq!(task.await, "done");
//! });
//! ```
//!
//! - [`block_on`], [`spawn`], [`Task`]: run futures. [`Runtime`]: workers of your own; [`Handle`], [`Metrics`].
//! - [`Executor`], [`LocalExecutor`]: executors as plain values.
//! - [`Async`]: any pollable file descriptor. [`unblock`]: work that blocks.
//! - [`time`]: sleeping, timeouts and intervals. [`Timer`]: smol's.
//! - [`signal`]: being asked to stop.
//!
//! Sockets and timers work on any executor, this crate's or another.
//!
//! # Limits
//!
//! | what | default | set by |
//! |---|---|---|
//! | workers of the global runtime | one per core | `SMOLKIT_THREADS`, `SMOL_THREADS` |
//! | workers of a runtime | one per core, 1,024 at most | [`Builder::workers`] |
//! | threads for blocking work | 500 | `BLOCKING_MAX_THREADS` |
//! | idle time of such a thread | 5 s | |

#![deny(unsafe_op_in_unsafe_fn)]

mod block_on;
mod blocking;
mod context;
mod executor;
mod io;
mod reactor;
mod rt;
pub mod signal;
mod sync;
mod sys;
pub mod time;
mod timer;
mod unblock;

pub use async_task::{FallibleTask, Task};

pub use self::block_on::block_on;
pub use self::blocking::unblock;
pub use self::context::EnterGuard;
pub use self::executor::{Executor, LocalExecutor, StaticExecutor, StaticLocalExecutor};
pub use self::io::{Async, IoSafe, Readable, ReadableOwned, Writable, WritableOwned};
pub use self::rt::{Builder, Handle, Metrics, Runtime, TryCurrentError, spawn};
pub use self::timer::Timer;
pub use self::unblock::Unblock;
