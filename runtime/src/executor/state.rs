//! What all parts of one executor share: the injector, the bales, the local queues, the sleepers, and the account of live tasks.

use std::future::Future;
use std::ptr;
use std::sync::{Arc, PoisonError};
use std::task::Waker;

use async_task::{Runnable, Task};

use super::bales::Bales;
use super::call::call;
use super::injector::Injector;
use super::primary::Ranked;
use super::queue::LocalQueue;
use super::runner::Runner;
use super::sleepers::Sleepers;
use super::tally::Tally;
use super::task;
use super::waiting::Waiting;
use crate::context;
use crate::sync::{AtomicBool, AtomicUsize, Instant, Ordering, RwLock, RwLockReadGuard, thread};

pub(crate) struct State {
    pub(super) injector: Injector,
    pub(super) bales: Bales,
    pub(super) locals: RwLock<Vec<Arc<Local>>>,
    pub(super) sleepers: Sleepers<Waker>,
    /// A push wakes a sleeper when so many tasks wait in its local queue, and when twice as many do...; thieves leave fewer alone.
    pub(super) backlog_min: usize,
    pub(super) next_id: AtomicUsize,
    is_closed: AtomicBool,
    /// What happens on threads that run no tasks of this executor, and what former runners counted.
    elsewhere: Tally,
    /// There are several lists, so that threads do not meet.
    waiting: Box<[Waiting]>,
}

/// A runner's part of the state.
pub(super) struct Local {
    pub(super) queue: LocalQueue,
    /// Written by the runner's thread alone.
    pub(super) tally: Tally,
}

impl Local {
    pub(super) fn new() -> Local {
        Local { queue: LocalQueue::new(), tally: Tally::new() }
    }
}

/// An executor's state, which outlives its tasks.
pub(crate) struct Shared {
    pub(crate) state: Arc<State>,
    is_primary: bool,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Nobody can spawn any more. What a spawn that raced with an earlier `close` has left behind goes now.
        self.close(None);
        if self.is_primary {
            State::rank().release();
        }
    }
}

impl Shared {
    pub(crate) fn new(backlog_min: usize, parallelism: usize) -> Shared {
        let lists = parallelism.next_power_of_two().min(64);
        let state = Arc::new(State {
            injector: Injector::new(),
            bales: Bales::new(),
            locals: RwLock::new(Vec::new()),
            sleepers: Sleepers::new(),
            backlog_min,
            next_id: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
            elsewhere: Tally::new(),
            waiting: (0..lists).map(|_| Waiting::new()).collect(),
        });
        let is_primary = State::rank().claim(Arc::as_ptr(&state));
        Shared { state, is_primary }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state.is_empty()
    }

    /// Spawns a task.
    ///
    /// # Safety
    ///
    /// The future must be `Send`, or the executor must stay on one thread. What the future borrows must live until `close` has
    /// returned true.
    pub(crate) unsafe fn spawn<T>(&self, future: impl Future<Output = T>) -> Task<T> {
        // SAFETY: the caller's promise. Our `Drop` waits for the future to be dropped, and gives the rank back only then.
        let (runnable, task) = unsafe { task::new(&self.state, self.is_primary, future) };
        // The task has been counted before: either `close` finds it, or we see the flag. A runner that does neither (it counts without a fence) looks once more
        // when it leaves.
        if self.state.is_closed() {
            drop(runnable);
        } else {
            self.state.start(runnable);
        }
        task
    }

    /// Drops all tasks that are not running just now; no new one will start.
    ///
    /// False if some were still running at the deadline.
    pub(crate) fn close(&self, deadline: Option<Instant>) -> bool {
        let state = &*self.state;
        state.is_closed.store(true, Ordering::SeqCst);
        loop {
            for waiting in &state.waiting {
                // Puts every task that waits for something into a queue, from which it is dropped.
                waiting.all().into_iter().for_each(Waker::wake);
            }
            state.drain();
            if state.is_empty() {
                return true;
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return false;
            }
            // Another thread has marked a task as scheduled and is about to push it, or a runner is busy with it.
            thread::yield_now();
        }
    }
}

impl State {
    /// Takes in a task that has just been made.
    fn start(&self, runnable: Runnable) {
        self.with_own_runner(|runner| match runner {
            Some(runner) => runner.push(runnable, false),
            None => {
                self.inject(runnable);
                self.notify();
            }
        });
    }

