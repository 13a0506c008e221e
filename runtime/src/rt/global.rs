//! The runtime behind [`spawn`].

use std::env;
use std::future::Future;
use std::sync::OnceLock;

use super::builder::WORKERS_MAX;
use super::{Builder, Handle};
use crate::executor::tracked::spawn_boxed_if_large;
use crate::{Task, context};

/// The first of these that holds a number tells how many workers the global runtime has.
const WORKERS_VARIABLES: [&str; 2] = ["SMOLKIT_THREADS", "SMOL_THREADS"];

/// Spawns a task: on the runtime whose worker or `block_on` this thread is in, else on the global one.
///
/// The global runtime starts with the first call: a worker for each core, or as many as `SMOLKIT_THREADS`, else
/// `SMOL_THREADS`, says: the first of the two that holds a number, taken as 1 or 1,024 if it is beyond these. It lives as long as the process.
///
/// Dropping the [`Task`] cancels it; [`detach`](Task::detach) lets it run on.
///
/// # Limits
///
/// A future of more than 2 KiB gets an allocation of its own. Without optimisation spawning it takes three times its size of the stack, the caller's
/// own value included: box one that is larger than 512 KiB.
///
/// # Panics
///
/// If the global runtime is needed and not even one worker thread can be started. With fewer than it wants it goes on.
///
/// # Examples
///
/// ```
/// let task = smolkit_runtime::spawn(async { 6 * 7 });
/// assert_eq!(smolkit_runtime::block_on(task), 42);
/// ```
pub fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> Task<T> {
    spawn_boxed_if_large!(future => spawn_here(future))
}

fn spawn_here<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> Task<T> {
    context::with_runtime(|runtime| match runtime {
        Some(runtime) => runtime.spawn(future),
        None => global().spawn(future),
    })
}

fn global() -> &'static Handle {
    // Not a `Runtime`: nobody stops it, and what it takes to stop one need not be in every program.
    static GLOBAL: OnceLock<Handle> = OnceLock::new();
    GLOBAL.get_or_init(|| {
        let mut builder = Builder::new();
        if let Some(workers) = workers_wanted() {
            builder = builder.workers(workers);
        }
        match builder.start() {
            Ok(started) => started.handle,
            Err(error) => panic!("the global runtime has no worker: {error}"),
        }
    })
}

fn workers_wanted() -> Option<usize> {
    let number = |name: &&str| env::var(name).ok()?.trim_ascii().parse().ok();
    WORKERS_VARIABLES.iter().find_map(number).map(|workers: usize| workers.clamp(1, WORKERS_MAX))
}
