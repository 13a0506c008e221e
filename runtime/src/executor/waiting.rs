//! The list of an executor's tasks that wait.

use std::task::Waker;

use super::wakers::{Key, Wakers};
use crate::sync::{Mutex, lock};

/// Wakers of the tasks that wait. They keep the tasks: without them, a detached task that nobody will wake would be freed
/// without its future being dropped.
pub(crate) struct Waiting {
    wakers: Mutex<Wakers>,
}

impl Waiting {
    pub(crate) fn new() -> Waiting {
        Waiting { wakers: Mutex::new(Wakers::new()) }
    }

    /// Lists a task.
    pub(crate) fn insert(&self, waker: Waker) -> Key {
        lock(&self.wakers).insert(waker)
    }

    pub(crate) fn remove(&self, key: Key) {
        let waker = lock(&self.wakers).remove(key);
        drop(waker);
    }

    /// Wakers for all that are listed.
    pub(crate) fn all(&self) -> Vec<Waker> {
        lock(&self.wakers).all()
    }
}
