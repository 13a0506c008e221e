//! A bounded pool of threads for work that blocks.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Condvar, OnceLock, PoisonError};
use std::time::Duration;
use std::{env, thread};

use async_task::{Builder, Runnable};

use crate::Task;
use crate::sync::{Mutex, lock};

/// How many threads the pool starts at most, unless `BLOCKING_MAX_THREADS` says otherwise.
const THREADS_MAX_DEFAULT: usize = 500;
/// A thread that has had nothing to do for so long ends.
const IDLE_MAX: Duration = Duration::from_secs(5);

struct Pool {
    threads_max: usize,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Runnable>,
    threads: usize,
    idle: usize,
}

/// Runs `f` on a thread where it may block.
///
/// Threads start on demand (500 at most, or as many as the environment variable `BLOCKING_MAX_THREADS` says) and end when they have had
/// nothing to do for five seconds. Calls beyond that wait in a queue without limit. If the system refuses the very first
/// thread, `f` runs on the calling thread instead.
///
/// # Cancel safety
///
/// Dropping the [`Task`] drops `f` if it has not begun. If it has, it runs to its end, and its result is dropped.
///
/// # Panics
///
/// A panic of `f` goes to whoever awaits the task.
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
    let builder = Builder::new().propagate_panic(true);
    let (runnable, task) = builder.spawn(|()| async move { f() }, |job| pool().push(job));
    runnable.schedule();
    task
}

fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(|| Pool {
        threads_max: threads_max(),
        state: Mutex::new(State::default()),
        wake: Condvar::new(),
    })
}

fn threads_max() -> usize {
    let wanted = env::var("BLOCKING_MAX_THREADS").ok();
    let wanted = wanted.and_then(|value| value.trim().parse().ok());
    wanted.map_or(THREADS_MAX_DEFAULT, NonZeroUsize::get)
}

impl Pool {
    fn push(&'static self, job: Runnable) {
        let mut state = lock(&self.state);
        state.queue.push_back(job);
        if state.idle >= state.queue.len() {
            drop(state);
            self.wake.notify_one();
            return;
        }
        if state.threads >= self.threads_max {
            return;
        }
        state.threads += 1;
        drop(state);
        if !self.start_thread() {
            self.refused();
        }
    }

    fn start_thread(&'static self) -> bool {
        if crate::context::may_start_thread("a thread for blocking work").is_err() {
            return false;
        }
        let builder = thread::Builder::new().name("smolkit-blocking".into());
        builder.spawn(move || self.work()).is_ok()
    }

    /// The system gives no more threads: those that are there do the work, or else this one.
    fn refused(&self) {
        let mut state = lock(&self.state);
        state.threads -= 1;
        while state.threads == 0 {
            let Some(job) = state.queue.pop_front() else { return };
            drop(state);
            job.run();
            state = lock(&self.state);
        }
    }

    fn work(&self) {
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                // A panic of the job goes to whoever awaits it. A panic of that one's waker must not cost the pool a thread.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job.run()));
                state = lock(&self.state);
                continue;
            }
            state.idle += 1;
            let waited = self.wake.wait_timeout(state, IDLE_MAX);
            let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = guard;
            state.idle -= 1;
            if timeout.timed_out() && state.queue.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}
