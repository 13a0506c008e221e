//! What several tests need.

#![allow(dead_code)]

use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// No single step of a test may take longer.
pub(crate) const STEP_MAX: Duration = Duration::from_secs(5);

/// Runs `f` on a thread of its own, and fails if it has not come back at the deadline.
pub(crate) fn within<T: Send + 'static>(
    limit: Duration,
    f: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let _ = sender.send(f());
    });
    match receiver.recv_timeout(limit) {
        Ok(output) => {
            thread.join().expect("it has sent its output");
            output
        }
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("not finished after {limit:?}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().expect_err("it has sent nothing"))
        }
    }
}

/// Waits until `condition` holds, and fails if that takes longer than a step may.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < STEP_MAX, "stalled: {what}");
        thread::yield_now();
    }
}

/// `small` normally; `full` when the variable SMOLKIT_FULL asks for the long run.
pub(crate) fn rounds(small: usize, full: usize) -> usize {
    if std::env::var_os("SMOLKIT_FULL").is_some() { full } else { small }
}

/// How many file descriptors this process has open.
pub(crate) fn open_fds() -> usize {
    // The directory's own descriptor is in the list.
    std::fs::read_dir("/dev/fd").expect("a list of descriptors").count() - 1
}

/// How many threads of this process have a name that starts so.
#[cfg(target_os = "linux")]
pub(crate) fn threads_named(prefix: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("a list of threads");
    let names = tasks.flatten().filter_map(|task| {
        // A thread that has just ended has no name any more.
        std::fs::read_to_string(task.path().join("comm")).ok()
    });
    names.filter(|name| name.starts_with(prefix)).count()
}

/// A small generator of pseudo-random numbers.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }
}

/// Leaves a value behind for good, where a leak checker still finds it.
pub(crate) fn keep<T: 'static>(value: T) -> &'static T {
    static KEPT: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    let kept = Box::leak(Box::new(value));
    KEPT.lock().expect("nobody panics here").push(std::ptr::from_ref(kept).expose_provenance());
    kept
}
