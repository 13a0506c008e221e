//! Who sleeps and who searches: the protocol by which a push wakes at most one runner, and no task is forgotten.
//!
//! ```text
//!            found a task                     nothing found
//!  Working ◀────────────── Searching ──────────────────────────▶ Asleep
//!     │                        ▲                                   │ │
//!     │  own queues are empty  │        taken off the list: notify │ │ woken by its own I/O or timers
//!     └────────────────────────┴───────────────────────────────────┘ └──▶ Working
//! ```
//!
//! *Push*: make the task visible, fence, look at the counts. Somebody searches: nothing to do, they will find it or look again.
//! Nobody searches and somebody sleeps: take one off the list, count it as searching, wake it.
//! *Sleep*: get on the list, stop counting as a searcher, fence, look at all queues once more, unless somebody else searches: they do that.
//! Of a push and a sleep that race, one sees the other. A searcher that finds a task while it is the last one wakes the next if
//! there is more, because pushes relied on it.

use super::roll::Roll;
use crate::sync::{AtomicUsize, Mutex, Ordering, fence, lock};

const SEARCHING: usize = 1;
const ASLEEP: usize = 1 << (usize::BITS / 2);

pub(crate) struct Sleepers<W> {
    /// Searchers in the lower half, sleepers (as long as they are on the list) in the upper.
    counts: AtomicUsize,
    list: Mutex<Roll<W>>,
}

impl<W> Sleepers<W> {
    pub(crate) fn new() -> Sleepers<W> {
        Sleepers { counts: AtomicUsize::new(0), list: Mutex::new(Roll::new()) }
    }

    /// After a push: the sleeper to wake, with its number, if one has to be. It counts as searching from now on.
    pub(crate) fn notify(&self) -> Option<(usize, W)> {
        // Orders the push before the look; pairs with the fence in `recheck`.
        fence(Ordering::SeqCst);
        if !may_notify(self.counts.load(Ordering::SeqCst)) {
            return None;
        }
        let mut list = lock(&self.list);
        if !may_notify(self.counts.load(Ordering::SeqCst)) {
            return None;
        }
        let sleeper = list.pop()?;
        self.counts.fetch_sub(ASLEEP - SEARCHING, Ordering::SeqCst);
        Some(sleeper)
    }

    /// Sleeper `id` could not be woken: it sleeps on, and is the last to be called again. Unless it is up: then it has counted that itself, and may have
    /// fallen asleep once more. True if it sleeps on.
    pub(crate) fn put_back(&self, id: usize, waker: W) -> bool {
        let mut list = lock(&self.list);
        let result = list.put_back(id, waker);
        if result.is_ok() {
            self.counts.fetch_add(ASLEEP - SEARCHING, Ordering::SeqCst);
        }
        drop(list);
        // A waker's destructor is foreign code: not under the lock.
        result.is_ok()
    }

    /// A sleeper to wake even if somebody searches: for whoever needs one more pair of eyes, not one more pair of hands.
    pub(crate) fn rouse(&self) -> Option<(usize, W)> {
        let mut list = lock(&self.list);
        let sleeper = list.pop()?;
        self.counts.fetch_sub(ASLEEP - SEARCHING, Ordering::SeqCst);
        Some(sleeper)
    }

    /// Puts runner `id` on the list. The caller then calls `recheck` and looks at all queues once more.
    pub(crate) fn fall_asleep(&self, id: usize, waker: W, was_searching: bool) {
        let mut list = lock(&self.list);
        list.push(id, waker);
        let change = if was_searching { ASLEEP - SEARCHING } else { ASLEEP };
        self.counts.fetch_add(change, Ordering::SeqCst);
    }

    /// Orders `fall_asleep` before the last look at the queues. True if that can be left to somebody who searches.
    pub(crate) fn recheck(&self) -> bool {
        fence(Ordering::SeqCst);
        searching(self.counts.load(Ordering::SeqCst)) > 0
    }

    /// Runner `id` is up. True if it was notified, and so counts as searching.
    pub(crate) fn wake_up(&self, id: usize) -> bool {
        let mut list = lock(&self.list);
        let Some(waker) = list.strike(id) else { return true };
        self.counts.fetch_sub(ASLEEP, Ordering::SeqCst);
        drop(list);
        // A waker's destructor is foreign code: not under the lock.
        drop(waker);
        false
    }

    /// False if enough others search already: then go to sleep, they do the rest.
    pub(crate) fn start_search(&self, searchers_max: usize) -> bool {
        if searching(self.counts.load(Ordering::SeqCst)) >= searchers_max {
            return false;
        }
        self.counts.fetch_add(SEARCHING, Ordering::SeqCst);
        true
    }

    /// True if it was the last searcher, who must see to it that nothing is left behind.
    pub(crate) fn end_search(&self) -> bool {
        searching(self.counts.fetch_sub(SEARCHING, Ordering::SeqCst)) == 1
    }

    pub(crate) fn asleep(&self) -> usize {
        self.counts.load(Ordering::SeqCst) / ASLEEP
    }
}

fn searching(counts: usize) -> usize {
    counts % ASLEEP
}

fn may_notify(counts: usize) -> bool {
    searching(counts) == 0 && counts >= ASLEEP
}
