//! The parked worker that keeps an eye on the busy ones.
//!
//! A busy worker wakes no other for the few tasks that wait behind its present one. If that one takes long, somebody
//! else has to take them, and to look into the poller that it does not get to: while any worker is busy, one parked worker (the
//! warden) sleeps for a short time only. When it finds that all have been parked all the time it sleeps as deep as the others; the first
//! worker that becomes busy then calls it back.

use std::time::Duration;

use crate::sync::{AtomicUsize, Ordering};

/// How long a task may wait behind one that does not end, about.
pub(crate) const PERIOD: Duration = Duration::from_millis(2);

const NOBODY: usize = usize::MAX;

pub(crate) struct Warden {
    holder: AtomicUsize,
}

impl Warden {
    pub(crate) fn new() -> Warden {
        Warden { holder: AtomicUsize::new(NOBODY) }
    }

    pub(crate) fn is_absent(&self) -> bool {
        self.holder.load(Ordering::SeqCst) == NOBODY
    }

    /// Worker `index` is parking: how long at the most?
    ///
    /// `has_been_quiet` tells whether nobody has worked since it was last asked. `others_busy` is asked after the office has changed
    /// hands, so that it and `is_absent`, which a worker asks after it has become busy, cannot both miss the other.
    pub(crate) fn watch(
        &self,
        index: usize,
        has_been_quiet: impl FnOnce() -> bool,
        others_busy: impl Fn() -> bool,
    ) -> Option<Duration> {
        if self.holder.load(Ordering::SeqCst) == index {
            let is_quiet = has_been_quiet();
            if !is_quiet || others_busy() {
                return Some(PERIOD);
            }
            self.lay_down(index);
            return (others_busy() && self.take(index)).then_some(PERIOD);
        }
        if !self.is_absent() || !others_busy() || !self.take(index) {
            return None;
        }
        has_been_quiet();
        Some(PERIOD)
    }

    /// Worker `index` has something to do.
    pub(crate) fn lay_down(&self, index: usize) {
        // Nobody else takes the office away from its holder.
        if self.holder.load(Ordering::SeqCst) == index {
            self.holder.store(NOBODY, Ordering::SeqCst);
        }
    }

    fn take(&self, index: usize) -> bool {
        self.holder.compare_exchange(NOBODY, index, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}
