//! The memory that the two ends share, and who of them owns what in it.
//!
//! One word says what has happened. Each end sets bits of it, and the bits hand over the two cells beside it:
//!
//! - *value*: the sender's until `SENT` is set, and the receiver's from then on.
//! - *waker*: the receiver's; the sender's, to take, if it finds `WAITING` when it sets `ENDED`. The receiver gets it back by clearing
//!   `WAITING` before that.
//! - the memory as a whole: of whoever sets the second one of `SENDER_GONE` and `RECEIVER_GONE`, or finds that the other one has gone.
//!   An end that sets its own, and not as the second, touches nothing of it any more.
//!
//! Nothing is left in the cells when the memory is freed: the receiver takes a value out that it does not want.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use crate::crowd::Crowd;
use crate::primitives::{AtomicUsize, Ordering, UnsafeCell};

/// There is a value.
const SENT: usize = 1;
/// Nothing will be sent any more.
const ENDED: usize = 1 << 1;
/// The receiver wants nothing that has not been sent.
const CLOSED: usize = 1 << 2;
/// There is a waker.
const WAITING: usize = 1 << 3;
/// Somebody waits, or will, for `CLOSED`.
const WATCHED: usize = 1 << 4;
const SENDER_GONE: usize = 1 << 5;
const RECEIVER_GONE: usize = 1 << 6;

struct Shared<T> {
    state: AtomicUsize,
    waker: UnsafeCell<MaybeUninit<Waker>>,
    value: UnsafeCell<MaybeUninit<T>>,
    /// The receiver's alone: it has taken the value. Here, and not beside its pointer, so that the end is as small as that.
    has_come: Cell<bool>,
    /// Who has borrowed the sender, and waits for the receiver to go. Mostly nobody does.
    closed: OnceLock<Box<Crowd>>,
}

/// Makes the two halves.
pub(super) fn halves<T>() -> (Giving<T>, Taking<T>) {
    let shared = Box::new(Shared {
        state: AtomicUsize::new(0),
        waker: UnsafeCell::new(MaybeUninit::uninit()),
        value: UnsafeCell::new(MaybeUninit::uninit()),
        has_come: Cell::new(false),
        closed: OnceLock::new(),
    });
    let shared = NonNull::from(Box::leak(shared));
    (Giving { shared }, Taking { shared })
}

/// The sender's half.
pub(super) struct Giving<T> {
    shared: NonNull<Shared<T>>,
}

// SAFETY: a value goes from the thread of one half to that of the other, and no reference to it is ever given out; wakers are `Send` and `Sync`.
unsafe impl<T: Send> Send for Giving<T> {}
// SAFETY: what takes `&Giving` touches the word and the crowd only, which are `Sync`.
unsafe impl<T: Send> Sync for Giving<T> {}
impl<T> UnwindSafe for Giving<T> {}
impl<T> RefUnwindSafe for Giving<T> {}

impl<T> Giving<T> {
    fn shared(&self) -> &Shared<T> {
        // SAFETY: the memory is freed by the second one to go only, and this one has not gone.
        unsafe { self.shared.as_ref() }
    }

    /// Gives the value back if nobody will take it.
    pub(super) fn send(self, value: T) -> Result<(), T> {
        let this = ManuallyDrop::new(self);
        this.shared().value.with_mut(|cell| {
            // SAFETY: without `SENT`, which only the call below sets, the value's cell is the sender's.
            unsafe { &mut *cell }.write(value);
        });
        match this.end(SENT) {
            true => Ok(()),
            false => {
                // SAFETY: written above; `SENT` was not set, so it is still the sender's. `end` has not gone.
                let value = unsafe { this.shared().take_value() };
                drop(ManuallyDrop::into_inner(this));
                Err(value)
            }
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.shared().load() & CLOSED != 0
    }

    pub(super) fn closed(&self) -> impl Future<Output = ()> + Send + '_ {
        let Shared { state, closed, .. } = self.shared();
        let crowd = closed.get_or_init(|| Box::new(Crowd::new()));
        // Of this and the receiver's `CLOSED`, both of which change the same word, the later one sees the other.
        state.fetch_or(WATCHED, Ordering::AcqRel);
        crowd.until(|| state.load(Ordering::Acquire) & CLOSED != 0)
    }

