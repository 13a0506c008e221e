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

use crate::sync::{AtomicUsize, Ordering};

const RUNNING: usize = 0;
const PARKED: usize = 1;
const NOTIFIED: usize = 2;

pub(crate) struct ParkState(AtomicUsize);

impl ParkState {
    pub(crate) fn new() -> ParkState {
        ParkState(AtomicUsize::new(RUNNING))
    }

    /// The driver is about to sleep. False if it has been notified and must not.
    pub(crate) fn begin(&self) -> bool {
        self.0.compare_exchange(RUNNING, PARKED, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The driver is up, and has taken note of every notification so far.
    pub(crate) fn end(&self) {
        self.0.swap(RUNNING, Ordering::SeqCst);
    }

    /// True if the caller has to wake the poller: it sleeps, and nobody else has done so.
    pub(crate) fn notify(&self) -> bool {
        self.0.swap(NOTIFIED, Ordering::SeqCst) == PARKED
    }

    pub(crate) fn is_parked(&self) -> bool {
        self.0.load(Ordering::SeqCst) == PARKED
    }
}
