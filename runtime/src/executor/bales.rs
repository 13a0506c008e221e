//! Tasks that have overflowed a local queue: half a queue at once, where all runners of the executor get at them.
//!
//! A runner that has nothing left goes on with the newest bale, which is the one that it has just been working on: a tree of tasks that
//! grows deep first takes little memory. Thieves take the oldest, which most other tasks descend from. So that what is old does not wait for
//! ever while new bales come, runners that are busy take a few tasks from the oldest one now and then.

use std::collections::VecDeque;
use std::ptr::{self, NonNull};

use async_task::Runnable;

use super::queue::{CAPACITY, LocalQueue};
use crate::sync::{AtomicUsize, Mutex, Ordering, lock};

pub(super) struct Bales {
    list: Mutex<VecDeque<Bale>>,
    /// How many; written under the lock.
    count: AtomicUsize,
}

/// Half a local queue. At least one task is in it.
pub(super) struct Bale {
    items: Vec<*mut ()>,
    /// The first of them that is still here.
    next: usize,
}

// SAFETY: the items stand for `Runnable`s, which are `Send`: an executor makes them of `Send` futures only.
unsafe impl Send for Bale {}

impl Bales {
    pub(super) fn new() -> Bales {
        Bales { list: Mutex::new(VecDeque::new()), count: AtomicUsize::new(0) }
    }

    pub(super) fn push(&self, bale: Bale) {
        self.change(|list| list.push_back(bale));
    }

    pub(super) fn take_newest(&self) -> Option<Bale> {
        self.change_some(VecDeque::pop_back)
    }

    pub(super) fn take_oldest(&self) -> Option<Bale> {
        self.change_some(VecDeque::pop_front)
    }

    /// Takes one task of the oldest bale, and moves up to `more` others of it to `queue`, whose owner the caller is.
    pub(super) fn take_some(&self, more: usize, queue: &LocalQueue) -> Option<Runnable> {
        self.take_from_oldest(|bale| {
            let first = bale.pop();
            bale.load(queue, more);
            first
        })
    }

    /// Takes one task of the oldest bale.
    pub(super) fn take_one(&self) -> Option<Runnable> {
        self.take_from_oldest(Bale::pop)
    }

    fn take_from_oldest<R>(&self, take: impl FnOnce(&mut Bale) -> Option<R>) -> Option<R> {
        self.change_some(|list| {
            let bale = list.front_mut()?;
            let taken = take(bale);
            if bale.is_empty() {
                list.pop_front();
            }
            taken
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        // SeqCst: part of the look at all queues of a runner that falls asleep.
        self.count.load(Ordering::SeqCst) == 0
    }

    /// How many tasks are in all of them.
    pub(super) fn tasks(&self) -> usize {
        lock(&self.list).iter().map(Bale::len).sum()
    }

    /// Does nothing if there are none.
    fn change_some<R>(&self, f: impl FnOnce(&mut VecDeque<Bale>) -> Option<R>) -> Option<R> {
        if self.is_empty() {
            return None;
        }
        self.change(f)
    }

    /// No foreign code runs in `f`: bales are moved, and tasks are taken out, but none is dropped.
    fn change<R>(&self, f: impl FnOnce(&mut VecDeque<Bale>) -> R) -> R {
        let mut list = lock(&self.list);
        let result = f(&mut list);
        self.count.store(list.len(), Ordering::SeqCst);
        result
    }
}

impl Bale {
    /// The older half of a full queue, whose owner the caller is. `None` if thieves were faster.
    ///
    /// # Safety
    ///
    /// What the queue holds must come from [`Runnable::into_raw`].
    pub(super) unsafe fn unload(queue: &LocalQueue) -> Option<Bale> {
        let mut items = vec![ptr::null_mut(); CAPACITY / 2];
        let count = queue.unload_half(&mut items);
        items.truncate(count);
        (count > 0).then(|| Bale { items, next: 0 })
    }

    /// Moves up to `limit` tasks, as many as there is room for, to a queue, whose owner the caller is. True if none is left.
    pub(super) fn load(&mut self, queue: &LocalQueue, limit: usize) -> bool {
        let end = self.items.len().min(self.next.saturating_add(limit));
        self.next += queue.extend(&self.items[self.next..end]);
        self.is_empty()
    }

    pub(super) fn pop(&mut self) -> Option<Runnable> {
        let item = NonNull::new(*self.items.get(self.next)?)?;
        self.next += 1;
        // SAFETY: `unload`'s caller promises where it comes from, and `next` has just passed it: nobody else gets it.
        Some(unsafe { Runnable::from_raw(item) })
    }

    fn len(&self) -> usize {
        self.items.len() - self.next
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Bale {
    fn drop(&mut self) {
        while let Some(runnable) = self.pop() {
            drop(runnable);
        }
    }
}
