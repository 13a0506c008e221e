//! Runtimes: an executor with worker threads of its own.

mod builder;
mod global;
mod warden;
mod worker;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use self::builder::Builder;
pub use self::global::spawn;
pub(crate) use self::worker::Worker;

use self::warden::Warden;
use crate::Task;
use crate::context::EnterRuntime;
use crate::executor::state::Shared;
use crate::reactor::Shard;
use crate::sync::{Mutex, lock};

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
    is_stopping: AtomicBool,
    /// Workers that have been started.
    workers: AtomicUsize,
    /// Workers that have left, and are not to be waited for.
    gone: AtomicUsize,
}

/// A counted reference to a runtime.
#[derive(Clone)]
pub(crate) struct Handle(Arc<Inner>);

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
        self.handle.0.workers.load(Ordering::Relaxed)
    }

    /// Spawns a task on this runtime. After its shutdown the task is cancelled at once.
    pub fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        self.handle.spawn(future)
    }

    /// Runs a future on the current thread; [`spawn`](crate::spawn) means this runtime meanwhile.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let _entered = EnterRuntime::new(&self.handle);
        crate::block_on(future)
    }

    /// Shuts down, and waits no longer than `timeout` for polls that do not end.
    ///
    /// Tasks in such a poll are dropped when it ends, if it ever does; all others are dropped before this returns.
    pub fn shutdown_timeout(self, timeout: Duration) {
        self.shutdown(Instant::now().checked_add(timeout));
    }

    /// `None`: no deadline.
    fn shutdown(&self, deadline: Option<Instant>) {
        let inner = &self.handle.0;
        if inner.is_stopping.swap(true, Ordering::SeqCst) {
            // `shutdown_timeout` has done it, and was told how long to wait.
            return;
        }
        inner.shards.iter().for_each(|shard| shard.notify());
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
        inner.shared.close(deadline);
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
        while self.gone.load(Ordering::SeqCst) < count && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1).min(deadline - Instant::now().min(deadline)));
        }
    }
}

impl Handle {
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        // SAFETY: the future is `Send` and borrows nothing.
        unsafe { self.0.shared.spawn(future) }
    }
}
