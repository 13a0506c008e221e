//! How many tasks of an executor are alive: each runner counts for itself, without locks and without instructions that lock the bus.

use crate::sync::{AtomicUsize, Ordering, fence};

/// What has begun and what has ended in one place. Each number only ever grows (and may wrap).
#[repr(align(64))]
pub(crate) struct Tally {
    begun: AtomicUsize,
    ended: AtomicUsize,
}

impl Tally {
    pub(crate) fn new() -> Tally {
        Tally { begun: AtomicUsize::new(0), ended: AtomicUsize::new(0) }
    }

    /// For a tally that one thread alone writes.
    pub(crate) fn begin_alone(&self) {
        add_alone(&self.begun);
    }

    /// For a tally that one thread alone writes.
    pub(crate) fn end_alone(&self) {
        add_alone(&self.ended);
    }

    /// For a tally that all threads write. Who looks, after this, at a flag that forbids new tasks sees it, or is seen by those who have set the flag and
    /// then call `live`.
    pub(crate) fn begin(&self) {
        // Relaxed: the fence orders it; pairs with the one in `live`.
        self.begun.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// For a tally that all threads write. The last touch of the executor by the thread that ends the task.
    pub(crate) fn end(&self) {
        // Release: whoever sees the end of a task sees what led to it, its beginning included.
        self.ended.fetch_add(1, Ordering::Release);
    }

    /// Moves the counts of `other`, which nobody writes any more, to this one, which all threads write.
    pub(crate) fn absorb(&self, other: &Tally) {
        // Acquire and Release: who sees these ends sees what led to them, as if they had been counted here.
        self.begun.fetch_add(other.begun.load(Ordering::Acquire), Ordering::Relaxed);
        self.ended.fetch_add(other.ended.load(Ordering::Acquire), Ordering::Release);
    }

    /// How many live, of all that these count together. Tasks may move from one tally to another between beginning and end.
    ///
    /// Exact when it is zero: the ends are read before the beginnings, so there was a moment in between at which as many had
    /// ended as had begun.
    pub(crate) fn live<'t>(tallies: impl Iterator<Item = &'t Tally> + Clone) -> usize {
        fence(Ordering::SeqCst);
        // Acquire: who sees an end sees the beginning before it, in whatever tally that is; and so the look at beginnings may be Relaxed.
        let ended =
            |sum: usize, tally: &Tally| sum.wrapping_add(tally.ended.load(Ordering::Acquire));
        let ended = tallies.clone().fold(0, ended);
        let begun =
            |sum: usize, tally: &Tally| sum.wrapping_add(tally.begun.load(Ordering::Relaxed));
        tallies.fold(0, begun).wrapping_sub(ended)
    }
}

fn add_alone(count: &AtomicUsize) {
    // Relaxed: nobody else writes. Release: whoever sees the end of a task sees what led to it.
    count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
}
