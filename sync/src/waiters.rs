//! A queue of tasks that wait to be called, with a lock of its own and one call that may be left for who comes next.
//!
//! Foreign code (a waker's clone, wake and drop) never runs under its lock, and a waker that panics does not keep the others from
//! being woken. That is why the types of this crate stand on this list and not on event-listener, which calls wakers while it
//! holds its lock.
//!
//! Two ways are without the lock: to leave a call for later and to find it, while nobody waits, and to come when called.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::primitives::{AtomicU8, AtomicUsize, Mutex, MutexGuard, Ordering, lock};
use crate::wait_queue::{Calls, WaitQueue};

/// Nobody waits.
const EMPTY: usize = 0;
/// Nobody waits, and a call is left for who comes next.
const LEFT: usize = 1;
/// Somebody waits. Set and cleared under the lock.
const WAITING: usize = 2;

/// So many of the first places have a byte that tells their owners without the lock whether they were called.
const BYTES: usize = if cfg!(loom) { 1 } else { 32 };

/// Not called.
const UNTOLD: u8 = 0;
/// Called; set under the lock.
const TOLD: u8 = 1;
/// Came; set by the owner. The place is free when somebody who has the lock sees that.
const CAME: u8 = 2;

/// Those who wait.
pub(crate) struct Waiters {
    /// Whether a call that finds nobody is left for who comes next. Else it is never `LEFT`.
    leaves_calls: bool,
    state: AtomicUsize,
    bytes: [AtomicU8; BYTES],
    locked: Mutex<Locked>,
}

struct Locked {
    queue: WaitQueue,
    /// Of the places with a byte, those that are `TOLD`, or `CAME` and not free yet: a bit each.
    told: u32,
}

impl Waiters {
    #[cfg(not(loom))]
    pub(crate) const fn new(leaves_calls: bool) -> Waiters {
        Waiters {
            leaves_calls,
            state: AtomicUsize::new(EMPTY),
            bytes: [const { AtomicU8::new(UNTOLD) }; BYTES],
            locked: Mutex::new(Locked { queue: WaitQueue::new(), told: 0 }),
        }
    }

    /// loom's locks cannot be made in a constant.
    #[cfg(loom)]
    pub(crate) fn new(leaves_calls: bool) -> Waiters {
        Waiters {
            leaves_calls,
            state: AtomicUsize::new(EMPTY),
            bytes: std::array::from_fn(|_| AtomicU8::new(UNTOLD)),
            locked: Mutex::new(Locked { queue: WaitQueue::new(), told: 0 }),
        }
    }

    /// Takes a place at the end, so that no call that comes from now on is missed. If a call was left, takes that instead: there is nothing to wait for then.
    #[inline]
    pub(crate) fn enter(&self) -> Place<'_> {
        if self.take_left() {
            return Place { waiters: self, index: CALLED };
        }
        self.enter_queue()
    }

    fn enter_queue(&self) -> Place<'_> {
        let mut locked = self.lock();
        // Under the lock nobody else makes it `WAITING`, or anything else if it is that; but a call may be left or found.
        while self.state.load(Ordering::Relaxed) != WAITING {
            if self.take_left() {
                return Place { waiters: self, index: CALLED };
            }
            // If this fails, somebody has left a call just now.
            let _ = self.exchange(EMPTY, WAITING);
        }
        let index = match locked.one_who_came(&self.bytes) {
            Some(index) => locked.queue.enter_again(index),
            None => locked.queue.enter(None),
        };
        Place { waiters: self, index }
    }

    /// Calls the one who has waited for longest. If nobody waits, the call may be left for who comes next; several that are left are one.
    #[inline]
    pub(crate) fn wake_one(&self) {
        // Relaxed: the exchange, or the lock, is what counts.
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            if state == WAITING || !self.leaves_calls {
                if self.wake_first() || !self.leaves_calls {
                    return;
                }
                state = EMPTY;
            }
            // Also where one was left already: who takes that shall see what was done before this one.
            match self.exchange(state, LEFT) {
                Ok(_) => return,
                Err(now) => state = now,
            }
        }
    }

    /// False if nobody waits.
    fn wake_first(&self) -> bool {
        let mut locked = self.lock();
        let Some((index, waker)) = locked.queue.call() else { return false };
        locked.tell(&self.bytes, index);
        self.settle(&locked);
        drop(locked);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Calls all who wait now.
    pub(crate) fn wake_all(&self) {
        let mut calls = Calls::default();
        // Without a look at the state first, which could be older than the place of one who has looked at what is told here.
        let mut locked = self.lock();
        let Locked { queue, told } = &mut *locked;
        let is_large = queue.is_large();
        queue.dismiss(&mut calls, |index| tell(&self.bytes, told, is_large, index));
        self.settle(&locked);
        drop(locked);
        calls.wake();
    }

    /// Whether a call is left for who comes next.
    pub(crate) fn has_left(&self) -> bool {
        self.state.load(Ordering::SeqCst) == LEFT
    }

    fn take_left(&self) -> bool {
        // Mostly there is none, and to see that is cheaper.
        self.state.load(Ordering::SeqCst) == LEFT && self.exchange(LEFT, EMPTY).is_ok()
    }

    fn exchange(&self, from: usize, to: usize) -> Result<usize, usize> {
        self.state.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst)
    }

    /// Says so if nobody waits any more.
    fn settle(&self, locked: &Locked) {
        if locked.queue.is_empty() && self.state.load(Ordering::Relaxed) == WAITING {
            // Only under the lock it becomes anything else. Release: for who leaves a call or finds one next.
            self.state.store(EMPTY, Ordering::Release);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Locked> {
        // Nothing that could panic runs under it.
        lock(&self.locked)
    }
}

impl fmt::Debug for Waiters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiters").field("is_empty", &self.lock().queue.is_empty()).finish()
    }
}

