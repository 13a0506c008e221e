//! The twin of the runtime's `sync.rs`.

use std::collections::VecDeque;
use std::time::Duration;

pub(crate) use shuttle::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence,
};
pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard};
pub(crate) use shuttle::{thread, thread_local};

/// The process's own, not one of a scenario.
pub(crate) use std::sync::atomic::AtomicPtr as StaticPtr;

/// Small, so that scenarios overflow it and wrap around.
pub(crate) const QUEUE_CAPACITY: usize = 4;

/// Less than a queue holds.
pub(crate) const BACKLOG_MIN: usize = 2;

pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no scenario panics under a lock")
}

/// A queue whose calls are one step each, with other threads' steps in between.
#[derive(Debug)]
pub(crate) struct ConcurrentQueue<T>(Mutex<VecDeque<T>>);

#[derive(Debug)]
pub(crate) struct PopError;

impl<T> ConcurrentQueue<T> {
    pub(crate) fn unbounded() -> ConcurrentQueue<T> {
        ConcurrentQueue(Mutex::new(VecDeque::new()))
    }

    pub(crate) fn push(&self, item: T) -> Result<(), T> {
        lock(&self.0).push_back(item);
        Ok(())
    }

    pub(crate) fn pop(&self) -> Result<T, PopError> {
        lock(&self.0).pop_front().ok_or(PopError)
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.0).len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }
}

/// A clock that stands still.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Instant(Duration);

impl Instant {
    pub(crate) fn now() -> Instant {
        Instant(Duration::from_secs(1))
    }

    pub(crate) fn elapsed(self) -> Duration {
        Instant::now().saturating_duration_since(self)
    }

    pub(crate) fn duration_since(self, earlier: Instant) -> Duration {
        self.saturating_duration_since(earlier)
    }

    pub(crate) fn saturating_duration_since(self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    pub(crate) fn checked_add(self, duration: Duration) -> Option<Instant> {
        self.0.checked_add(duration).map(Instant)
    }
}
