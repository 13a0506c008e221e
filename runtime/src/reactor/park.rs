//! Whether the thread that drives a poller sleeps in it, in one atomic word.
//!
//! ```text
//!             begin                      wait returns: end
//!  RUNNING ──────────▶ PARKED ────────────────────────────▶ RUNNING
//!     │                   │
//!     │ notify            │ notify: the one that wins this edge writes to the eventfd
//!     ▼                   ▼
//!  NOTIFIED ◀──────────────        begin on NOTIFIED: do not sleep
//! ```
//!
//! The notifier publishes its work, then swaps the word; the parker swaps the word, then looks for work. One
//! of the two sees the other.
//!
//! A poller that is somebody's own may be driven by a deputy meanwhile, whose `end` takes note of a notification that was meant for the
//! owner. So who wants the owner *calls* it: a flag goes up before the notification. The owner looks at it between `begin` and the wait, and takes it
//! down after the wait, before it looks for work; a deputy leaves it alone.

use crate::sync::{AtomicUsize, Ordering};

const RUNNING: usize = 0;
const PARKED: usize = 1;
const NOTIFIED: usize = 2;

pub(crate) struct ParkState {
    word: AtomicUsize,
    /// Not zero if the owner has been called.
    called: AtomicUsize,
}

impl ParkState {
    pub(crate) fn new() -> ParkState {
        ParkState { word: AtomicUsize::new(RUNNING), called: AtomicUsize::new(0) }
    }

    /// The driver is about to sleep. False if it has been notified and must not.
    pub(crate) fn begin(&self) -> bool {
        self.word.compare_exchange(RUNNING, PARKED, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The driver is up, and has taken note of every notification so far.
    pub(crate) fn end(&self) {
        self.word.swap(RUNNING, Ordering::SeqCst);
    }

    /// True if the caller has to wake the poller: it sleeps, and nobody else has done so.
    pub(crate) fn notify(&self) -> bool {
        self.word.swap(NOTIFIED, Ordering::SeqCst) == PARKED
    }

    pub(crate) fn is_parked(&self) -> bool {
        self.word.load(Ordering::SeqCst) == PARKED
    }

    /// As `notify`, for the owner.
    pub(crate) fn call(&self) -> bool {
        // A swap and not a store: of several calls, the owner sees one, and so what all before it have published.
        self.called.swap(1, Ordering::SeqCst);
        self.notify()
    }

    /// For the owner, after `begin`.
    pub(crate) fn is_called(&self) -> bool {
        self.called.load(Ordering::SeqCst) != 0
    }

    /// For the owner, after the wait.
    pub(crate) fn take_call(&self) {
        // A look first: the swap is the dear part. A swap and not a store, so that what was published before the call is seen.
        if self.is_called() {
            self.called.swap(0, Ordering::SeqCst);
        }
    }
}