/// Where many wait, all come by the lock, so that the last one gives the memory back.
fn tell(bytes: &[AtomicU8; BYTES], told: &mut u32, is_large: bool, index: usize) {
    if is_large {
        return;
    }
    if let Some(byte) = bytes.get(index) {
        *told |= 1 << index;
        // Release: who comes sees what was done before the call.
        byte.store(TOLD, Ordering::Release);
    }
}

impl Locked {
    fn tell(&mut self, bytes: &[AtomicU8; BYTES], index: usize) {
        tell(bytes, &mut self.told, self.queue.is_large(), index);
    }

    /// Somebody has come, or has left.
    fn tidy(&mut self, bytes: &[AtomicU8; BYTES]) {
        if self.queue.is_large() {
            // Those who were told while there were few.
            while let Some(index) = self.one_who_came(bytes) {
                self.queue.arrive(index);
            }
        }
    }

    /// The place of one who came without the lock, if there is one: it is the caller's.
    fn one_who_came(&mut self, bytes: &[AtomicU8; BYTES]) -> Option<usize> {
        let mut left = self.told;
        while left != 0 {
            let index = left.trailing_zeros() as usize;
            // Acquire: the owner has done with the byte.
            if bytes[index].load(Ordering::Acquire) == CAME {
                self.forget(bytes, index);
                return Some(index);
            }
            left &= left - 1;
        }
        None
    }

    /// The place will be another one's.
    fn forget(&mut self, bytes: &[AtomicU8; BYTES], index: usize) {
        if let Some(byte) = bytes.get(index) {
            self.told &= !(1 << index);
            byte.store(UNTOLD, Ordering::Relaxed);
        }
    }
}

/// A place in the queue; a future that resolves when it is called.
///
/// # Cancel safety
///
/// Dropped after it was called by `wake_one`, and before it has resolved, it calls the next one, or leaves the call.
pub(crate) struct Place<'w> {
    waiters: &'w Waiters,
    /// Of the queue, or one of those below. One number, so that a place goes from hand to hand in two registers.
    index: usize,
}

/// Not in the queue: it has taken a call that was left, and not handed it out yet.
const CALLED: usize = usize::MAX - 1;
/// It was called and has come, or has left.
const OVER: usize = usize::MAX;

impl Place<'_> {
    /// Gives the place up. True if a call of `wake_one` had come for it, or one that was left.
    fn leave(&mut self) -> bool {
        let index = mem::replace(&mut self.index, OVER);
        if index >= CALLED {
            return index == CALLED;
        }
        let waiters = self.waiters;
        let mut locked = waiters.lock();
        let (was_called, waker) = locked.queue.leave(index);
        locked.forget(&waiters.bytes, index);
        locked.tidy(&waiters.bytes);
        waiters.settle(&locked);
        drop(locked);
        drop(waker);
        was_called
    }

    /// Comes, if it was called and has a byte: without the lock.
    fn has_come(&mut self) -> bool {
        let Some(byte) = self.waiters.bytes.get(self.index) else { return false };
        if byte.load(Ordering::Acquire) != TOLD {
            return false;
        }
        self.index = OVER;
        // Release: the last use of the place.
        byte.store(CAME, Ordering::Release);
        true
    }
}

impl Future for Place<'_> {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.index >= CALLED || self.has_come() {
            self.index = OVER;
            return Poll::Ready(());
        }
        self.wait(cx)
    }
}

impl Place<'_> {
    /// Leaves a waker, or comes.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let waiters = self.waiters;
        // Cloned where no lock is held.
        let mut waker = Some(cx.waker().clone());
        let mut locked = waiters.lock();
        match locked.queue.waker_of(self.index) {
            Some(slot) => mem::swap(slot, &mut waker),
            None => {
                locked.forget(&waiters.bytes, self.index);
                locked.queue.arrive(self.index);
                locked.tidy(&waiters.bytes);
                self.index = OVER;
            }
        }
        drop(locked);
        // The former waker, or the new one, goes here, outside the lock.
        drop(waker);
        if self.index == OVER { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Place<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.index != OVER && self.leave() {
            self.waiters.wake_one();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::wait_queue::KEPT_MAX;

    /// Also of those who come without the lock: whichever is the last one.
    #[test]
    fn a_large_crowd_leaves_no_memory_behind() {
        let mut context = Context::from_waker(Waker::noop());
        for is_called in [true, false] {
            for backwards in [true, false] {
                let waiters = Waiters::new(true);
                let mut few: Vec<_> = (0..BYTES).map(|_| waiters.enter()).collect();
                if is_called {
                    // Told while there are few, and one of them comes then.
                    waiters.wake_all();
                    assert!(Pin::new(&mut few[0]).poll(&mut context).is_ready());
                }
                let mut all: Vec<_> = (0..10 * KEPT_MAX).map(|_| waiters.enter()).collect();
                for place in &mut all {
                    assert!(Pin::new(place).poll(&mut context).is_pending());
                }
                if is_called {
                    waiters.wake_all();
                }
                all.splice(0..0, few);
                if backwards {
                    all.reverse();
                }
                if is_called {
                    for place in &mut all {
                        assert!(Pin::new(place).poll(&mut context).is_ready());
                    }
                }
                drop(all);
                // Few of a large crowd may come when all others have gone: the next one sees to it.
                drop(waiters.enter());
                let kept = waiters.lock().queue.is_large();
                assert!(!kept, "called: {is_called}, backwards: {backwards}");
            }
        }
    }
}
