//! The list of an executor's tasks that wait.

use std::mem::ManuallyDrop;
use std::task::Waker;

use slab::Slab;

use super::tracked;
use crate::sync::{Mutex, lock};

/// The wakers of tasks that wait.
///
/// They are borrowed: a task takes its waker out before its memory goes, so what is listed is good while the lock is held.
pub(crate) struct Waiting {
    wakers: Mutex<Slab<ManuallyDrop<Waker>>>,
}

impl Waiting {
    pub(crate) fn new() -> Waiting {
        Waiting { wakers: Mutex::new(Slab::new()) }
    }

    /// Lists a task.
    ///
    /// # Safety
    ///
    /// `remove` must be called before the waker's task is freed.
    pub(crate) unsafe fn insert(&self, waker: &Waker) -> usize {
        // SAFETY: the caller's promise.
        let waker = unsafe { tracked::borrow(waker) };
        lock(&self.wakers).insert(waker)
    }

    pub(crate) fn remove(&self, key: usize) {
        // Taken out, not dropped.
        let _ = lock(&self.wakers).try_remove(key);
    }

    /// Wakers of their own for all that are listed.
    pub(crate) fn all(&self) -> Vec<Waker> {
        lock(&self.wakers).iter().map(|(_, waker)| Waker::clone(waker)).collect()
    }
}
