//! How many threads can run at once.

use std::sync::OnceLock;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod cgroups;

#[cfg(any(target_os = "linux", target_os = "android"))]
use linux as imp;

/// The processors that this process may run on, or fewer if its processor time is limited. Asking the system takes a dozen system calls: it is asked once.
pub(crate) fn parallelism() -> usize {
    static PARALLELISM: OnceLock<usize> = OnceLock::new();
    *PARALLELISM.get_or_init(imp::count)
}

/// As `std::thread::available_parallelism`, whose parsing of text and paths makes a small program larger by 14 kB.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux {
    use super::cgroups;

    pub(super) fn count() -> usize {
        processors().min(cgroups::quota(b"")).max(1)
    }

    fn processors() -> usize {
        match rustix::thread::sched_getaffinity(None) {
            Ok(set) => set.count() as usize,
            // More processors than the set has room for.
            Err(_) => {
                // SAFETY: the call reads a number.
                let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
                usize::try_from(count).unwrap_or(1)
            }
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod imp {
    pub(super) fn count() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }
}
