//! Waiting for what a lock protects to change.

use std::fmt;
use std::mem;

use async_lock::{Mutex, MutexGuard};
use futures_lite::future::block_on;

use crate::waiters::Waiters;

/// Lets tasks wait for what a [`Mutex`] protects to change; as `std::sync::Condvar`, for the async lock.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use smolkit_sync::{Condvar, lock::Mutex};
///
/// # smolkit_runtime::block_on(async {
/// let pair = Arc::new((Mutex::new(false), Condvar::new()));
/// smolkit_runtime::spawn({
///     let pair = pair.clone();
///     async move {
///         *pair.0.lock().await = true;
///         pair.1.notify_one();
///     }
/// })
/// .detach();
/// let is_ready = pair.1.wait_while(pair.0.lock().await, |is_ready| !*is_ready).await;
/// assert!(*is_ready);
/// # });
/// ```
pub struct Condvar {
    waiters: Waiters,
}

impl Condvar {
    /// Nobody waits yet.
    pub const fn new() -> Condvar {
        Condvar { waiters: Waiters::new(false) }
    }

    /// Gives the lock up, waits to be notified, and takes the lock again.
    ///
    /// Others may get the lock first: look again at what you wait for, or use [`wait_while`](Condvar::wait_while).
    ///
    /// # Cancel safety
    ///
    /// The lock is given up. A notification that had come for this task goes to the next one.
    pub async fn wait<'m, T: ?Sized>(&self, guard: MutexGuard<'m, T>) -> MutexGuard<'m, T> {
        let mutex = MutexGuard::source(&guard);
        self.released(guard).await;
        let unused = Unused(&self.waiters);
        let guard = mutex.lock().await;
        unused.used();
        guard
    }

    /// Waits for as long as `condition` holds.
    ///
    /// # Cancel safety
    ///
    /// As [`wait`](Condvar::wait).
    pub async fn wait_while<'m, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'m, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'m, T> {
        while condition(&mut guard) {
            guard = self.wait(guard).await;
        }
        guard
    }

    /// [`wait`](Condvar::wait) for a thread that may block.
    pub fn wait_blocking<'m, T: ?Sized>(&self, guard: MutexGuard<'m, T>) -> MutexGuard<'m, T> {
        let mutex: &'m Mutex<T> = MutexGuard::source(&guard);
        block_on(self.released(guard));
        mutex.lock_blocking()
    }

    /// [`wait_while`](Condvar::wait_while) for a thread that may block.
    pub fn wait_while_blocking<'m, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'m, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'m, T> {
        while condition(&mut guard) {
            guard = self.wait_blocking(guard);
        }
        guard
    }

    /// Wakes the task that has waited for longest, if there is one.
    pub fn notify_one(&self) {
        self.waiters.wake_one();
    }

    /// Wakes all who wait now.
    pub fn notify_all(&self) {
        self.waiters.wake_all();
    }

    async fn released<T: ?Sized>(&self, guard: MutexGuard<'_, T>) {
        // The place is taken under the lock: no notification that follows a change is missed.
        let place = self.waiters.enter();
        drop(guard);
        place.await;
    }
}

impl Default for Condvar {
    fn default() -> Condvar {
        Condvar::new()
    }
}

/// A notification whose receiver has not got the lock yet: dropped, it goes to the next one.
struct Unused<'w>(&'w Waiters);

impl Unused<'_> {
    fn used(self) {
        // It holds nothing but a reference.
        mem::forget(self);
    }
}

impl Drop for Unused<'_> {
    fn drop(&mut self) {
        self.0.wake_one();
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}
