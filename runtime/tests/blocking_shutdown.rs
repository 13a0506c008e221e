//! Goal: the pool's shutdown waits for what runs and no longer than it is told to, drops what is queued, and overflows nothing (FAULTS K3).
//! Method: a job that is stuck for long, others behind it, deadlines of a second, of zero and of `Duration::MAX`. One test in this file: the pool is the process's,
//! and does not start again.

mod support;

use std::panic::AssertUnwindSafe;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::FutureExt;
use smolkit_runtime::blocking::{Limits, metrics, set_limits, shutdown};
use smolkit_runtime::{block_on, unblock};
use support::{TEST_MAX, rounds, wait_until, within};

#[test]
fn deadlines() {
    within(TEST_MAX, || {
        let mut limits = Limits::default();
        limits.threads_max = 1;
        set_limits(limits);
        let ((done, is_done), (release, gate)) = (mpsc::channel(), mpsc::channel::<()>());
        unblock(move || {
            let _ = gate.recv();
            done.send(()).unwrap();
        })
        .detach();
        wait_until("it runs", || metrics().begun == 1);
        let (run, has_run) = mpsc::channel::<()>();
        let queued = unblock(move || run.send(()));
        assert_eq!(metrics().queued, 1);

        // The job does not end by itself: who waited for it would never be back.
        let start = Instant::now();
        assert_eq!(shutdown(Duration::from_secs(1)), 1, "one thread is stuck");
        assert!(start.elapsed() >= Duration::from_secs(1));

        // What was queued has been dropped, and says so.
        assert_eq!(has_run.try_recv(), Err(mpsc::TryRecvError::Disconnected));
        assert!(block_on(AssertUnwindSafe(queued).catch_unwind()).is_err());
        let late = unblock(|| 7);
        assert_eq!(block_on(late.fallible()), None, "and so does what comes later");

        assert_eq!(shutdown(Duration::ZERO), 1);
        let releasing = thread::spawn(move || {
            thread::sleep(Duration::from_millis(rounds(200, 5_000) as u64));
            drop(release);
        });
        assert_eq!(shutdown(Duration::MAX), 0, "waits for the end of the job");
        assert_eq!(is_done.try_recv(), Ok(()));
        assert_eq!(shutdown(Duration::MAX), 0);
        let now = metrics();
        assert_eq!((now.threads, now.queued, now.begun), (0, 0, 1));
        releasing.join().unwrap();
    });
}
