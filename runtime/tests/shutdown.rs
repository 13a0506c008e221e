//! Goal: a runtime ends from wherever it is told to, and waits no longer than it was told to.
//! Method: a task drops its own runtime; a poll that does not end meets a deadline.

mod support;

use std::time::Duration;

use smolkit_runtime::Runtime;
use support::within;

#[test]
fn a_task_may_drop_its_own_runtime() {
    within(Duration::from_secs(10), || {
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
    within(Duration::from_secs(20), || {
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
