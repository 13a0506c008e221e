//! The runtime behind [`spawn`].

use std::env;
use std::future::Future;
use std::sync::OnceLock;

use super::{Builder, Handle, Runtime};
use crate::{Task, context};

/// The first of these that holds a number tells how many workers the global runtime has.
const WORKERS_VARIABLES: [&str; 2] = ["SMOLKIT_THREADS", "SMOL_THREADS"];

/// Spawns a task: on the runtime whose worker or `block_on` this thread is in, else on the global one.
///
/// The global runtime starts with the first call: a worker for each core, or as many as `SMOLKIT_THREADS`, else
/// `SMOL_THREADS`, says. It lives as long as the process.
///
/// Dropping the [`Task`] cancels it; [`detach`](Task::detach) lets it run on.
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
    context::with_runtime(|runtime| match runtime {
        Some(runtime) => runtime.spawn(future),
        None => global().spawn(future),
    })
}

fn global() -> &'static Handle {
    static GLOBAL: OnceLock<Runtime> = OnceLock::new();
    let runtime = GLOBAL.get_or_init(|| {
        let mut builder = Builder::new();
        if let Some(workers) = workers_wanted() {
            builder = builder.workers(workers);
        }
        match builder.build_some() {
            Ok((runtime, _refused)) => runtime,
            Err(error) => panic!("the global runtime has no worker: {error}"),
        }
    });
    &runtime.handle
}

fn workers_wanted() -> Option<usize> {
    let value = WORKERS_VARIABLES.iter().find_map(|name| env::var(name).ok())?;
    value.trim().parse().ok().map(|workers: usize| workers.clamp(1, 1024))
}
