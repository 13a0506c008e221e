//! The queue of tasks that were spawned or woken by threads that run none of this executor.

use async_task::Runnable;

use crate::sync::ConcurrentQueue;

pub(super) struct Injector(ConcurrentQueue<Runnable>);

impl Injector {
    pub(super) fn new() -> Injector {
        Injector(ConcurrentQueue::unbounded())
    }

    pub(super) fn push(&self, runnable: Runnable) {
        if self.0.push(runnable).is_err() {
            unreachable!("the injector is unbounded and never closed");
        }
    }

    pub(super) fn pop(&self) -> Option<Runnable> {
        self.0.pop().ok()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
