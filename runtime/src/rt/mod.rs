//! Runtimes: an executor with worker threads of its own.

mod builder;
mod global;
mod handle;
mod metrics;
mod stalls;
pub(crate) mod warden;
mod worker;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

pub use self::builder::Builder;
pub use self::global::spawn;
pub use self::handle::{Handle, TryCurrentError};
pub use self::metrics::Metrics;
pub(crate) use self::worker::Worker;

use self::builder::Settings;
use self::metrics::Counters;
use self::stalls::Stalls;
use self::warden::Warden;
use crate::Task;
use crate::context::EnterGuard;
use crate::executor::state::Shared;
use crate::executor::tracked::spawn_boxed_if_large;
use crate::reactor::Shard;
use crate::reactor::helper::{Attendance, Ward};
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{AtomicBool, AtomicUsize, Condvar, Instant, Mutex, Ordering, lock};

/// Worker threads that run tasks and wait for I/O, each with a poller and timers of its own.
///
/// [`spawn`](crate::spawn) starts a global one when it is first needed; make your own to choose the number of workers or to
/// shut it down.
///
/// Dropping a runtime shuts it down: it waits until every worker has finished the poll it is in, then drops all
/// tasks. [`shutdown_timeout`](Runtime::shutdown_timeout) bounds the wait.
///
/// # Examples
///
/// ```
/// use smolkit_runtime::Runtime;
///
/// let runtime = Runtime::builder().workers(2).build()?;
/// let sum = runtime.block_on(async {
///     let task = smolkit_runtime::spawn(async { 1 + 2 });
///     task.await
/// });
/// assert_eq!(sum, 3);
/// # std::io::Result::Ok(())
/// ```
pub struct Runtime {
    handle: Handle,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What workers and users share.
pub(crate) struct Inner {
    pub(crate) shared: Shared,
    shards: Box<[Arc<Shard>]>,
    warden: Warden,
    stalls: Stalls,
    counters: Box<[Counters]>,
    settings: Settings,
    is_stopping: AtomicBool,
    /// Workers that have been started.
    workers: AtomicUsize,
    /// Workers in a poll that may sleep where it drives nothing.
    at_risk: AtomicUsize,
    /// Whether the helper looks after us, because that are all of them.
    is_ward: AtomicBool,
    /// Workers that have left, and are not to be waited for.
    gone: Mutex<usize>,
    has_gone: Condvar,
}

impl Runtime {
    /// Starts a runtime with one worker for each core.
    ///
    /// # Errors
    ///
    /// When the system gives no more threads or file descriptors; nothing is left behind then.
    pub fn new() -> std::io::Result<Runtime> {
        Runtime::builder().build()
    }

    /// Lets you choose.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.handle.workers()
    }

    /// A reference to this runtime, to be cloned and handed around.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// What this runtime has counted.
    pub fn metrics(&self) -> Metrics {
        self.handle.metrics()
    }

    /// Makes [`spawn`](crate::spawn) mean this runtime, on this thread and until the guard is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = smolkit_runtime::Runtime::builder().workers(1).build()?;
    /// let _entered = runtime.enter();
    /// let task = smolkit_runtime::spawn(async { 7 });
    /// assert_eq!(smolkit_runtime::block_on(task), 7);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }

    /// Spawns a task on this runtime. After its shutdown the task is cancelled at once.
    pub fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        spawn_boxed_if_large!(future => self.handle.spawn(future))
    }

    /// Runs a future on the current thread; [`spawn`](crate::spawn) means this runtime meanwhile.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.handle.block_on(future)
    }

    /// Shuts down, and waits no longer than `timeout` for polls that do not end.
    ///
    /// Tasks in such a poll are dropped when it ends, if it ever does; all others are dropped before this returns.
    pub fn shutdown_timeout(self, timeout: Duration) {
        self.shutdown(Instant::now().checked_add(timeout));
    }

    /// Shuts down without waiting: what is not in a poll just now is dropped before this returns, the rest when its poll ends.
    pub fn shutdown_background(self) {
        self.shutdown(Some(Instant::now()));
    }

    /// `None`: no deadline.
    fn shutdown(&self, deadline: Option<Instant>) {
        let inner = &self.handle.0;
        if inner.is_stopping.swap(true, Ordering::SeqCst) {
            // `shutdown_timeout` has done it, and was told how long to wait.
            return;
        }
        inner.shards.iter().for_each(|shard| shard.call());
        let mut threads = std::mem::take(&mut *lock(&self.threads));
        // A task that drops its own runtime runs on a worker, which can wait neither for itself nor for that task.
        let me = thread::current().id();
        let is_worker = threads.iter().any(|thread| thread.thread().id() == me);
        threads.retain(|thread| thread.thread().id() != me);
        let deadline = if is_worker { Some(Instant::now()) } else { deadline };
        match deadline {
            None => {
                for thread in threads {
                    // A worker's panics have been caught, counted and reported where they happened.
                    let _ = thread.join();
                }
            }
            Some(deadline) => inner.wait_for_workers(threads.len(), deadline),
        }
        if !inner.shared.close(deadline) && inner.have_all_gone() {
            inner.sweep();
        }
        inner.shards.iter().for_each(|shard| shard.close());
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.shutdown(None);
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("workers", &self.workers()).finish_non_exhaustive()
    }
}

impl Inner {
    fn wait_for_workers(&self, count: usize, deadline: Instant) {
        let mut gone = lock(&self.gone);
        while *gone < count {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.has_gone.wait_timeout(gone, left);
            gone = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A worker has left.
    fn note_gone(&self) {
        *lock(&self.gone) += 1;
        self.has_gone.notify_all();
    }

    fn have_all_gone(&self) -> bool {
        // Relaxed: it has not changed since the runtime was built.
        *lock(&self.gone) >= self.workers.load(Ordering::Relaxed)
    }

    /// After a shutdown that did not wait, and without workers: what another thread is about to push after a look that came before the end, it pushes
    /// for nobody. Of the last worker to leave and the shutdown, whoever comes second does this.
    fn sweep(&self) {
        self.shared.close(Instant::now().checked_add(SWEEP_MAX));
    }

    fn is_everybody_at_risk(&self) -> bool {
        // Relaxed: it does not change once there are tasks.
        self.at_risk.load(Ordering::SeqCst) >= self.workers.load(Ordering::Relaxed)
    }
}

/// Those who are about to push a task do it in a few steps. One that is kept from them for longer leaves it to the end of the last handle.
const SWEEP_MAX: Duration = Duration::from_secs(1);

/// A ward of the helper while all workers are in polls that may never come back to a poller. One that is not would look after the others.
impl Ward for Inner {
    fn attendance(&self) -> Attendance {
        if self.shared.state.is_closed() {
            return Attendance::Over;
        }
        if self.is_everybody_at_risk() {
            return Attendance::Away;
        }
        self.is_ward.store(false, Ordering::SeqCst);
        // Who was the last to be at risk, and came before that, has not told the helper.
        if self.is_everybody_at_risk() && !self.is_ward.swap(true, Ordering::SeqCst) {
            return Attendance::Away;
        }
        Attendance::Over
    }

    fn progress(&self) -> usize {
        self.shards.iter().fold(0, |sum, shard| sum.wrapping_add(shard.progress()))
    }

    fn shards(&self, shards: &mut Vec<Arc<Shard>>) -> bool {
        if let [shard] = &self.shards[..] {
            shards.push(shard.clone());
            return true;
        }
        shards.extend(self.shards.iter().filter(|shard| !shard.is_idle()).cloned());
        false
    }
}
