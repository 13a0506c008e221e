//! A counted reference to a runtime.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::sync::Arc;

use super::{Inner, Metrics};
use crate::Task;
use crate::context::{self, EnterGuard, EnterRuntime};
use crate::executor::tracked::spawn_boxed_if_large;
use crate::sync::Ordering;

/// A reference to a [`Runtime`](crate::Runtime), to be handed around.
///
/// It does not keep the runtime running: when that has been shut down, tasks spawned here are cancelled at once.
///
/// # Examples
///
/// ```
/// use smolkit_runtime::Runtime;
///
/// let runtime = Runtime::builder().workers(1).build()?;
/// let handle = runtime.handle().clone();
/// let thread = std::thread::spawn(move || {
///     let task = handle.spawn(async { 1 + 2 });
///     handle.block_on(task)
/// });
/// assert_eq!(thread.join().unwrap(), 3);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct Handle(pub(super) Arc<Inner>);

impl Handle {
    /// The runtime that [`spawn`](crate::spawn) means here: the one whose worker or `block_on` this thread is in, or that it has
    /// [entered](Handle::enter).
    ///
    /// # Panics
    ///
    /// If there is none; see [`try_current`](Handle::try_current).
    pub fn current() -> Handle {
        match Handle::try_current() {
            Ok(handle) => handle,
            Err(error) => panic!("{error}"),
        }
    }

    /// [`current`](Handle::current) without the panic.
    ///
    /// # Errors
    ///
    /// If this thread is in no runtime. The global one, which [`spawn`](crate::spawn) falls back to, is not started for this.
    pub fn try_current() -> Result<Handle, TryCurrentError> {
        context::with_runtime(|runtime| runtime.cloned().ok_or(TryCurrentError(())))
    }

    /// Spawns a task on this runtime. After its shutdown the task is cancelled at once.
    pub fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        spawn_boxed_if_large!(future => {
            // SAFETY: the future is `Send` and borrows nothing.
            unsafe { self.0.shared.spawn(future) }
        })
    }

    /// Runs a future on the current thread; [`spawn`](crate::spawn) means this runtime meanwhile.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let _entered = EnterRuntime::new(self);
        crate::block_on(future)
    }

    /// Makes [`spawn`](crate::spawn) mean this runtime, on this thread and until the guard is dropped.
    pub fn enter(&self) -> EnterGuard<'_> {
        EnterGuard::new(self)
    }

    /// What the runtime has counted.
    pub fn metrics(&self) -> Metrics {
        Metrics(self.clone())
    }

    pub(super) fn workers(&self) -> usize {
        // Relaxed: it does not change once there is a handle.
        self.0.workers.load(Ordering::Relaxed)
    }

    pub(crate) fn may_start_threads(&self) -> bool {
        self.0.settings.has_helper_threads
    }

    pub(crate) fn as_ptr(&self) -> *const Inner {
        Arc::as_ptr(&self.0)
    }

    /// The handle whose `as_ptr` this is.
    ///
    /// # Safety
    ///
    /// Somebody else has to keep the runtime alive for as long as the result is in use.
    pub(crate) unsafe fn borrow_raw(inner: *const Inner) -> ManuallyDrop<Handle> {
        // SAFETY: the pointer came from an `Arc` that is alive, as the caller promises; it is not counted down.
        ManuallyDrop::new(Handle(unsafe { Arc::from_raw(inner) }))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("workers", &self.workers()).finish_non_exhaustive()
    }
}

/// There is no current runtime: the error of [`Handle::try_current`].
#[derive(Clone, Debug)]
pub struct TryCurrentError(());

impl fmt::Display for TryCurrentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "this thread is in no runtime: call this in a task, in a runtime's `block_on`, or after `enter`",
        )
    }
}

impl Error for TryCurrentError {}
