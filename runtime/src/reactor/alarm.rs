//! Until when the driver of a shard sleeps, and who has to wake it for a new timer.
//!
//! ```text
//!  driver: say that it parks (park.rs) ── timers? ── yes: lock; until = the first deadline; unlock ── sleep ── until = UP
//!                                            └─ none: until = NEVER; fence; still none? ────────────────┘
//!  insert: lock; put in; none so far: say that there are timers; fence; unlock ── deadline < until: notify
//! ```
//!
//! The count that both look at without the lock is never too low; one who cancels leaves it alone, and a driver that takes the lock corrects it. So a
//! timer that comes and goes between two looks of the driver costs no fence.
//!
//! With timers in the queue the lock decides: the driver finds the new one, or the one who inserts it finds the driver's deadline. Without any, the
//! driver does not touch the lock: then both write, fence, and read what the other one wrote, so that one of them sees the other.
//! Nobody is woken who sleeps no longer than the new deadline, and no driver that is up.

use crate::sync::{AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering, fence, lock};

/// The driver is up, and will look at the timers before it sleeps.
const UP: u64 = 0;
const NEVER: u64 = u64::MAX;

/// What this file needs to know of a timer queue. Deadlines are numbers that grow with time.
pub(crate) trait Deadlines {
    fn count(&self) -> usize;
    /// No timer is due before.
    fn next_deadline(&mut self) -> Option<u64>;
}

/// A timer queue, and the driver's part in it.
pub(crate) struct Alarm<Q> {
    queue: Mutex<Q>,
    /// How many timers there are, or more; written under the lock, read by anybody.
    count: AtomicUsize,
    until: AtomicU64,
}

impl<Q: Deadlines> Alarm<Q> {
    pub(crate) fn new(queue: Q) -> Alarm<Q> {
        Alarm { queue: Mutex::new(queue), count: AtomicUsize::new(0), until: AtomicU64::new(UP) }
    }

    /// Whether there are no timers: with a look at the queue, unless that is sure.
    pub(crate) fn is_empty(&self) -> bool {
        self.count() == 0 || self.looks_empty()
    }

    #[inline(never)]
    fn looks_empty(&self) -> bool {
        let queue = self.lock();
        self.correct(&queue);
        queue.count() == 0
    }

    /// How many timers there are, or a few more. Not fewer than there are of the calling thread.
    pub(crate) fn count(&self) -> usize {
        // Relaxed: whoever relies on it for another thread's timers fences first (`arm`).
        self.count.load(Ordering::Relaxed)
    }

    /// For changes that add no timer.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Q> {
        lock(&self.queue)
    }

    /// Lets `insert` enter a timer due at `deadline`. True if the driver has to be notified.
    pub(crate) fn insert<R>(&self, deadline: u64, insert: impl FnOnce(&mut Q) -> R) -> (R, bool) {
        let mut queue = self.lock();
        let seemed_empty = self.count() == 0;
        let output = insert(&mut queue);
        // The fence orders the step from none to one; a driver that has seen any other one takes the lock.
        self.correct(&queue);
        if seemed_empty {
            // Pairs with the fence in `arm`. Under the lock, so that it orders those too who insert after us.
            fence(Ordering::SeqCst);
        }
        drop(queue);
        // Relaxed: a driver that has not seen the timer has written this before it released the lock, or before its fence, which came before
        // ours or the one of the first timer. A value from an earlier sleep leads to a needless notification at the worst.
        (output, deadline < self.until.load(Ordering::Relaxed))
    }

    /// For changes by the driver, which remove timers.
    pub(crate) fn update<R>(&self, update: impl FnOnce(&mut Q) -> R) -> R {
        let mut queue = self.lock();
        let output = update(&mut queue);
        self.correct(&queue);
        output
    }

    /// The driver has said that it parks, and will sleep until the deadline that this gives: for ever if there is none.
    pub(crate) fn arm(&self) -> Option<u64> {
        if self.count() == 0 {
            // Relaxed, both: the fence orders them.
            self.until.store(NEVER, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            if self.count() == 0 {
                return None;
            }
        }
        let mut queue = self.lock();
        let next = queue.next_deadline();
        self.correct(&queue);
        // Relaxed: who inserts a timer later has the lock later.
        self.until.store(next.unwrap_or(NEVER), Ordering::Relaxed);
        next
    }

    /// The driver is up.
    pub(crate) fn disarm(&self) {
        // Relaxed: who does not see it yet notifies a driver that is up, which costs it one look.
        self.until.store(UP, Ordering::Relaxed);
    }

    /// Says how many timers there are, under the lock.
    fn correct(&self, queue: &Q) {
        // Relaxed: a driver that sees an old count takes the lock for nothing. From none to one: see `insert`. From any to none: who inserts the next timer has the
        // lock later, and so sees this, and what the driver wrote under the lock before it.
        self.count.store(queue.count(), Ordering::Relaxed);
    }
}
