//! Those who wait, and those who were called and have not come yet: behind somebody's lock.
//!
//! Foreign code (a waker's clone, wake and drop) is left to the caller, for when the lock is released.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// No place.
const NONE: usize = usize::MAX;

/// Memory for more places than this is given back when nobody is left.
pub(crate) const KEPT_MAX: usize = 1024;

/// First come, first served.
///
/// The places are entries of one vector, which do not move; those that wait are linked in their order, so that anyone leaves at once.
pub(crate) struct WaitQueue {
    entries: Vec<Entry>,
    /// Who has waited for longest, and who came last.
    first: usize,
    last: usize,
    /// The first free place, linked by `next`.
    free: usize,
    /// Places that are not free.
    taken: usize,
}

struct Entry {
    state: State,
    waker: Option<Waker>,
    previous: usize,
    next: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Waiting,
    /// Called alone, and not come yet. Who leaves instead passes the call on.
    Called,
    /// Called with all others, and not come yet.
    Dismissed,
}

impl WaitQueue {
    pub(crate) const fn new() -> WaitQueue {
        WaitQueue { entries: Vec::new(), first: NONE, last: NONE, free: NONE, taken: 0 }
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.first == NONE
    }

    /// Whether its memory is given back when nobody is left.
    pub(crate) fn is_large(&self) -> bool {
        self.entries.len() > KEPT_MAX
    }

    /// Takes a place at the end.
    pub(crate) fn enter(&mut self, waker: Option<Waker>) -> usize {
        let entry = Entry { state: State::Waiting, waker, previous: self.last, next: NONE };
        let index = self.free;
        let index = match self.entries.get_mut(index) {
            Some(free) => {
                self.free = mem::replace(free, entry).next;
                index
            }
            None => {
                self.entries.push(entry);
                self.entries.len() - 1
            }
        };
        self.taken += 1;
        self.link(index);
        index
    }

    /// Takes a place at the end for another one, in the entry of one who was called, or dismissed, and has come.
    pub(crate) fn enter_again(&mut self, index: usize) -> usize {
        let entry = &mut self.entries[index];
        entry.state = State::Waiting;
        (entry.previous, entry.next) = (self.last, NONE);
        self.link(index);
        index
    }

    fn link(&mut self, index: usize) {
        match self.entries.get_mut(self.last) {
            Some(last) => last.next = index,
            None => self.first = index,
        }
        self.last = index;
    }

    /// Calls the one who has waited for longest: its place, and whom to wake when the lock is released.
    pub(crate) fn call(&mut self) -> Option<(usize, Option<Waker>)> {
        let index = self.first;
        let entry = self.entries.get_mut(index)?;
        entry.state = State::Called;
        let waker = entry.waker.take();
        self.first = entry.next;
        match self.entries.get_mut(self.first) {
            Some(next) => next.previous = NONE,
            None => self.last = NONE,
        }
        Some((index, waker))
    }

    /// All who wait no longer do; `each` is told their places.
    pub(crate) fn dismiss(&mut self, calls: &mut Calls, mut each: impl FnMut(usize)) {
        let mut index = self.first;
        if index != self.last {
            calls.others.reserve(self.taken);
        }
        while let Some(entry) = self.entries.get_mut(index) {
            entry.state = State::Dismissed;
            calls.add(entry.waker.take());
            each(index);
            index = entry.next;
        }
        (self.first, self.last) = (NONE, NONE);
    }

    /// The waker of one who waits. `None`: it was called, or dismissed.
    pub(crate) fn waker_of(&mut self, index: usize) -> Option<&mut Option<Waker>> {
        let entry = &mut self.entries[index];
        (entry.state == State::Waiting).then_some(&mut entry.waker)
    }

    /// One who was called, or dismissed, has come: the place is free.
    pub(crate) fn arrive(&mut self, index: usize) {
        let entry = &mut self.entries[index];
        entry.state = State::Free;
        entry.next = mem::replace(&mut self.free, index);
        self.taken -= 1;
        if self.taken == 0 && self.is_large() {
            self.entries = Vec::new();
            self.free = NONE;
        }
    }

    /// Gives a place up. True if it was called: the call is the caller's now.
    pub(crate) fn leave(&mut self, index: usize) -> (bool, Option<Waker>) {
        let entry = &mut self.entries[index];
        let (state, waker) = (entry.state, entry.waker.take());
        if state == State::Waiting {
            self.unlink(index);
        }
        self.arrive(index);
        (state == State::Called, waker)
    }

