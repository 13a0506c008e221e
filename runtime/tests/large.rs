//! Goal: a large future needs no large stack (FAULTS R19).
//! Method: one of 1 MiB in `block_on`, and one that is spawned in every way there is, on threads of 2 MiB. Without optimisation each move takes the future's size of
//! the stack, and spawning needs two beside the caller's own, so there the spawned one is of half a MiB.

mod support;

use std::thread;

use smolkit_runtime::{Executor, LocalExecutor, Runtime, block_on, spawn};
use support::{TEST_MAX, within};

const STACK: usize = 2 << 20;
const BLOCKED_ON: usize = 1 << 20;
const SPAWNED: usize = if cfg!(debug_assertions) { 512 << 10 } else { 1 << 20 };

/// Holds so many bytes across a wait.
async fn large<const BYTES: usize>() -> u8 {
    let bytes = [1; BYTES];
    futures_lite::future::yield_now().await;
    bytes[0] + bytes[BYTES - 1]
}

fn on_a_small_stack(f: impl FnOnce() -> u8 + Send + 'static) {
    within(TEST_MAX, || {
        let thread = thread::Builder::new().stack_size(STACK);
        assert_eq!(thread.spawn(f).unwrap().join().unwrap(), 2);
    });
}

#[test]
fn in_block_on() {
    on_a_small_stack(|| block_on(large::<BLOCKED_ON>()));
}

#[test]
fn spawned_globally() {
    on_a_small_stack(|| block_on(spawn(large::<SPAWNED>())));
}

#[test]
fn spawned_from_a_task() {
    on_a_small_stack(|| block_on(spawn(async { spawn(large::<SPAWNED>()).await })));
}

#[test]
fn spawned_on_a_runtime() {
    let one = || Runtime::builder().workers(1).build().unwrap();
    on_a_small_stack(move || {
        let runtime = one();
        block_on(runtime.spawn(large::<SPAWNED>()))
    });
    on_a_small_stack(move || {
        let runtime = one();
        block_on(runtime.handle().spawn(large::<SPAWNED>()))
    });
}

#[test]
fn spawned_on_executors() {
    on_a_small_stack(|| {
        let executor = Executor::new();
        let task = executor.spawn(large::<SPAWNED>());
        block_on(executor.run(task))
    });
    on_a_small_stack(|| {
        let executor = LocalExecutor::new();
        let task = executor.spawn(large::<SPAWNED>());
        block_on(executor.run(task))
    });
}