    /// Ends, and goes. False: nothing can be sent any more, and this one has not gone.
    fn end(&self, sent: usize) -> bool {
        let shared = self.shared();
        // Relaxed: what is found is checked by the exchange.
        let mut state = shared.state.load(Ordering::Relaxed);
        loop {
            if state & CLOSED != 0 && sent != 0 {
                return false;
            }
            // Who finds a waker has still to take it.
            let gone = if state & WAITING == 0 { SENDER_GONE } else { 0 };
            // Release for the value, acquire for the waker and, before the memory is freed, for all that the receiver did.
            match shared.state.compare_exchange_weak(
                state,
                state | sent | ENDED | gone,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        if state & WAITING == 0 {
            if state & RECEIVER_GONE != 0 {
                // SAFETY: both have gone, and this one was the second.
                unsafe { free(self.shared) };
            }
            return true;
        }
        // SAFETY: `WAITING` was there when `ENDED` was set: the waker is the sender's.
        let waker = unsafe { shared.take_waker() };
        if shared.state.fetch_or(SENDER_GONE, Ordering::AcqRel) & RECEIVER_GONE != 0 {
            // SAFETY: both have gone, and this one was the second.
            unsafe { free(self.shared) };
        }
        waker.wake();
        true
    }
}

impl<T> Drop for Giving<T> {
    fn drop(&mut self) {
        self.end(0);
    }
}

/// The receiver's half.
pub(super) struct Taking<T> {
    shared: NonNull<Shared<T>>,
}

// SAFETY: as for `Giving`.
unsafe impl<T: Send> Send for Taking<T> {}
// SAFETY: nothing takes `&Taking` but `shared`, which is private.
unsafe impl<T: Send> Sync for Taking<T> {}
impl<T> UnwindSafe for Taking<T> {}
impl<T> RefUnwindSafe for Taking<T> {}

impl<T> Taking<T> {
    fn shared(&self) -> &Shared<T> {
        // SAFETY: the memory is freed by the second one to go only, and this one has not gone.
        unsafe { self.shared.as_ref() }
    }

    /// `None`: it will not come, or was taken already.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if let Poll::Ready(value) = self.look() {
            return Poll::Ready(value);
        }
        // Only the receiver sets this bit, so it is not older than what `look` found.
        let former = match self.shared().load() & WAITING {
            0 => None,
            _ if self.shared().will_wake(cx.waker()) => return Poll::Pending,
            // Cleared, so that the sender leaves it alone.
            _ => match self.shared().state.fetch_and(!WAITING, Ordering::AcqRel) {
                state if state & ENDED != 0 => return self.look(),
                // SAFETY: the sender had not ended when the bit was cleared, and does not look at the waker without it.
                _ => Some(unsafe { self.shared().take_waker() }),
            },
        };
        let waker = cx.waker().clone();
        self.shared().waker.with_mut(|cell| {
            // SAFETY: without `WAITING` the waker's cell is the receiver's; what was in it was taken out above.
            unsafe { &mut *cell }.write(waker);
        });
        let state = self.shared().state.fetch_or(WAITING, Ordering::AcqRel);
        // Dropped when nothing is left to be done: it is foreign code.
        let polled = if state & ENDED == 0 {
            Poll::Pending
        } else {
            // SAFETY: the sender ended before the bit was set: it has not seen the waker.
            drop(unsafe { self.shared().take_waker() });
            self.look()
        };
        drop(former);
        polled
    }

    /// The value, if it has come; `None` if it will not.
    pub(super) fn look(&mut self) -> Poll<Option<T>> {
        let state = self.shared().load();
        if let Some(value) = self.take(state) {
            return Poll::Ready(Some(value));
        }
        if state & (ENDED | CLOSED) != 0 { Poll::Ready(None) } else { Poll::Pending }
    }

    pub(super) fn close(&mut self) {
        let (state, waker) = self.refuse();
        self.shared().tell_closed(state);
        drop(waker);
    }

