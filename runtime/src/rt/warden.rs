//! The parked worker that keeps an eye on the busy ones.
//!
//! A busy worker wakes no other for the few tasks that wait behind its present one. If that one takes long, somebody
//! else has to take them: while any worker is busy, one parked worker (the warden) sleeps for a short time only, and takes whatever
//! waits when it looks. When all have been parked for a while it sleeps as deep as the others; the first worker that becomes
//! busy then calls it back.

use std::time::Duration;

use crate::sync::{AtomicUsize, Ordering};

/// How long a task may wait behind one that does not end, about.
pub(super) const PERIOD: Duration = Duration::from_millis(2);
/// After so many looks at nothing but parked workers the office is laid down.
const QUIET_LOOKS_MAX: usize = 50;

const NOBODY: usize = usize::MAX;

pub(super) struct Warden {
    holder: AtomicUsize,
}

impl Warden {
    pub(super) fn new() -> Warden {
        Warden { holder: AtomicUsize::new(NOBODY) }
    }

    pub(super) fn is_absent(&self) -> bool {
        self.holder.load(Ordering::SeqCst) == NOBODY
    }

    /// Worker `index` is parking: how long at the most?
    ///
    /// `others_busy` is asked after the office has changed hands, so that it and `is_absent`, which a worker asks after it has
    /// become busy, cannot both miss the other.
    pub(super) fn watch(
        &self,
        index: usize,
        quiet_looks: &mut usize,
        others_busy: impl Fn() -> bool,
    ) -> Option<Duration> {
        let holder = self.holder.load(Ordering::SeqCst);
        if holder != index {
            *quiet_looks = 0;
            if holder != NOBODY || !others_busy() || !self.take(index) {
                return None;
            }
            return Some(PERIOD);
        }
        if others_busy() {
            *quiet_looks = 0;
            return Some(PERIOD);
        }
        *quiet_looks += 1;
        if *quiet_looks < QUIET_LOOKS_MAX {
            return Some(PERIOD);
        }
        self.lay_down(index);
        *quiet_looks = 0;
        (others_busy() && self.take(index)).then_some(PERIOD)
    }

    /// Worker `index` has something to do. True if it was the warden.
    pub(super) fn lay_down(&self, index: usize) -> bool {
        self.holder.load(Ordering::SeqCst) == index
            && self
                .holder
                .compare_exchange(index, NOBODY, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
    }

    fn take(&self, index: usize) -> bool {
        self.holder.compare_exchange(NOBODY, index, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}
