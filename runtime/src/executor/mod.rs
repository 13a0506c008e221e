//! Executors as plain values: [`Executor`] for threads, [`LocalExecutor`] for one.

mod bales;
mod call;
mod injector;
mod local;
mod primary;
pub(crate) mod queue;
mod roll;
pub(crate) mod runner;
pub(crate) mod sleepers;
pub(crate) mod state;
mod statics;
mod tally;
mod task;
pub(crate) mod tracked;
mod waiting;
pub(crate) mod wakers;

use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::pin;
use std::sync::OnceLock;
use std::task::Poll;

pub use self::local::LocalExecutor;
pub use self::statics::{StaticExecutor, StaticLocalExecutor};

use self::runner::{Runner, Sleeper};
use self::state::{Shared, State};
use self::tracked::spawn_boxed_if_large;

use crate::Task;
use crate::context::{EnterRunner, PollInside};

/// An executor that any number of threads may run.
///
/// It is a value: it starts no thread, and its tasks may borrow what outlives it. Threads that call [`run`](Executor::run)
/// share the work by stealing from each other.
///
/// # Examples
///
/// ```
/// use smolkit_runtime::{Executor, block_on};
///
/// let name = String::from("world");
/// let ex = Executor::new();
/// let task = ex.spawn(async { format!("hello, {name}") });
/// assert_eq!(block_on(ex.run(task)), "hello, world");
/// ```
pub struct Executor<'a> {
    shared: OnceLock<Shared>,
    _tasks: PhantomData<std::cell::UnsafeCell<&'a ()>>,
}

// SAFETY: `spawn` takes only `Send` futures, and everything else in `Shared` is `Send` and `Sync` by itself; the marker stands
// for the tasks' borrows only.
unsafe impl Send for Executor<'_> {}
// SAFETY: as above.
unsafe impl Sync for Executor<'_> {}

impl UnwindSafe for Executor<'_> {}
impl RefUnwindSafe for Executor<'_> {}

impl<'a> Executor<'a> {
    /// Creates an executor. Allocates nothing before the first use.
    pub const fn new() -> Executor<'a> {
        Executor { shared: OnceLock::new(), _tasks: PhantomData }
    }

    /// Whether there are no unfinished tasks.
    pub fn is_empty(&self) -> bool {
        self.shared().is_empty()
    }

    /// Spawns a task. It runs when somebody calls [`run`](Executor::run) or [`tick`](Executor::tick).
    ///
    /// Dropping the [`Task`] cancels it. A panic of the task goes to whoever awaits it.
    pub fn spawn<T: Send + 'a>(&self, future: impl Future<Output = T> + Send + 'a) -> Task<T> {
        spawn_boxed_if_large!(future => {
            // SAFETY: the future is `Send`, and `drop` ends the tasks before `'a` ends.
            unsafe { self.shared().spawn(future) }
        })
    }

    /// Spawns many tasks, and puts their handles into `handles`.
    pub fn spawn_many<T: Send + 'a, F: Future<Output = T> + Send + 'a>(
        &self,
        futures: impl IntoIterator<Item = F>,
        handles: &mut impl Extend<Task<F::Output>>,
    ) {
        handles.extend(futures.into_iter().map(|future| self.spawn(future)));
    }

    /// Runs one task if one is ready, and says whether it did.
    pub fn try_tick(&self) -> bool {
        match self.state().take_any() {
            Some(runnable) => {
                let _inside = PollInside::new();
                runnable.run();
                true
            }
            None => false,
        }
    }

    /// Waits until a task is ready, and runs it.
    ///
    /// # Cancel safety
    ///
    /// Dropping this future loses no task: one that it has been called for goes to another runner, or to the next.
    pub async fn tick(&self) {
        let state = self.state();
        let ticker = Ticker { state, sleeper: Sleeper::new(state) };
        // Owned by the closure, so that this future is `Send`.
        let runnable = poll_fn(move |cx| {
            ticker.sleeper.wake_up(state);
            loop {
                if let Some(runnable) = state.take_any() {
                    ticker.sleeper.found(state);
                    return Poll::Ready(runnable);
                }
                if ticker.sleeper.sleep(state, cx.waker(), 1) {
                    return Poll::Pending;
                }
            }
        })
        .await;
        let _inside = PollInside::new();
        runnable.run();
    }

    /// Runs tasks until `future` is done, and returns its output.
    ///
    /// # Cancel safety
    ///
    /// Dropping this future loses no task: what it had in its hands goes to the other runners.
    pub async fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let runner = Runner::new(&self.shared().state);
        let mut future = pin!(future);
        // The runner is owned by the closure, so that this future is `Send`.
        poll_fn(move |cx| {
            let _entered = EnterRunner::new(&runner);
            runner.settle();
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            runner.run_some(cx);
            Poll::Pending
        })
        .await
    }

    fn shared(&self) -> &Shared {
        self.shared.get_or_init(|| {
            // Nobody watches over those who run this executor: a push wakes a sleeper at once.
            Shared::new(1, crate::sys::cores::parallelism())
        })
    }

    fn state(&self) -> &State {
        &self.shared().state
    }
}

impl Default for Executor<'_> {
    fn default() -> Self {
        Executor::new()
    }
}

// What the tasks borrow must outlive this: the compiler has to know that they are dropped here.
impl Drop for Executor<'_> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.get() {
            shared.close(None);
        }
    }
}

impl fmt::Debug for Executor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").finish_non_exhaustive()
    }
}

/// A `tick` in progress.
struct Ticker<'s> {
    state: &'s State,
    sleeper: Sleeper,
}

impl Drop for Ticker<'_> {
    fn drop(&mut self) {
        self.sleeper.leave(self.state, false);
    }
}
