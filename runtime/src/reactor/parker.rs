//! Lets one thread in `block_on` sleep, in the poller or beside it, in one atomic word.
//!
//! ```text
//!            begin_sleep                 unpark
//!  EMPTY ───────────────▶ ASLEEP ─────────────────▶ NOTIFIED ──▶ EMPTY, and back to the future
//!    │  ▲                   │ call                      ▲
//!    │  └───────────────────┘ (up, to drive)            │
//!    │ begin_driving                                    │
//!    └──────────────────▶ DRIVING ──────────────────────┘ unpark: ends the turn
//! ```

use crate::sync::thread::{self, Thread};
use crate::sync::{AtomicUsize, Ordering};

const EMPTY: usize = 0;
const NOTIFIED: usize = 1;
const ASLEEP: usize = 2;
const DRIVING: usize = 3;

pub(crate) struct Parker {
    state: AtomicUsize,
    thread: Thread,
}

impl Parker {
    /// For the current thread.
    pub(crate) fn new() -> Parker {
        Parker { state: AtomicUsize::new(EMPTY), thread: thread::current() }
    }

    pub(crate) fn is_notified(&self) -> bool {
        self.state.load(Ordering::SeqCst) == NOTIFIED
    }

    pub(crate) fn take_notification(&self) -> bool {
        // A plain look first: the swap is the dear part.
        self.is_notified() && self.state.swap(EMPTY, Ordering::SeqCst) == NOTIFIED
    }

    /// False if notified already; that notification is taken then.
    pub(super) fn begin_driving(&self) -> bool {
        self.begin(DRIVING)
    }

    /// True if notified meanwhile; that notification is taken.
    pub(super) fn end_driving(&self) -> bool {
        self.state.swap(EMPTY, Ordering::SeqCst) == NOTIFIED
    }

    /// False if notified already; that notification is taken then.
    pub(super) fn begin_sleep(&self) -> bool {
        self.begin(ASLEEP)
    }

    /// Sleeps until notified or called. True if notified; that notification is taken.
    pub(super) fn sleep(&self) -> bool {
        while self.state.load(Ordering::SeqCst) == ASLEEP {
            thread::park();
        }
        self.take_notification()
    }

    /// Ends the sleep of a thread that is to drive, if it has begun.
    pub(super) fn call(&self) {
        let called = self.state.compare_exchange(ASLEEP, EMPTY, Ordering::SeqCst, Ordering::SeqCst);
        if called.is_ok() {
            self.thread.unpark();
        }
    }

    /// Wakes the thread; `end_turn` is called if that takes a notification of the poller.
    pub(crate) fn unpark(&self, end_turn: impl FnOnce()) {
        match self.state.swap(NOTIFIED, Ordering::SeqCst) {
            ASLEEP => self.thread.unpark(),
            DRIVING => end_turn(),
            _ => {}
        }
    }

    fn begin(&self, state: usize) -> bool {
        let begun = self.state.compare_exchange(EMPTY, state, Ordering::SeqCst, Ordering::SeqCst);
        begun.is_ok() || !self.take_notification()
    }
}
