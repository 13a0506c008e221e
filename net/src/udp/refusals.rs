//! What the kernel has turned out not to do for a socket.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// Each clone of a socket finds out for itself, which costs it a call that fails.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// To cut datagrams into segments: the network interface does not compute checksums.
    pub(super) segments: Flag,
    /// Many messages in a call, where it does not know of them.
    pub(super) many: Flag,
    /// An error that came after datagrams which had to be returned first; the kernel's `recvmmsg` keeps it in the socket.
    pub(super) late: Late,
}

impl Clone for Refusals {
    fn clone(&self) -> Refusals {
        let copy = Refusals::default();
        copy.segments.0.store(self.segments.is_set(), Ordering::Relaxed);
        copy.many.0.store(self.many.is_set(), Ordering::Relaxed);
        copy
    }
}

/// A hint, so that no order is needed: who sees it too late is refused once more.
#[derive(Debug, Default)]
pub(super) struct Flag(AtomicBool);

impl Flag {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The number of an error, or 0.
#[derive(Debug, Default)]
pub(super) struct Late(AtomicI32);

impl Late {
    pub(super) fn keep(&self, error: &std::io::Error) {
        self.0.store(error.raw_os_error().unwrap_or(0), Ordering::Relaxed);
    }

    pub(super) fn take(&self) -> Option<std::io::Error> {
        if self.0.load(Ordering::Relaxed) == 0 {
            return None;
        }
        // Exchanged, so that one caller gets it; nothing else hangs on it.
        let code = self.0.swap(0, Ordering::Relaxed);
        (code != 0).then(|| std::io::Error::from_raw_os_error(code))
    }
}