    pub(super) fn inject(&self, runnable: Runnable) {
        self.injector.push(runnable);
    }

    pub(super) fn count_begin(&self) {
        self.with_own_runner(|runner| match runner {
            Some(runner) => runner.tally().begin_alone(),
            None => self.elsewhere.begin(),
        });
    }

    pub(super) fn count_end(&self) {
        self.with_own_runner(|runner| match runner {
            Some(runner) => runner.tally().end_alone(),
            None => self.elsewhere.end(),
        });
    }

    /// Takes over what a runner that leaves has counted.
    pub(super) fn absorb(&self, tally: &Tally) {
        self.elsewhere.absorb(tally);
    }

    /// Which list the tasks that a thread polls are on.
    pub(super) fn waiting_list(&self, thread: usize) -> u16 {
        // No more than 64.
        (thread & (self.waiting.len() - 1)) as u16
    }

    pub(super) fn waiting(&self, list: u16) -> &Waiting {
        &self.waiting[usize::from(list)]
    }

    /// Calls `f` with the runner of this executor that is being polled on this thread.
    fn with_own_runner<R>(&self, f: impl FnOnce(Option<&Runner>) -> R) -> R {
        context::with_runner(|runner| f(runner.filter(|runner| ptr::eq(runner.state(), self))))
    }

    fn is_empty(&self) -> bool {
        let locals = self.locals();
        Tally::live(locals.iter().map(|local| &local.tally).chain([&self.elsewhere])) == 0
    }

    /// Wakes a sleeping runner if nobody searches.
    pub(crate) fn notify(&self) {
        if let Some(sleeper) = self.sleepers.notify() {
            if !self.wake(sleeper) {
                self.wake_another();
            }
        }
    }

    #[cold]
    fn wake_another(&self) {
        for _ in 1..self.sleepers.asleep() {
            let Some(sleeper) = self.sleepers.notify() else { break };
            if self.wake(sleeper) {
                break;
            }
        }
    }

    /// False if the runner could not be called.
    fn wake(&self, (id, waker): (usize, Waker)) -> bool {
        match call(waker) {
            Ok(()) => true,
            Err(waker) => !self.sleepers.put_back(id, waker),
        }
    }

    /// Wakes a sleeping runner in any case.
    pub(crate) fn rouse(&self) {
        if let Some((_, waker)) = self.sleepers.rouse() {
            // Workers only are roused: their wakers do not panic.
            waker.wake();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    /// How many tasks wait where all runners get at them, and how many in local queues.
    pub(crate) fn queued(&self) -> (usize, usize) {
        let locals = self.locals();
        let queues = locals.iter().map(|local| &local.queue);
        let local = queues.map(|queue| queue.len() + usize::from(queue.has_newest())).sum();
        (self.injector.len() + self.bales.tasks(), local)
    }

    /// How many runners sleep.
    pub(crate) fn asleep(&self) -> usize {
        self.sleepers.asleep()
    }

    /// Whether a runner that is about to sleep could get something.
    pub(super) fn has_work(&self, least: usize) -> bool {
        !self.injector.is_empty()
            || !self.bales.is_empty()
            || self.locals().iter().any(|local| {
                let queue = &local.queue;
                let len = queue.len();
                len > 0 && len >= least || least <= 1 && queue.has_newest()
            })
    }

    /// Takes one task, wherever it is.
    pub(super) fn take_any(&self) -> Option<Runnable> {
        // Bales first: they come from runners only, and those look into the injector.
        if let Some(runnable) = self.bales.take_one().or_else(|| self.injector.pop()) {
            return Some(runnable);
        }
        let locals = self.locals();
        let item = locals.iter().find_map(|local| local.queue.pop());
        let item = item.or_else(|| locals.iter().find_map(|local| local.queue.take_newest()));
        // SAFETY: the queues hold what `Runner::push` put in with `into_raw`, and give every item out once.
        item.map(|item| unsafe { Runnable::from_raw(item) })
    }

    pub(super) fn locals(&self) -> RwLockReadGuard<'_, Vec<Arc<Local>>> {
        self.locals.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn drain(&self) {
        while let Some(runnable) = self.take_any() {
            // Drops the future: foreign code, and no lock is held.
            drop(runnable);
        }
    }
}
