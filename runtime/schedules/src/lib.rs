//! The runtime's whole worker pool under shuttle's scheduler.
//!
//! The runtime's own files are compiled against shuttle's atomics, locks and threads in place of the standard library's: all of `executor`, all of
//! `rt` (workers, warden, stalls, builder, shutdown), `context` and the park word. shuttle then runs each scenario under many schedules that it chooses at
//! random: threads change places at every access to what they share. A lost wake-up is a deadlock, which it reports together with
//! the schedule; `shuttle::replay` runs that one again.
//!
//! What is not covered: memory orders (every access is sequentially consistent here; `runtime/models` is for those), the insides of
//! async-task and of the standard library's `Arc` (each call is one step), the poller (a stand-in: it can be notified, and reports nothing), and time (it
//! stands still; a sleep with a limit may end at once).

#![cfg(test)]
#![allow(dead_code, unused_imports, unreachable_pub, missing_docs, missing_debug_implementations)]

pub use async_task::Task;

mod sync;

#[path = "../../src/context.rs"]
mod context;

#[path = "../../src/executor/mod.rs"]
mod executor;

#[path = "../../src/rt/mod.rs"]
mod rt;

mod blocking;
mod reactor;
mod sys;

#[path = "../../src/threads.rs"]
mod threads;

mod tests;

pub use self::context::EnterGuard;
pub use self::executor::{Executor, LocalExecutor};
pub use self::rt::{Builder, Handle, Metrics, Runtime, spawn};

use std::future::Future;
use std::pin::pin;

/// As the runtime's own: on a worker, its tasks go on meanwhile.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let future = pin!(future);
    match context::worker() {
        Some(worker) => worker.block_on(future),
        None => shuttle::future::block_on(future),
    }
}

/// Runs a scenario under `SCHEDULES` schedules of the kind that each step is chosen at random, and as many of the kind that a few threads are
/// held up at a few points.
fn explore(scenario: impl Fn() + Send + Sync + Clone + 'static) {
    let schedules = if std::env::var_os("SMOLKIT_FULL").is_some() { 100_000 } else { 1_000 };
    shuttle::check_random(scenario.clone(), schedules / 2);
    shuttle::check_pct(scenario, schedules / 2, 3);
}