    /// Wants nothing any more, and waits no longer. Gives what was found, and the waker.
    fn refuse(&mut self) -> (usize, Option<Waker>) {
        let mut state = self.shared().load();
        // Acquire for the value that may have been sent.
        while let Err(now) = self.shared().state.compare_exchange_weak(
            state,
            (state | CLOSED) & !WAITING,
            Ordering::AcqRel,
            Ordering::Relaxed,
        ) {
            state = now;
        }
        // SAFETY: the sender had not ended when the bit was cleared, and does not look at the waker without it.
        let waker =
            (state & (WAITING | ENDED) == WAITING).then(|| unsafe { self.shared().take_waker() });
        (state, waker)
    }

    /// The value, if there is one in this state, and it was not taken.
    fn take(&mut self, state: usize) -> Option<T> {
        if state & SENT == 0 || self.shared().has_come.replace(true) {
            return None;
        }
        // SAFETY: since `SENT` was set the value is the receiver's, which takes it but once.
        Some(unsafe { self.shared().take_value() })
    }
}

impl<T> Drop for Taking<T> {
    fn drop(&mut self) {
        let mut state = self.shared().load();
        if state & SENDER_GONE != 0 {
            let value = self.take(state);
            // SAFETY: the sender has gone, and this one goes now.
            unsafe { free(self.shared) };
            drop(value);
            return;
        }
        let waker;
        (state, waker) = self.refuse();
        let value = self.take(state);
        // It goes even if a waker of those who wait for that panics, and before anything of the user's is dropped.
        let going = Going(self.shared);
        self.shared().tell_closed(state);
        drop(going);
        drop((value, waker));
    }
}

/// The receiver, on its way.
struct Going<T>(NonNull<Shared<T>>);

impl<T> Drop for Going<T> {
    fn drop(&mut self) {
        // SAFETY: the receiver has not gone yet, so the memory is there.
        let state = unsafe { self.0.as_ref() }.state.fetch_or(RECEIVER_GONE, Ordering::AcqRel);
        if state & SENDER_GONE != 0 {
            // SAFETY: both have gone, and this one was the second.
            unsafe { free(self.0) };
        }
    }
}

impl<T> Shared<T> {
    /// Acquire, for the value and for the end.
    fn load(&self) -> usize {
        self.state.load(Ordering::Acquire)
    }

    /// Calls those who wait for `CLOSED`, which the caller has set; `state` is what it found.
    fn tell_closed(&self, state: usize) {
        if state & WATCHED == 0 {
            return;
        }
        if let Some(crowd) = self.closed.get() {
            crowd.wake_all();
        }
    }

    /// Whether the waker in the cell is this one.
    fn will_wake(&self, waker: &Waker) -> bool {
        // SAFETY: `WAITING` is set, and only the receiver, who asks, would clear it: the cell is written. The sender may take the waker at the
        // same time, which reads the cell as well; whom it wakes is compared by address, and not looked at.
        self.waker.with(|cell| unsafe { &*cell.cast::<Waker>() }.will_wake(waker))
    }

    /// # Safety
    ///
    /// The waker's cell is written, and the caller's, who regards it as empty from now on.
    unsafe fn take_waker(&self) -> Waker {
        // SAFETY: of the caller. A read, because the receiver may be comparing it.
        self.waker.with(|cell| unsafe { cell.cast::<Waker>().read() })
    }

    /// # Safety
    ///
    /// The value's cell is written, and the caller's, who regards it as empty from now on.
    unsafe fn take_value(&self) -> T {
        // SAFETY: of the caller.
        self.value.with_mut(|cell| unsafe { cell.cast::<T>().read() })
    }
}

/// # Safety
///
/// Both ends have gone, or the caller is the last one and goes now. What was in the cells was taken out.
unsafe fn free<T>(shared: NonNull<Shared<T>>) {
    // SAFETY: it was a box, and by the caller nobody else uses it.
    let shared = unsafe { Box::from_raw(shared.as_ptr()) };
    // For the models: to free is to write, and nobody may be reading.
    shared.waker.with_mut(|_| ());
    shared.value.with_mut(|_| ());
    drop(shared);
}
