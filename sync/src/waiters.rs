//! A queue of tasks that wait for one another, first come first served.
//!
//! Foreign code (a waker's clone, wake and drop) never runs under its lock, and a waker that panics does not keep the others from
//! being woken. That is why the types of this crate stand on this list and not on event-listener, which calls wakers while it
//! holds its lock.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Those who wait.
#[derive(Default)]
pub(crate) struct Waiters {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// The number of the next place. It never overflows: a queue that gives out a place every nanosecond lives for 584 years.
    next: u64,
    waiting: BTreeMap<u64, Option<Waker>>,
    /// Called by `wake_one`, and not come yet. Who leaves instead passes the call on.
    called: BTreeSet<u64>,
}

impl Waiters {
    pub(crate) const fn new() -> Waiters {
        let queue = Queue { next: 0, waiting: BTreeMap::new(), called: BTreeSet::new() };
        Waiters { queue: Mutex::new(queue) }
    }

    /// Takes a place at the end. A call that comes from now on is not missed.
    pub(crate) fn enter(&self) -> Place<'_> {
        let mut queue = self.lock();
        let number = queue.next;
        queue.next += 1;
        queue.waiting.insert(number, None);
        Place { waiters: self, number, has_left: false }
    }

    /// Calls the one who has waited for longest. False if nobody waits.
    pub(crate) fn wake_one(&self) -> bool {
        self.wake_one_or(|| {})
    }

    /// The same; if nobody waits, does `otherwise` before anybody can enter. It must not call foreign code.
    pub(crate) fn wake_one_or(&self, otherwise: impl FnOnce()) -> bool {
        let mut queue = self.lock();
        let Some((number, waker)) = queue.waiting.pop_first() else {
            otherwise();
            return false;
        };
        queue.called.insert(number);
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Calls all who wait now.
    pub(crate) fn wake_all(&self) {
        let waiting = mem::take(&mut self.lock().waiting);
        let mut panic = None;
        for waker in waiting.into_values().flatten() {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                panic.get_or_insert(payload);
            }
        }
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing that could panic runs under it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Waiters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiters").field("waiting", &self.lock().waiting.len()).finish()
    }
}

/// A place in the queue; a future that resolves when it is called.
///
/// # Cancel safety
///
/// Dropped after it was called by `wake_one`, and before it has resolved, it calls the next one.
pub(crate) struct Place<'w> {
    waiters: &'w Waiters,
    number: u64,
    has_left: bool,
}

impl Place<'_> {
    /// Gives the place up. True if a call of `wake_one` had come for it, which is the caller's now.
    pub(crate) fn leave(&mut self) -> bool {
        if self.has_left {
            return false;
        }
        self.has_left = true;
        let mut queue = self.waiters.lock();
        let waker = queue.waiting.remove(&self.number);
        let was_called = waker.is_none() && queue.called.remove(&self.number);
        drop(queue);
        drop(waker);
        was_called
    }
}

impl Future for Place<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_left {
            return Poll::Ready(());
        }
        let mut waker = Some(cx.waker().clone());
        let mut queue = self.waiters.lock();
        match queue.waiting.get_mut(&self.number) {
            Some(slot) => {
                mem::swap(slot, &mut waker);
                drop(queue);
                // The former waker goes here, outside the lock.
                drop(waker);
                Poll::Pending
            }
            None => {
                queue.called.remove(&self.number);
                drop(queue);
                self.has_left = true;
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.leave() {
            self.waiters.wake_one();
        }
    }
}
