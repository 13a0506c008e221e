//! Tasks by hand: what an executor is made of.
//!
//! [`Task`] is what `spawn` returns, and [`FallibleTask`] what it becomes with [`Task::fallible`]. The rest is for those who write an executor of
//! their own: [`spawn`], [`spawn_local`], [`spawn_unchecked`] or a [`Builder`] make a task and its [`Runnable`], which a [`Schedule`] function
//! takes whenever the task is to run. All of it is [`async_task`]'s, so that tasks of this crate and of others are of one type.
//!
//! # Examples
//!
//! A queue of tasks that runs when one says so:
//!
//! ```
//! use std::sync::mpsc::channel;
//! use smolkit_runtime::{block_on, task};
//!
//! let (sender, queue) = channel();
//! let (runnable, task) = task::spawn(async { 1 + 2 }, move |runnable: task::Runnable| {
//!     // Nobody listens any more when all is done.
//!     let _ = sender.send(runnable);
//! });
//! runnable.schedule();
//! for runnable in queue.try_iter() {
//!     runnable.run();
//! }
//! assert_eq!(block_on(task), 3);
//! ```

#[doc(no_inline)]
pub use async_task::{
    Builder, FallibleTask, Runnable, Schedule, ScheduleInfo, Task, WithInfo, spawn, spawn_local,
    spawn_unchecked,
};
