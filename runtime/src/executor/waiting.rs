//! The list of an executor's tasks that wait.

use std::task::Waker;

use slab::Slab;

use crate::sync::{Mutex, lock};

/// The wakers of tasks that wait.
///
/// They are counted: a task that nobody else could wake is freed, without its future being dropped, when its poll ends.
pub(crate) struct Waiting {
    wakers: Mutex<Slab<Waker>>,
}

impl Waiting {
    pub(crate) fn new() -> Waiting {
        Waiting { wakers: Mutex::new(Slab::new()) }
    }

    /// Lists a task.
    pub(crate) fn insert(&self, waker: &Waker) -> usize {
        let waker = waker.clone();
        lock(&self.wakers).insert(waker)
    }

    pub(crate) fn remove(&self, key: usize) {
        let waker = lock(&self.wakers).try_remove(key);
        drop(waker);
    }

    /// Wakers of their own for all that are listed.
    pub(crate) fn all(&self) -> Vec<Waker> {
        lock(&self.wakers).iter().map(|(_, waker)| Waker::clone(waker)).collect()
    }
}
