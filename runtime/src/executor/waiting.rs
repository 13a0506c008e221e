//! The list of an executor's tasks that wait.

use std::task::Waker;

use slab::Slab;

use crate::sync::{Mutex, lock};

/// Wakers of the tasks that wait. They keep the tasks: without them, a detached task that nobody will wake would be freed
/// without its future being dropped.
pub(crate) struct Waiting {
    wakers: Mutex<Slab<Waker>>,
}

impl Waiting {
    pub(crate) fn new() -> Waiting {
        Waiting { wakers: Mutex::new(Slab::new()) }
    }

    /// Lists a task.
    pub(crate) fn insert(&self, waker: Waker) -> usize {
        lock(&self.wakers).insert(waker)
    }

    pub(crate) fn remove(&self, key: usize) {
        let waker = lock(&self.wakers).try_remove(key);
        drop(waker);
    }

    /// Wakers for all that are listed.
    pub(crate) fn all(&self) -> Vec<Waker> {
        lock(&self.wakers).iter().map(|(_, waker)| waker.clone()).collect()
    }
}
