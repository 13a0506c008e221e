//! Executors that are never dropped.

use std::fmt;
use std::future::Future;
use std::panic::{RefUnwindSafe, UnwindSafe};

use super::tracked::spawn_boxed_if_large;
use super::{Executor, LocalExecutor};
use crate::Task;

/// An [`Executor`] that is never dropped, so that it can stand in a `static`.
///
/// Its tasks live as long as the process, unless they end before. Nothing is lost against an [`Executor`], and nothing gained but the `'static`: both spawn, run
/// and wake at the same cost.
///
/// # Examples
///
/// ```
/// use smolkit_runtime::{StaticExecutor, block_on};
///
/// static EXECUTOR: StaticExecutor = StaticExecutor::new();
///
/// let task = EXECUTOR.spawn(async { 1 + 2 });
/// assert_eq!(block_on(EXECUTOR.run(task)), 3);
/// ```
#[derive(Default)]
pub struct StaticExecutor {
    executor: Executor<'static>,
}

impl StaticExecutor {
    /// Creates an executor. Allocates nothing before the first use.
    pub const fn new() -> StaticExecutor {
        StaticExecutor { executor: Executor::new() }
    }

    /// Spawns a task, as [`Executor::spawn`] does.
    pub fn spawn<T: Send + 'static>(
        &'static self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        spawn_boxed_if_large!(future => self.executor.spawn(future))
    }

    /// Spawns a task that borrows.
    ///
    /// # Safety
    ///
    /// What the future borrows must live until the task has ended: its future has been dropped.
    pub unsafe fn spawn_scoped<'a, T: Send + 'a>(
        &'static self,
        future: impl Future<Output = T> + Send + 'a,
    ) -> Task<T> {
        spawn_boxed_if_large!(future => {
            // SAFETY: the future is `Send`. The executor is never dropped; what the future borrows is the caller's promise.
            unsafe { self.executor.shared().spawn(future) }
        })
    }

    /// Runs one task if one is ready, and says whether it did.
    pub fn try_tick(&self) -> bool {
        self.executor.try_tick()
    }

    /// Waits until a task is ready, and runs it.
    pub async fn tick(&self) {
        self.executor.tick().await;
    }

    /// Runs tasks until `future` is done, and returns its output.
    ///
    /// # Cancel safety
    ///
    /// As [`Executor::run`].
    pub async fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.executor.run(future).await
    }
}

impl fmt::Debug for StaticExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticExecutor").finish_non_exhaustive()
    }
}

impl Executor<'static> {
    /// Makes this executor one that is never dropped. Its tasks stay.
    pub fn leak(self) -> &'static StaticExecutor {
        Box::leak(Box::new(StaticExecutor { executor: self }))
    }
}

/// A [`LocalExecutor`] that is never dropped.
///
/// # Examples
///
/// ```
/// use smolkit_runtime::{LocalExecutor, block_on};
///
/// let executor = LocalExecutor::new().leak();
/// let task = executor.spawn(async { executor.spawn(async { 3 }).await });
/// assert_eq!(block_on(executor.run(task)), 3);
/// ```
///
/// It may move to another thread as long as nothing has been spawned, but not be shared:
///
/// ```compile_fail
/// fn assert_sync<T: Sync>() {}
/// assert_sync::<smolkit_runtime::StaticLocalExecutor>();
/// ```
#[derive(Default)]
pub struct StaticLocalExecutor {
    executor: LocalExecutor<'static>,
}

// SAFETY: tasks come into being through `&'static self` only, after which the value cannot move; without tasks nothing in a local executor
// belongs to a thread (its core learns which one is its own at the first spawn).
unsafe impl Send for StaticLocalExecutor {}

impl UnwindSafe for StaticLocalExecutor {}
impl RefUnwindSafe for StaticLocalExecutor {}

impl StaticLocalExecutor {
    /// Creates an executor. Allocates nothing before the first use.
    pub const fn new() -> StaticLocalExecutor {
        StaticLocalExecutor { executor: LocalExecutor::new() }
    }

    /// Spawns a task, as [`LocalExecutor::spawn`] does.
    pub fn spawn<T: 'static>(&'static self, future: impl Future<Output = T> + 'static) -> Task<T> {
        spawn_boxed_if_large!(future => self.executor.spawn(future))
    }

    /// Spawns a task that borrows.
    ///
    /// # Safety
    ///
    /// What the future borrows must live until the task has ended: its future has been dropped.
    pub unsafe fn spawn_scoped<'a, T: 'a>(
        &'static self,
        future: impl Future<Output = T> + 'a,
    ) -> Task<T> {
        spawn_boxed_if_large!(future => {
            // SAFETY: the executor is not `Sync`, so this is its thread. It is never dropped; what the future borrows is the caller's promise.
            unsafe { self.executor.spawn_unchecked(future) }
        })
    }

    /// Runs one task if one is ready, and says whether it did.
    pub fn try_tick(&self) -> bool {
        self.executor.try_tick()
    }

    /// Waits until a task is ready, and runs it.
    pub async fn tick(&self) {
        self.executor.tick().await;
    }

    /// Runs tasks until `future` is done, and returns its output.
    ///
    /// # Cancel safety
    ///
    /// As [`LocalExecutor::run`].
    pub async fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.executor.run(future).await
    }
}

impl fmt::Debug for StaticLocalExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticLocalExecutor").finish_non_exhaustive()
    }
}

impl LocalExecutor<'static> {
    /// Makes this executor one that is never dropped. Its tasks stay.
    pub fn leak(self) -> &'static StaticLocalExecutor {
        Box::leak(Box::new(StaticLocalExecutor { executor: self }))
    }
}
