//! Goal: a runtime ends from wherever it is told to, and waits no longer than it was told to.
//! Method: a task drops its own runtime; a poll that does not end meets a deadline; a waker panics on the way.

mod support;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use smolkit_runtime::{Runtime, Timer, block_on};
use support::{TEST_MAX, within};

#[test]
fn a_task_may_drop_its_own_runtime() {
    within(TEST_MAX, || {
        let runtime = Runtime::builder().workers(2).build().unwrap();
        let (sender, receiver) = std::sync::mpsc::channel::<Runtime>();
        let (done, is_done) = std::sync::mpsc::channel();
        let other = Runtime::builder().workers(1).build().unwrap();
        let task = runtime.spawn(async move {
            drop(receiver.recv().unwrap());
            done.send(()).unwrap();
        });
        task.detach();
        sender.send(runtime).unwrap();
        is_done.recv().unwrap();
        drop(other);
    });
}

#[test]
fn a_poll_that_does_not_end_is_not_waited_for() {
    within(TEST_MAX, || {
        let runtime = Runtime::builder().workers(2).build().unwrap();
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let (entered, is_entered) = std::sync::mpsc::channel();
        runtime
            .spawn(async move {
                entered.send(()).unwrap();
                let _ = gate.recv();
            })
            .detach();
        is_entered.recv().unwrap();
        runtime.shutdown_timeout(Duration::from_millis(100));
        drop(release);
    });
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("on purpose");
    }
}

/// FAULTS R8: a worker that wakes all who still wait in its shard, and meets a panic, has left all the same.
#[test]
fn a_waker_that_panics_does_not_hold_up_the_end() {
    support::quiet_panics();
    within(TEST_MAX, || {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let timer = block_on(runtime.spawn(async {
            let mut timer = Timer::after(Duration::from_secs(1_000));
            let waker = Waker::from(Arc::new(Panics));
            assert!(Pin::new(&mut timer).poll(&mut Context::from_waker(&waker)).is_pending());
            Some(timer)
        }));
        let start = Instant::now();
        runtime.shutdown_timeout(Duration::from_secs(1_000));
        assert!(start.elapsed() < support::STEP_MAX);
        drop(timer);
    });
}
