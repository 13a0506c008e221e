//! The queue that all runners of an executor share: single tasks from threads that run none, and whole bales from runners whose own
//! queue was full.

use std::ptr::{self, NonNull};

use async_task::Runnable;
use concurrent_queue::ConcurrentQueue;

use super::queue::{CAPACITY, LocalQueue};

pub(super) struct Injector(ConcurrentQueue<Load>);

pub(super) enum Load {
    One(Runnable),
    Many(Box<Bale>),
}

/// Half a local queue, moved at once. At least one task is in it.
pub(super) struct Bale {
    items: Vec<*mut ()>,
    /// The first of them that is still here.
    next: usize,
}

// SAFETY: the items stand for `Runnable`s, which are `Send`: an executor makes them of `Send` futures only.
unsafe impl Send for Bale {}

impl Injector {
    pub(super) fn new() -> Injector {
        Injector(ConcurrentQueue::unbounded())
    }

    pub(super) fn push(&self, load: Load) {
        if self.0.push(load).is_err() {
            unreachable!("the injector is unbounded and never closed");
        }
    }

    pub(super) fn pop(&self) -> Option<Load> {
        self.0.pop().ok()
    }

    /// Takes one task; what came with it stays.
    pub(super) fn pop_one(&self) -> Option<Runnable> {
        match self.pop()? {
            Load::One(runnable) => Some(runnable),
            Load::Many(mut bale) => {
                let first = bale.pop();
                if !bale.is_empty() {
                    self.push(Load::Many(bale));
                }
                first
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Bale {
    /// The older half of a full queue, whose owner the caller is.
    ///
    /// # Safety
    ///
    /// What the queue holds must come from [`Runnable::into_raw`].
    pub(super) unsafe fn unload(queue: &LocalQueue) -> Option<Box<Bale>> {
        let mut items = vec![ptr::null_mut(); CAPACITY / 2];
        let count = queue.unload_half(&mut items);
        items.truncate(count);
        (count > 0).then(|| Box::new(Bale { items, next: 0 }))
    }

    /// Puts as many as there is room for into a queue, whose owner the caller is. True if that is all of them.
    pub(super) fn load(&mut self, queue: &LocalQueue) -> bool {
        self.next += queue.extend(&self.items[self.next..]);
        self.is_empty()
    }

    pub(super) fn pop(&mut self) -> Option<Runnable> {
        let item = NonNull::new(*self.items.get(self.next)?)?;
        self.next += 1;
        // SAFETY: `unload`'s caller promises where it comes from, and `next` has just passed it: nobody else gets it.
        Some(unsafe { Runnable::from_raw(item) })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.next == self.items.len()
    }
}

impl Drop for Bale {
    fn drop(&mut self) {
        while let Some(runnable) = self.pop() {
            drop(runnable);
        }
    }
}
