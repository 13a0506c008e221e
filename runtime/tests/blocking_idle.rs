//! Goal: the pool's threads start for jobs that block, sleep without waking while they idle, and leave (FAULTS K5).
//! Method: a burst of jobs that are all stuck at once; then threads and their voluntary context switches are counted in /proc. One test in this file: the
//! pool is the process's.

#![cfg(target_os = "linux")]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use smolkit_runtime::blocking::{Limits, metrics, set_limits};
use smolkit_runtime::{block_on, unblock};
use support::{rounds, threads, threads_named, wait_until, within};

const NAME: &str = "smolkit-block";

#[test]
fn a_burst_comes_and_goes() {
    within(Duration::from_secs(600), || {
        assert_eq!(threads_named(NAME), 0);
        for _ in 0..2 {
            // On a machine that is so busy that the first ones have left before the last ones are looked at, it is told by those that stay longer.
            let mut stays = [1_500, 5_000, 15_000].map(Duration::from_millis).into_iter();
            assert!(stays.any(come_and_go), "no look in time");
        }
        assert_eq!(block_on(unblock(|| 7)), 7, "and it starts again");
    });
}

/// A burst, a look at its threads while they idle, and their end. Not if the look came too late to say anything.
fn come_and_go(keep_alive: Duration) -> bool {
    let burst = rounds(100, 500);
    let mut limits = Limits::default();
    limits.keep_alive = keep_alive;
    set_limits(limits);
    let start = Instant::now();
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
    let is_late = || start.elapsed() >= keep_alive;
    // Whoever pushes a job and whoever takes one may call a thread each, of which one finds nothing: it idles as well.
    wait_until("all idle", || {
        let now = metrics();
        now.idle == now.threads && now.idle >= burst || is_late()
    });
    let crew = (threads_named(NAME), metrics().threads);
    wait_until("all asleep", || crew_sleeps() || is_late());
    let asleep = switches();
    thread::sleep(Duration::from_millis(500));
    let later = switches();
    let is_told = !is_late();
    if is_told {
        assert_eq!(crew.0, crew.1, "all that are counted are there");
        assert!(crew.0 <= 2 * burst, "{} threads for {burst} jobs", crew.0);
        let woken = later.iter().filter(|(thread, count)| asleep.get(*thread) != Some(count));
        // Some were not yet asleep at the first look.
        assert!(woken.count() <= burst / 10, "idle threads wake up");
    }
    wait_until("back to none", || threads_named(NAME) == 0);
    let now = metrics();
    assert_eq!((now.threads, now.idle, now.queued), (0, 0, 0));
    is_told
}

fn crew_sleeps() -> bool {
    threads().filter(|thread| thread.name().starts_with(NAME)).all(|thread| thread.is_asleep())
}

/// How often each of the pool's threads has gone to sleep.
fn switches() -> BTreeMap<u32, u64> {
    let crew = threads().filter(|thread| thread.name().starts_with(NAME));
    crew.map(|thread| (thread.id(), thread.voluntary_switches())).collect()
}
