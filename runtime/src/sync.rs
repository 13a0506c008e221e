//! The one place from which the lock-free code takes its atomics and locks.
//!
//! `runtime/models` compiles the very same files against a twin of this module made of loom's types.

pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};
pub(crate) use std::sync::{Arc, Mutex, MutexGuard};
pub(crate) use std::thread;

use std::sync::PoisonError;

/// The size of a local queue; the models' twin is small, so that it overflows and wraps.
pub(crate) const QUEUE_CAPACITY: usize = 1024;

/// Locks `mutex`, whether or not a panic has poisoned it.
///
/// No foreign code (wakers, destructors of users' values) ever runs under one of our locks, so a
/// poisoned lock still guards consistent data.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
