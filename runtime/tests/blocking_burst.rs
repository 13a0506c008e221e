//! Goal: no job is lost or stuck among many short ones from many tasks (FAULTS K4), nor after a job that panics; a dropped job does not run.
//! Method: 64 tasks of two workers await jobs one after the other, again and again, with pauses in which threads leave; each step has a deadline.

mod support;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use futures_lite::FutureExt;
use smolkit_runtime::blocking::{Limits, metrics, set_limits};
use smolkit_runtime::{Runtime, block_on, unblock};
use support::{Random, STEP_MAX, TEST_MAX, quiet_panics, rounds, wait_until, within};

const TASKS: usize = 64;

/// The tests take turns: the pool is the process's, and one of them waits until it is idle.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn short_jobs_of_many_tasks() {
    let _turn = turn();
    // The full size: 50 times a million jobs.
    let (runs, jobs) = (rounds(5, 50), rounds(10_000, 1_000_000) / TASKS);
    let mut limits = Limits::default();
    limits.keep_alive = Duration::from_millis(1);
    set_limits(limits);
    let runtime = Arc::new(Runtime::builder().workers(2).build().unwrap());
    for run in 0..runs {
        let runtime = runtime.clone();
        let done = within(TEST_MAX, move || {
            let task = |number| async move {
                let mut random = Random((run * TASKS + number + 1) as u64);
                let mut sum = 0;
                for _ in 0..jobs {
                    sum += unblock(|| 1).await;
                    if random.below(1000) == 0 {
                        // Long enough that threads leave.
                        smolkit_runtime::Timer::after(Duration::from_millis(2)).await;
                    }
                }
                sum
            };
            let tasks: Vec<_> = (0..TASKS).map(|number| runtime.spawn(task(number))).collect();
            block_on(async {
                let mut sum = 0;
                for task in tasks {
                    sum += task.await;
                }
                sum
            })
        });
        assert_eq!(done, jobs * TASKS, "run {run}");
    }
}

#[test]
fn panics_cost_no_thread() {
    let _turn = turn();
    quiet_panics();
    /// An output or a closure that nobody wants any more.
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    within(TEST_MAX, || {
        for _ in 0..rounds(100, 10_000) {
            let panicking = unblock(|| panic!("on purpose"));
            assert!(block_on(AssertUnwindSafe(panicking).catch_unwind()).is_err());
            let bad = Bad;
            let dropping = unblock(move || drop(bad));
            assert!(block_on(AssertUnwindSafe(dropping).catch_unwind()).is_err());
            unblock(|| panic!("on purpose")).detach();
        }
        // All that are there still answer, and the counts are right.
        assert_eq!(block_on(unblock(|| 7)), 7);
        wait_until("all idle, or gone", || {
            let now = metrics();
            now.threads == now.idle
        });
    });
}

#[test]
fn a_job_that_is_dropped_in_time_does_not_run() {
    let _turn = turn();
    struct Dropped(mpsc::Sender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    let (sender, is_dropped) = mpsc::channel();
    let ran = Arc::new(AtomicUsize::new(0));
    let mut kept = 0;
    for _ in 0..1000 {
        let (ran, dropped) = (ran.clone(), Dropped(sender.clone()));
        let task = unblock(move || {
            ran.fetch_add(1, Ordering::SeqCst);
            drop(dropped);
        });
        // Says whether it has come too late.
        kept += usize::from(block_on(task.cancel()).is_some());
    }
    for _ in 0..1000 {
        is_dropped.recv_timeout(STEP_MAX).expect("each closure is dropped");
    }
    assert!(ran.load(Ordering::SeqCst) >= kept, "no output without a run");
    assert!(is_dropped.try_recv().is_err(), "and only once");
}

/// R19 for the pool: on threads with 2 MiB of stack, in a debug build.
#[test]
fn a_big_closure() {
    let _turn = turn();
    const BYTES: usize = 256 * 1024;
    let big = [7_u8; BYTES];
    let sum = block_on(unblock(move || big.iter().map(|&byte| usize::from(byte)).sum::<usize>()));
    assert_eq!(sum, 7 * BYTES);
}

/// R17 for the pool: `block_on` inside a job, and a job inside that.
#[test]
fn a_job_may_wait_for_a_job() {
    let _turn = turn();
    let inner =
        within(TEST_MAX, || block_on(unblock(|| block_on(unblock(|| block_on(unblock(|| 7)))))));
    assert_eq!(inner, 7);
}
