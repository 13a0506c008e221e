//! A bounded pool of threads for work that blocks.
//!
//! [`unblock`] gives it a job. There is one pool in a process; its threads start when there is work for them, are called `smolkit-block-0`,
//! `smolkit-block-1` and so on, sleep without waking up while they have nothing to do, and end after a while.
//!
//! As many threads as there are cores start at once. More of them start as soon as those are stuck in their jobs; as long as they finish one after
//! another, quickly enough for what is queued, more threads would not help.
//!
//! # Limits
//!
//! | what | default | set by |
//! |---|---|---|
//! | threads | 500 | [`set_limits`]; else the environment variable `BLOCKING_MAX_THREADS`; 1 to 10,000 |
//! | idle time after which a thread ends | 5 s | [`set_limits`] |
//! | queued jobs | none | bound what you spawn; watch [`Metrics::queued`] |
//!
//! Jobs must not wait for jobs that come after them: once all threads do, none of them goes on. I/O and timers are not touched by that.
//!
//! # Forks
//!
//! The child of a `fork` has the pool's state but not its threads. Call `exec` in it, or at least do not use the pool.

mod crew;
mod pool;

use std::env;
use std::time::Duration;

use async_task::Builder;

pub(crate) use self::crew::THREADS_MAX;
use self::pool::pool;
use crate::Task;

const THREADS_MAX_DEFAULT: usize = 500;
const KEEP_ALIVE_DEFAULT: Duration = Duration::from_secs(5);
/// Larger closures are kept in an allocation of their own.
const UNBOXED_BYTES_MAX: usize = 4096;
const THREADS_MAX_VARIABLE: &str = "BLOCKING_MAX_THREADS";

/// Runs `f` on a thread where it may block.
///
/// Jobs begin in the order of the calls. See [`blocking`](self) for the threads' number and life. If the system refuses a thread,
/// those that are there do the work, and the next call asks for one again; if there is none, `f` runs on the calling thread, before this returns.
///
/// # Cancel safety
///
/// Dropping the [`Task`] drops `f` if it has not begun. If it has, it runs to its end, and its result is dropped.
///
/// # Panics
///
/// A panic of `f` goes to whoever awaits the task. After [`shutdown`], awaiting it panics because it was cancelled.
///
/// # Examples
///
/// ```
/// let text = smolkit_runtime::block_on(smolkit_runtime::unblock(|| {
///     std::fs::read_to_string("Cargo.toml")
/// }))?;
/// assert!(text.contains("[package]"));
/// # std::io::Result::Ok(())
/// ```
pub fn unblock<T, F>(f: F) -> Task<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    if size_of::<F>() > UNBOXED_BYTES_MAX {
        // Moved as few times as possible: each time takes its size of the stack, in a build without optimisation.
        let f: Box<dyn FnOnce() -> T + Send> = Box::new(f);
        return start(f);
    }
    start(f)
}

fn start<T, F>(f: F) -> Task<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let builder = Builder::new().propagate_panic(true);
    let (runnable, task) = builder.spawn(|()| async move { f() }, |job| pool().push(job));
    runnable.schedule();
    task
}

/// How large the pool may become, and how soon it shrinks.
///
/// The default is what the environment variable `BLOCKING_MAX_THREADS` says, or else 500 threads, and five seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Threads at once; taken as 1 or 10,000 if it is beyond these.
    pub threads_max: usize,
    /// A thread that has had nothing to do for so long ends.
    pub keep_alive: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        let wanted = env::var(THREADS_MAX_VARIABLE).ok();
        let wanted = wanted.and_then(|value| value.trim_ascii().parse().ok());
        Limits {
            threads_max: wanted.unwrap_or(THREADS_MAX_DEFAULT).clamp(1, THREADS_MAX),
            keep_alive: KEEP_ALIVE_DEFAULT,
        }
    }
}

/// Sets the limits of the process's pool, at any time: what a program says here takes precedence over the environment.
///
/// With fewer threads than before, those that are too many end when they have been idle for long enough. Threads that are idle already keep
/// to the former time.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use smolkit_runtime::blocking::{Limits, set_limits};
///
/// let mut limits = Limits::default();
/// limits.threads_max = 64;
/// limits.keep_alive = Duration::from_secs(30);
/// set_limits(limits);
/// ```
pub fn set_limits(limits: Limits) {
    pool().set_limits(limits);
}

/// For a runtime's builder: what it says, and nothing else.
pub(crate) fn set_some_limits(threads_max: Option<usize>, keep_alive: Option<Duration>) {
    if let Some(threads_max) = threads_max {
        pool().set_threads_max(threads_max);
    }
    if let Some(keep_alive) = keep_alive {
        pool().set_keep_alive(keep_alive);
    }
}

/// What the pool is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Threads, with the idle ones.
    pub threads: usize,
    /// Threads that wait for work.
    pub idle: usize,
    /// Jobs that have not begun.
    pub queued: usize,
    /// Jobs that have begun, since the start of the process.
    pub begun: u64,
}

/// A snapshot: two loads and a short lock.
///
/// # Examples
///
/// ```
/// use smolkit_runtime::{block_on, blocking, unblock};
///
/// block_on(unblock(|| ()));
/// assert!(blocking::metrics().begun >= 1);
/// ```
pub fn metrics() -> Metrics {
    pool().metrics()
}

/// Ends the process's pool, and waits for running jobs, but no longer than `timeout`.
///
/// For the end of a program: the pool does not start again. Jobs that have not begun are dropped, and so are those of all later calls of
/// [`unblock`]; their tasks count as cancelled. Idle threads end at once, others when they have finished the job that they are in.
///
/// With `Duration::MAX` it waits for as long as it takes. Gives the number of threads that still run when it returns. Called from a job of
/// the pool, it waits for that job in vain.
pub fn shutdown(timeout: Duration) -> usize {
    pool().shutdown(timeout)
}
