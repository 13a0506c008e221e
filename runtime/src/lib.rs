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
//! - [`Async`]: any pollable file descriptor. [`unblock`], [`Unblock`]: work that blocks, on the threads of [`blocking`].
//! - [`time`]: sleeping, timeouts and intervals. [`Timer`]: smol's.
//! - [`task`]: tasks by hand, for executors of one's own.
//! - [`signal`]: being asked to stop (feature `signal`, on by default).
//!
//! Sockets and timers work on any executor, this crate's or another.
//!
//! # Limits
//!
//! | what | default | set by |
//! |---|---|---|
//! | workers of the global runtime | one per core | `SMOLKIT_THREADS`, `SMOL_THREADS` |
//! | workers of a runtime | one per core, 1,024 at most | [`Builder::workers`] |
//! | threads for blocking work | 500 | [`blocking::set_limits`], `BLOCKING_MAX_THREADS` |
//! | idle time of such a thread | 5 s | [`blocking::set_limits`] |
//! | bytes that an [`Unblock`] reads ahead or has to write | 1 MiB | [`Unblock::with_capacity`] |
//! | items that it takes ahead | 1,024 | [`Unblock::with_capacity`] |

#![deny(unsafe_op_in_unsafe_fn)]

mod block_on;
pub mod blocking;
mod context;
mod executor;
mod io;
mod reactor;
mod rt;
#[cfg(feature = "signal")]
pub mod signal;
mod sync;
mod sys;
pub mod task;
mod threads;
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
