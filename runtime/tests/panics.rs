//! Goal: a task that panics hurts nobody but the one who awaits it (FAULTS R9, R10).
//! Method: 10,000 panicking tasks among 10,000 good ones on two workers; then both kinds are counted, and the threads.

mod support;

use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use futures_lite::FutureExt;
use smolkit_runtime::{Executor, Runtime, block_on, unblock};
use support::within;

const TASKS: usize = 10_000;

fn quiet_panics() {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&"on purpose") {
            default(info);
        }
    }));
}

#[test]
fn good_tasks_finish_and_handles_yield_the_panic() {
    quiet_panics();
    within(Duration::from_secs(60), || {
        let runtime = Runtime::builder().workers(2).thread_name("panictest").build().unwrap();
        let bad: Vec<_> =
            (0..TASKS).map(|_| runtime.spawn(async { panic!("on purpose") })).collect();
        let good: Vec<_> = (0..TASKS).map(|i| runtime.spawn(async move { i })).collect();
        block_on(async {
            for task in bad {
                let payload = AssertUnwindSafe(task).catch_unwind().await;
                let payload = payload.expect_err("the panic is passed on");
                assert_eq!(payload.downcast_ref::<&str>(), Some(&"on purpose"));
            }
            for (i, task) in good.into_iter().enumerate() {
                assert_eq!(task.await, i);
            }
        });
        #[cfg(target_os = "linux")]
        assert_eq!(support::threads_named("panictest"), 2);
        runtime.spawn(async { panic!("on purpose") }).detach();
        assert_eq!(block_on(runtime.spawn(async { 7 })), 7);
    });
}

#[test]
fn blocking_work_passes_its_panic_on() {
    quiet_panics();
    let payload = block_on(AssertUnwindSafe(unblock(|| panic!("on purpose"))).catch_unwind());
    assert!(payload.is_err());
    assert_eq!(block_on(unblock(|| 7)), 7);
}

#[test]
fn an_iterator_that_panics_poisons_nothing() {
    quiet_panics();
    let executor = Executor::new();
    let mut handles = Vec::new();
    let futures = (0..100).map(|i| if i == 50 { panic!("on purpose") } else { async move { i } });
    let spawned = panic::catch_unwind(AssertUnwindSafe(|| {
        executor.spawn_many(futures, &mut handles);
    }));
    assert!(spawned.is_err());
    let task = executor.spawn(async { 7 });
    assert_eq!(block_on(executor.run(task)), 7);
}
