//! More room for busy pipes, on Linux.
//!
//! With the 64 KiB that a pipe has (`pipe(7)`) parent and child can do little before one has to wait for the other: 2 switches between them for each 64 KiB,
//! and a third of one with 256 KiB. It is given late, because most children say little and the kernel would get a table for each, and
//! to few, because a user's pipes share a limit (`pipe-user-pages-soft`, 64 MiB) beyond which new ones get a page or two.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

/// A pipe that has carried so much is busy.
const BUSY_BYTES: usize = 1 << 20;
/// As much again helps no more: it no longer fits into a core's cache.
const ROOM_BYTES: usize = 256 << 10;
/// So many pipes of this process have more room: 16 MiB in all.
const ENLARGED_MAX: usize = 64;

static ENLARGED_COUNT: AtomicUsize = AtomicUsize::new(0);

/// How much room one end has made.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// Through this end, as long as that is of interest.
    moved_bytes: usize,
    enlarged: Option<Enlarged>,
}

impl Room {
    /// So many bytes more have gone through `pipe`.
    pub(crate) fn count(&mut self, pipe: impl AsFd, moved: &Poll<io::Result<usize>>) {
        let Poll::Ready(Ok(count)) = moved else { return };
        if self.moved_bytes >= BUSY_BYTES {
            return;
        }
        self.moved_bytes += count;
        if self.moved_bytes >= BUSY_BYTES {
            self.enlarged = Enlarged::new(pipe);
        }
    }
}

/// Counted among those that have more room, until it is dropped.
#[derive(Debug)]
struct Enlarged;

impl Enlarged {
    fn new(pipe: impl AsFd) -> Option<Enlarged> {
        if ENLARGED_COUNT.fetch_add(1, Ordering::Relaxed) >= ENLARGED_MAX {
            ENLARGED_COUNT.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let enlarged = Enlarged;
        // Refused where the user's pipes have too much already: then it stays as it is.
        enlarge(pipe).then_some(enlarged)
    }
}

impl Drop for Enlarged {
    fn drop(&mut self) {
        ENLARGED_COUNT.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(target_os = "linux")]
fn enlarge(pipe: impl AsFd) -> bool {
    use rustix::pipe::{fcntl_getpipe_size, fcntl_setpipe_size};
    // The program may have given it more by itself.
    fcntl_getpipe_size(&pipe).is_ok_and(|size| size < ROOM_BYTES)
        && fcntl_setpipe_size(&pipe, ROOM_BYTES).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn enlarge(_: impl AsFd) -> bool {
    false
}
