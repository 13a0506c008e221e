//! What a source is known to be ready for, in one atomic word.
//!
//! ```text
//!  63 ............ 8 | 7 .. 4 | 3            | 2           | 1        | 0
//!  tick (events seen) |        | WRITE_CLOSED | READ_CLOSED | WRITABLE | READABLE
//! ```
//!
//! An event sets bits and counts the tick up. A caller that met `WouldBlock` clears the bits of its direction,
//! but only if the tick is still the one it saw *before* its system call: an event that came in between
//! stays. That makes "try, then clear, then wait" free of lost wake-ups without a lock.

use std::ops::BitOr;

use crate::sync::{AtomicUsize, Ordering};

/// A set of the bits above.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ready(usize);

impl Ready {
    pub(crate) const EMPTY: Ready = Ready(0);
    pub(crate) const READABLE: Ready = Ready(1);
    pub(crate) const WRITABLE: Ready = Ready(2);
    pub(crate) const READ_CLOSED: Ready = Ready(4);
    pub(crate) const WRITE_CLOSED: Ready = Ready(8);
    pub(crate) const ALL: Ready = Ready(15);

    pub(crate) fn intersects(self, other: Ready) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Ready {
    type Output = Ready;

    fn bitor(self, other: Ready) -> Ready {
        Ready(self.0 | other.0)
    }
}

const BITS: usize = 0xff;
const TICK: usize = 0x100;

/// The word as it was when somebody looked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Snapshot(usize);

impl Snapshot {
    pub(crate) fn intersects(self, ready: Ready) -> bool {
        self.0 & ready.0 != 0
    }
}

pub(crate) struct Readiness(AtomicUsize);

impl Readiness {
    /// A source starts as "ready for all": the first call finds out with a system call.
    pub(crate) fn new() -> Readiness {
        Readiness(AtomicUsize::new((Ready::READABLE | Ready::WRITABLE).0))
    }

    pub(crate) fn load(&self) -> Snapshot {
        Snapshot(self.0.load(Ordering::SeqCst))
    }

    /// An event has come.
    pub(crate) fn set(&self, ready: Ready) {
        let mut word = self.0.load(Ordering::SeqCst);
        loop {
            let next = (word | ready.0).wrapping_add(TICK);
            match self.0.compare_exchange(word, next, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }

    /// A system call has shown that `ready` no longer holds; void if an event came since `seen`.
    pub(crate) fn clear(&self, seen: Snapshot, ready: Ready) {
        let mut word = self.0.load(Ordering::SeqCst);
        while word & !BITS == seen.0 & !BITS && word & ready.0 != 0 {
            // The other direction may clear its own bits at the same tick: then try again.
            match self.0.compare_exchange(word, word & !ready.0, Ordering::SeqCst, Ordering::SeqCst)
            {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }
}
