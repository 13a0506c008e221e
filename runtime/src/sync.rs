//! The one place from which everything that threads share takes its atomics, its locks and its threads.
//!
//! `runtime/models` compiles the very same files against a twin of this module made of loom's types, and `runtime/schedules` against one
//! made of shuttle's. What stays with the standard library: `Arc`, which tasks and wakers insist on, and the cells that are set once in a process. Two
//! flags of `signal` are none of this: signal-hook asks for the standard library's.

pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence,
};
pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard};
pub(crate) use std::time::Instant;
pub(crate) use std::{thread, thread_local};

/// A pointer in a `static`.
pub(crate) use std::sync::atomic::AtomicPtr as StaticPtr;

pub(crate) use concurrent_queue::ConcurrentQueue;

use std::sync::PoisonError;

/// The size of a local queue; the models' twins are small, so that it overflows and wraps.
pub(crate) const QUEUE_CAPACITY: usize = 1024;

/// With several workers, so many tasks have to wait in a worker's queue before another one is woken to help, or takes some of them.
///
/// Fewer are reached by their owner within microseconds, and would only drag their connections' memory to another
/// core; the warden sees to it that an owner that does not get there is relieved.
pub(crate) const BACKLOG_MIN: usize = 16;

/// Locks `mutex`, whether or not a panic has poisoned it.
///
/// No foreign code (wakers, destructors of users' values) ever runs under one of our locks, so a
/// poisoned lock still guards consistent data.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