    fn unlink(&mut self, index: usize) {
        let Entry { previous, next, .. } = self.entries[index];
        match self.entries.get_mut(previous) {
            Some(entry) => entry.next = next,
            None => self.first = next,
        }
        match self.entries.get_mut(next) {
            Some(entry) => entry.previous = previous,
            None => self.last = previous,
        }
    }
}

/// Whom to wake when the lock is released.
#[must_use]
#[derive(Default)]
pub(crate) struct Calls {
    /// Mostly there is but one, and no memory has to be found for it.
    first: Option<Waker>,
    others: Vec<Waker>,
}

impl Calls {
    pub(crate) fn add(&mut self, waker: Option<Waker>) {
        match waker {
            Some(waker) if self.first.is_some() => self.others.push(waker),
            Some(waker) => self.first = Some(waker),
            None => {}
        }
    }

    pub(crate) fn wake(self) {
        let Some(first) = self.first else { return };
        match self.others.is_empty() {
            true => first.wake(),
            false => wake_each([first].into_iter().chain(self.others)),
        }
    }
}

/// All are woken, also if some of the wakers panic; the first panic is passed on.
pub(crate) fn wake_each(wakers: impl Iterator<Item = Waker>) {
    let mut rest = Rest(wakers);
    for waker in rest.0.by_ref() {
        waker.wake();
    }
}

/// Those who have not been woken yet: after a panic, too.
struct Rest<I: Iterator<Item = Waker>>(I);

impl<I: Iterator<Item = Waker>> Drop for Rest<I> {
    fn drop(&mut self) {
        for waker in self.0.by_ref() {
            // The first panic is on its way. Another one must not meet it.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn called(queue: &mut WaitQueue) -> Option<usize> {
        queue.call().map(|(index, _)| index)
    }

    #[test]
    fn first_to_last_around_those_who_left() {
        let mut queue = WaitQueue::new();
        let [a, b, c, d, e] = [(); 5].map(|()| queue.enter(None));
        for leaves in [a, c, e] {
            assert!(!queue.leave(leaves).0);
        }
        assert_eq!(called(&mut queue), Some(b));
        // In a place that was used before, and still the last one.
        let f = queue.enter(None);
        assert!(queue.waker_of(b).is_none() && queue.waker_of(d).is_some());
        assert_eq!(called(&mut queue), Some(d));
        assert!(queue.leave(b).0, "the call is passed on");
        assert_eq!(called(&mut queue), Some(f));
        assert_eq!(called(&mut queue), None);
        queue.arrive(d);
        let g = queue.enter(None);
        assert_eq!((g, queue.enter_again(f)), (d, f));
        assert_eq!((called(&mut queue), called(&mut queue)), (Some(g), Some(f)));
        queue.arrive(f);
        queue.arrive(g);
        assert!(queue.is_empty() && queue.taken == 0 && queue.entries.len() == 5);
    }

    #[test]
    fn the_dismissed_have_nothing_to_pass_on() {
        let mut queue = WaitQueue::new();
        let [a, b, c] = [(); 3].map(|()| queue.enter(None));
        assert_eq!(called(&mut queue), Some(a));
        let mut dismissed = Vec::new();
        let mut calls = Calls::default();
        queue.dismiss(&mut calls, |index| dismissed.push(index));
        calls.wake();
        assert_eq!(dismissed, [b, c]);
        assert!(queue.leave(a).0, "it was called before");
        assert!(!queue.leave(b).0);
        let d = queue.enter(None);
        assert_eq!(called(&mut queue), Some(d));
        assert!(!queue.leave(c).0);
    }

    #[test]
    fn places_are_used_again_and_memory_comes_back() {
        let mut queue = WaitQueue::new();
        let stays = queue.enter(None);
        for _ in 0..10_000 {
            let [b, c] = [(); 2].map(|()| queue.enter(None));
            assert!(!queue.leave(b).0 && !queue.leave(c).0);
        }
        assert_eq!(queue.entries.len(), 3);
        let many: Vec<_> = (0..10 * KEPT_MAX).map(|_| queue.enter(None)).collect();
        for index in many {
            assert!(!queue.leave(index).0);
        }
        assert!(!queue.leave(stays).0);
        assert_eq!(queue.entries.capacity(), 0);
    }
}
