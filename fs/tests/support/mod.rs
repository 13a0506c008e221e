//! What several tests need.

#![allow(dead_code)]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_lite::FutureExt;
use smolkit_runtime::blocking::metrics;
use smolkit_runtime::{Timer, block_on};

/// No single step of a test may take longer.
pub(crate) const STEP_MAX: Duration = Duration::from_secs(60);

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

/// Whether all jobs are done that this thread has given the pool, and dropped with what they had; nobody else may give it any.
///
/// Counts of jobs that have begun are exact only from then on: a job that nobody waits for, such as the one that learns what kind of filesystem it is, counts when its turn comes.
pub(crate) fn pool_is_quiet() -> bool {
    // In this order: what was taken from the queue keeps its thread from being idle until it is done.
    let is_empty = metrics().queued == 0;
    let now = metrics();
    is_empty && now.idle == now.threads
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

/// How many descriptors are open for something below `dir`; other tests may open what they like. (0 where the system does not say.)
pub(crate) fn open_below(dir: &TempDir) -> usize {
    let dir = std::fs::canonicalize(&dir.0).expect("it is there");
    let Ok(fds) = std::fs::read_dir("/proc/self/fd") else { return 0 };
    let targets = fds.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    targets.filter(|target| target.starts_with(&dir)).count()
}

/// A directory that is removed when this is dropped.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> TempDir {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::SeqCst);
            let name = format!("smolkit-fs-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match std::fs::create_dir(&path) {
                Ok(()) => return TempDir(path),
                // Left by a process of the same number that was killed.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("a directory for the test: {error}"),
            }
        }
    }

    pub(crate) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // What a thread of the pool was about to make in it, it may make just now.
        let start = Instant::now();
        while let Err(error) = std::fs::remove_dir_all(&self.0) {
            let is_filled = error.kind() == std::io::ErrorKind::DirectoryNotEmpty;
            if (!is_filled || start.elapsed() > STEP_MAX) && !std::thread::panicking() {
                panic!("the test's directory cannot be removed: {error}");
            }
            if !is_filled {
                return;
            }
        }
    }
}

/// Runs the test `name` again in a process of its own, where nothing else is counted.
pub(crate) fn alone(name: &str, test: impl FnOnce()) {
    const CHILD: &str = "SMOLKIT_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return test();
    }
    let status = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .status();
    assert!(status.expect("this program again").success());
}

/// Bytes in which each position can be told from its neighbours.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    let mut bytes = (0..251).collect::<Vec<u8>>().repeat(length / 251 + 1);
    bytes.truncate(length);
    bytes
}

/// Runs `f` in a process that is not root's: if this one is, the test `name` runs again, as a user without rights, from where such a one may start it.
pub(crate) fn as_nobody(name: &str, f: impl FnOnce()) {
    if !rustix::process::geteuid().is_root() {
        return f();
    }
    let dir = TempDir::new();
    let program = dir.join("test");
    std::fs::copy(std::env::current_exe().expect("this program"), &program).expect("a copy of it");
    for path in [dir.join(""), program.clone()] {
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(path, all).expect("permissions");
    }
    let nobody = 65_534;
    let mut command = std::process::Command::new(program);
    std::os::unix::process::CommandExt::uid(&mut command, nobody);
    std::os::unix::process::CommandExt::gid(&mut command, nobody);
    let output = command.args([name, "--exact", "--nocapture"]).current_dir("/").output();
    let output = output.expect("the test runs again");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
}
