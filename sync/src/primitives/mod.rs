//! The one place from which this crate takes its locks and atomics.
//!
//! `sync/models` compiles the very same files against a twin of this module made of loom's types.

mod cell;

pub(crate) use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
pub(crate) use std::sync::{Arc, Mutex, MutexGuard};
pub(crate) use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

pub(crate) use futures_lite::future::block_on;

pub(crate) use self::cell::UnsafeCell;

use std::sync::PoisonError;

/// Locks `mutex`, whether or not a panic has poisoned it.
///
/// No foreign code (wakers, destructors and clones of users' values) ever runs under one of our locks, so a poisoned one still guards consistent data.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
