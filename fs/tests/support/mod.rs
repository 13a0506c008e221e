//! What several tests need.

#![allow(dead_code)]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_lite::FutureExt;
use smolkit_runtime::{Timer, block_on};

/// No single step of a test may take longer.
pub(crate) const STEP_MAX: Duration = Duration::from_secs(20);

/// Runs `future`, and fails if it has not finished at the deadline.
pub(crate) fn within<T>(future: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(STEP_MAX).await;
        panic!("not finished after {STEP_MAX:?}")
    };
    block_on(future.or(late))
}

/// Waits until `condition` holds, and fails if that takes longer than a step may.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < STEP_MAX, "stalled: {what}");
        std::thread::sleep(Duration::from_millis(1));
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

/// A directory that is removed when this is dropped.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> TempDir {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let name = format!("smolkit-fs-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a directory for the test");
        TempDir(path)
    }

    pub(crate) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("the test's directory can be removed");
    }
}

/// Bytes in which each position can be told from its neighbours.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    let mut bytes = (0..251).collect::<Vec<u8>>().repeat(length / 251 + 1);
    bytes.truncate(length);
    bytes
}
