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

use std::task::{Context, Poll};

use crate::context;

#[doc(no_inline)]
pub use async_task::{
    Builder, FallibleTask, Runnable, Schedule, ScheduleInfo, Task, WithInfo, spawn, spawn_local,
    spawn_unchecked,
};

/// Lets others have their turn, now and then: for those who write operations that may succeed again and again without waiting.
///
/// To be called before such an operation. A task's poll may do 64 of them; then this is pending, once, and the task is woken for its next turn. `cost`: as many of them as
/// this one is worth, about a microsecond each. Sockets, files and timers do so already. Outside of tasks and of `block_on` it is always ready.
///
/// Where the operation may have to wait, [`poll_within_budget`] takes that into account.
///
/// # Examples
///
/// ```
/// use std::future::poll_fn;
/// use smolkit_runtime::{block_on, task};
///
/// async fn sum(numbers: &[u64]) -> u64 {
///     let mut sum = 0;
///     for part in numbers.chunks(1000) {
///         poll_fn(|cx| task::poll_budget(cx, 1)).await;
///         sum += part.iter().sum::<u64>();
///     }
///     sum
/// }
///
/// assert_eq!(block_on(sum(&[1; 1_000_000])), 1_000_000);
/// ```
#[inline]
pub fn poll_budget(cx: &mut Context<'_>, cost: u32) -> Poll<()> {
    poll_within_budget(cx, cost, |_| Poll::Ready(()))
}

/// [`poll_budget`], and then `operation`, which costs nothing if it is pending.
///
/// For functions that poll: they may be called many times until they are ready, and a task may wait for any number of such operations at a time.
///
/// # Examples
///
/// A counter that is always ahead, and a task that counts on it without keeping others from their turns:
///
/// ```
/// use std::future::poll_fn;
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use std::task::{Context, Poll};
/// use smolkit_runtime::{block_on, task};
///
/// fn poll_next(counter: &AtomicU32, cx: &mut Context<'_>) -> Poll<u32> {
///     task::poll_within_budget(cx, 1, |_| Poll::Ready(counter.fetch_add(1, Ordering::Relaxed)))
/// }
///
/// let counter = AtomicU32::new(0);
/// block_on(async {
///     while poll_fn(|cx| poll_next(&counter, cx)).await < 1_000 {}
/// });
/// ```
#[inline]
pub fn poll_within_budget<T>(
    cx: &mut Context<'_>,
    cost: u32,
    operation: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    let Some(budget) = context::spend_budget(cost) else {
        cx.waker().wake_by_ref();
        return Poll::Pending;
    };
    let polled = operation(cx);
    if polled.is_pending() {
        context::restore_budget(budget);
    }
    polled
}
