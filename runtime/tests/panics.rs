//! Goal: a task that panics hurts nobody but the one who awaits it (FAULTS R9, R10).
//! Method: 10,000 panicking tasks among 10,000 good ones on two workers; then both kinds are counted, and the threads.

mod support;

use std::panic::{self, AssertUnwindSafe};

use futures_lite::FutureExt;
use smolkit_runtime::{Executor, Runtime, block_on, unblock};
use support::{TEST_MAX, quiet_panics, within};

const TASKS: usize = 10_000;

#[test]
fn good_tasks_finish_and_handles_yield_the_panic() {
    quiet_panics();
    within(TEST_MAX, || {
        let runtime = Runtime::builder().workers(2).thread_name("panictest").build().unwrap();
        let (mut bad, mut good) = (Vec::new(), Vec::new());
        for i in 0..TASKS {
            bad.push(runtime.spawn(async { panic!("on purpose") }));
            good.push(runtime.spawn(async move { i }));
        }
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
        // One may have had nothing to do, and its name only comes now.
        #[cfg(target_os = "linux")]
        support::wait_until("both workers are there", || support::threads_named("panictest") == 2);
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
