//! Goal: the pool's threads start for jobs that block, sleep without waking while they idle, and leave (FAULTS K5).
//! Method: a burst of jobs that are all stuck at once; then threads and their voluntary context switches are counted in /proc. One test in this file: the
//! pool is the process's.

#![cfg(target_os = "linux")]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use smolkit_runtime::blocking::{Limits, metrics, set_limits};
use smolkit_runtime::{block_on, unblock};
use support::{rounds, threads_named, wait_until, within};

const NAME: &str = "smolkit-block";

#[test]
fn a_burst_comes_and_goes() {
    let burst = rounds(100, 500);
    within(Duration::from_secs(60), move || {
        let mut limits = Limits::default();
        limits.keep_alive = Duration::from_millis(1500);
        set_limits(limits);
        assert_eq!(threads_named(NAME), 0);
        for _ in 0..2 {
            let all = Arc::new(Barrier::new(burst));
            let jobs: Vec<_> = (0..burst)
                .map(|_| {
                    let all = all.clone();
                    unblock(move || all.wait())
                })
                .collect();
            // Each job waits for all the others: all of them have a thread.
            block_on(async {
                for job in jobs {
                    job.await;
                }
            });
            wait_until("all idle", || metrics().idle == burst);
            assert_eq!(threads_named(NAME), burst);

            let asleep = switches();
            thread::sleep(Duration::from_millis(500));
            let later = switches();
            let woken = later.iter().filter(|(thread, count)| asleep.get(*thread) != Some(count));
            // Some were not yet asleep at the first look.
            assert!(woken.count() <= burst / 10, "idle threads wake up");

            wait_until("back to none", || threads_named(NAME) == 0);
            let now = metrics();
            assert_eq!((now.threads, now.idle, now.queued), (0, 0, 0));
        }
        assert_eq!(block_on(unblock(|| 7)), 7, "and it starts again");
    });
}

/// How often each of the pool's threads has gone to sleep.
fn switches() -> BTreeMap<String, String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("a list of threads");
    let statuses = tasks.flatten().filter_map(|task| {
        // A thread that has just ended has no status any more.
        let status = std::fs::read_to_string(task.path().join("status")).ok()?;
        let field = |key| status.lines().find_map(|line: &str| line.strip_prefix(key));
        field("Name:\t")?.starts_with(NAME).then_some(())?;
        Some((field("Pid:\t")?.to_owned(), field("voluntary_ctxt_switches:\t")?.to_owned()))
    });
    statuses.collect()
}
