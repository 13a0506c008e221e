//! An executor that stays on its thread.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

use super::Executor;
use crate::Task;

/// An executor for futures that are not `Send`. It stays on the thread that made it.
///
/// Wakers of its tasks may go anywhere; the tasks themselves are polled and dropped on this thread.
///
/// ```compile_fail
/// fn assert_send<T: Send>() {}
/// assert_send::<smolkit_runtime::LocalExecutor<'static>>();
/// ```
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
/// use smolkit_runtime::{LocalExecutor, block_on};
///
/// let ex = LocalExecutor::new();
/// let shared = Rc::new(7);
/// let task = ex.spawn(async move { *shared + 1 });
/// assert_eq!(block_on(ex.run(task)), 8);
/// ```
pub struct LocalExecutor<'a> {
    inner: Executor<'a>,
    _not_send: PhantomData<Rc<()>>,
}

impl UnwindSafe for LocalExecutor<'_> {}
impl RefUnwindSafe for LocalExecutor<'_> {}

impl<'a> LocalExecutor<'a> {
    /// Creates an executor. Allocates nothing before the first use.
    pub const fn new() -> LocalExecutor<'a> {
        LocalExecutor { inner: Executor::new(), _not_send: PhantomData }
    }

    /// Whether there are no unfinished tasks.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Spawns a task. It runs when this thread calls [`run`](LocalExecutor::run) or
    /// [`tick`](LocalExecutor::tick).
    ///
    /// Dropping the [`Task`] cancels it, from whatever thread; its future is dropped on this one.
    pub fn spawn<T: 'a>(&self, future: impl Future<Output = T> + 'a) -> Task<T> {
        // SAFETY: this executor is neither `Send` nor `Sync`, so its tasks are polled and dropped on this thread only;
        // `drop` ends them before `'a` ends.
        unsafe { self.inner.shared().spawn(future) }
    }

    /// Spawns many tasks, and puts their handles into `handles`.
    pub fn spawn_many<T: 'a, F: Future<Output = T> + 'a>(
        &self,
        futures: impl IntoIterator<Item = F>,
        handles: &mut impl Extend<Task<F::Output>>,
    ) {
        handles.extend(futures.into_iter().map(|future| self.spawn(future)));
    }

    /// Runs one task if one is ready, and says whether it did.
    pub fn try_tick(&self) -> bool {
        self.inner.try_tick()
    }

    /// Waits until a task is ready, and runs it.
    pub async fn tick(&self) {
        self.inner.tick().await;
    }

    /// Runs tasks until `future` is done, and returns its output.
    pub async fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.inner.run(future).await
    }
}

impl Default for LocalExecutor<'_> {
    fn default() -> Self {
        LocalExecutor::new()
    }
}

impl fmt::Debug for LocalExecutor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalExecutor").finish_non_exhaustive()
    }
}
