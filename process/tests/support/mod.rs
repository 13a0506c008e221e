//! What several tests need.

#![allow(dead_code)]

use std::future::Future;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::FutureExt;
use smolkit_runtime::blocking::metrics;
use smolkit_runtime::{Async, Timer, block_on};

/// No single step of a test may take longer.
pub(crate) const STEP_MAX: Duration = Duration::from_secs(60);

/// Runs `future`, and fails if it has not finished at the deadline.
pub(crate) fn within<T>(future: impl Future<Output = T>) -> T {
    block_on(in_time(future))
}

/// `future`, which fails if it has not finished at the deadline.
pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(STEP_MAX).await;
        panic!("not finished after {STEP_MAX:?}")
    };
    future.or(late).await
}

/// Waits until `condition` holds, and fails if that takes longer than a step may.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < STEP_MAX, "stalled: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Whether all jobs are done that this thread has given the pool; nobody else may give it any.
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

/// Has the runtime open what it keeps open: it does so when something is waited for, which a quick child need not be.
pub(crate) fn start_reactor() {
    let (one, _other) = UnixStream::pair().expect("a pair of sockets");
    drop(Async::new(one).expect("a reactor"));
}

/// How many file descriptors this process has open.
pub(crate) fn open_fds() -> usize {
    // The directory's own descriptor is in the list.
    std::fs::read_dir("/dev/fd").expect("a list of descriptors").count() - 1
}

/// Our children by number, with the letter of their state.
#[cfg(target_os = "linux")]
pub(crate) fn children() -> Vec<(u32, char)> {
    let own = std::process::id();
    let processes = std::fs::read_dir("/proc").expect("a list of processes").flatten();
    let stats = processes.filter_map(|process| {
        // A process that has just ended has none any more.
        std::fs::read_to_string(process.path().join("stat")).ok()
    });
    let children = stats.filter_map(|stat| {
        // "pid (name) state parent ...", and the name may have any letters.
        let (head, tail) = stat.rsplit_once(')')?;
        let mut tail = tail.split_ascii_whitespace();
        let state = tail.next()?.chars().next()?;
        let parent: u32 = tail.next()?.parse().ok()?;
        let pid = head.split_once(' ')?.0.parse().ok()?;
        (parent == own).then_some((pid, state))
    });
    children.collect()
}
