//! Those who wait for the same thing, and are all called when it has come.
//!
//! Foreign code (a waker's clone, wake and drop) never runs under its lock, and a waker that panics does not keep the others from
//! being woken. What they wait for is a condition that the caller can look at: who finds it true waits no longer, and takes no lock.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::primitives::{AtomicU64, Mutex, MutexGuard, Ordering, lock};
use crate::wait_queue::wake_each;

/// Memory for more of them than this is given back.
const KEPT_MAX: usize = 1024;

/// Those who wait.
pub(crate) struct Crowd {
    /// How often all of them were called: a place of an earlier count is nobody's any more. Written under the lock.
    calls: AtomicU64,
    list: Mutex<List>,
}

/// Wakers at places that do not move.
struct List {
    entries: Vec<Entry>,
    count: usize,
    /// The first of the free places, each of which knows the next one; `entries.len()` or more: none.
    free: usize,
}

enum Entry {
    Taken(Waker),
    Free { next: usize },
}

/// Where the waker is of one who waits.
struct Place {
    index: usize,
    calls: u64,
}

impl Crowd {
    pub(crate) fn new() -> Crowd {
        let list = List { entries: Vec::new(), count: 0, free: usize::MAX };
        Crowd { calls: AtomicU64::new(0), list: Mutex::new(list) }
    }

    /// Waits until `is_over`, which is looked at before the wait, under the lock and after each call: whoever makes it true calls
    /// [`wake_all`](Crowd::wake_all) after that. It must not call foreign code, nor this crowd.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(crate) fn until<F: Fn() -> bool>(&self, is_over: F) -> Until<'_, F> {
        Until { crowd: self, place: None, is_over }
    }

    /// Calls all who wait now. The first panic of a waker is passed on when all were woken.
    pub(crate) fn wake_all(&self) {
        let mut list = lock(&self.list);
        if list.count == 0 {
            return;
        }
        // SeqCst is no more than the lock gives: the number is read without it only to see that a place is gone.
        self.calls.fetch_add(1, Ordering::SeqCst);
        if let Some(waker) = list.take_single() {
            drop(list);
            waker.wake();
            return;
        }
        let mut entries = list.take_all();
        drop(list);
        wake_each(entries.drain(..).filter_map(Entry::into_waker));
        // The next ones need no new memory.
        if entries.capacity() <= KEPT_MAX {
            let mut list = lock(&self.list);
            if list.entries.capacity() == 0 {
                mem::swap(&mut list.entries, &mut entries);
            }
        }
    }

    /// The list, if the place is still there.
    fn list_with(&self, place: &Place) -> Option<MutexGuard<'_, List>> {
        if self.calls.load(Ordering::SeqCst) != place.calls {
            return None;
        }
        let list = lock(&self.list);
        (self.calls.load(Ordering::SeqCst) == place.calls).then_some(list)
    }

    fn leave(&self, place: Place) {
        let Some(mut list) = self.list_with(&place) else { return };
        let waker = list.remove(place.index);
        drop(list);
        drop(waker);
    }
}

impl List {
    fn insert(&mut self, waker: Waker) -> usize {
        self.count += 1;
        let index = self.free;
        match self.entries.get_mut(index) {
            Some(entry) => {
                let Entry::Free { next } = *entry else { unreachable!("it is on the free list") };
                *entry = Entry::Taken(waker);
                self.free = next;
                index
            }
            None => {
                self.entries.push(Entry::Taken(waker));
                self.entries.len() - 1
            }
        }
    }

    fn remove(&mut self, index: usize) -> Entry {
        self.count -= 1;
        if self.count > 0 {
            let free = Entry::Free { next: mem::replace(&mut self.free, index) };
            return mem::replace(&mut self.entries[index], free);
        }
        let entry = self.entries.swap_remove(index);
        // The others are free; there is nothing to drop in them.
        self.entries.clear();
        self.free = usize::MAX;
        self.entries.shrink_to(KEPT_MAX);
        entry
    }

    /// The only waker, if it is at the first place and there was no other one.
    fn take_single(&mut self) -> Option<Waker> {
        if self.entries.len() > 1 {
            return None;
        }
        self.count = 0;
        self.entries.pop().and_then(Entry::into_waker)
    }

    fn take_all(&mut self) -> Vec<Entry> {
        self.count = 0;
        self.free = usize::MAX;
        mem::take(&mut self.entries)
    }
}

impl Entry {
    fn into_waker(self) -> Option<Waker> {
        match self {
            Entry::Taken(waker) => Some(waker),
            Entry::Free { .. } => None,
        }
    }
}

/// The future that [`Crowd::until`] returns.
pub(crate) struct Until<'c, F> {
    crowd: &'c Crowd,
    place: Option<Place>,
    is_over: F,
}

impl<F> Until<'_, F> {
    fn leave(&mut self) {
        if let Some(place) = self.place.take() {
            self.crowd.leave(place);
        }
    }
}

impl<F: Fn() -> bool + Unpin> Future for Until<'_, F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if (this.is_over)() {
            this.leave();
            return Poll::Ready(());
        }
        if let Some(place) = &this.place {
            match this.crowd.list_with(place) {
                Some(list) => match &list.entries[place.index] {
                    Entry::Taken(known) if known.will_wake(cx.waker()) => return Poll::Pending,
                    _ => {}
                },
                None => this.place = None,
            }
        }
        // Cloned where no lock is held.
        let waker = cx.waker().clone();
        this.leave();
        let mut list = lock(&this.crowd.list);
        // It may have come before this place could be found; nobody would call any more.
        if (this.is_over)() {
            drop(list);
            return Poll::Ready(());
        }
        let calls = this.crowd.calls.load(Ordering::SeqCst);
        this.place = Some(Place { index: list.insert(waker), calls });
        Poll::Pending
    }
}

impl<F> Drop for Until<'_, F> {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// One who is there all the time, while many come and go: the places are used again.
    #[test]
    fn places_are_used_again() {
        let crowd = Crowd::new();
        let mut context = Context::from_waker(Waker::noop());
        let mut enter = || {
            let mut until = Box::pin(crowd.until(|| false));
            assert!(until.as_mut().poll(&mut context).is_pending());
            until
        };
        let stays = enter();
        for _ in 0..1_000 {
            let two = (enter(), enter());
            assert_eq!(lock(&crowd.list).count, 3);
            drop(two);
        }
        assert_eq!(lock(&crowd.list).entries.len(), 3);
        let (second, third) = (enter(), enter());
        crowd.wake_all();
        assert_eq!(lock(&crowd.list).count, 0);
        // Those who were called have left: another one's place is not theirs.
        let other = enter();
        drop((stays, second, third));
        assert_eq!(lock(&crowd.list).count, 1);
        drop(other);
        assert_eq!(lock(&crowd.list).count, 0);
    }

    #[test]
    fn a_large_crowd_leaves_no_memory_behind() {
        let crowd = Crowd::new();
        let mut context = Context::from_waker(Waker::noop());
        for is_called in [true, false] {
            let mut all: Vec<_> = (0..10 * KEPT_MAX).map(|_| crowd.until(|| false)).collect();
            for until in &mut all {
                assert!(Pin::new(until).poll(&mut context).is_pending());
            }
            if is_called {
                crowd.wake_all();
            }
            drop(all);
            let list = lock(&crowd.list);
            assert!(list.entries.is_empty() && list.entries.capacity() <= KEPT_MAX);
        }
    }
}
