//! What all parts of one executor share: the injector, the list of local queues, the sleepers, and the lists of live tasks.

use std::future::Future;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;

use async_task::{Builder, Runnable, ScheduleInfo, Task, WithInfo};
use concurrent_queue::ConcurrentQueue;
use slab::Slab;

use super::queue::LocalQueue;
use super::sleepers::Sleepers;
use crate::context;
use crate::sync::{Mutex, lock};

/// Futures larger than this are moved to the heap before anything else is done with them.
const INLINE_BYTES_MAX: usize = 2048;

pub(crate) struct State {
    pub(super) injector: ConcurrentQueue<Runnable>,
    pub(super) queues: RwLock<Vec<Arc<LocalQueue>>>,
    pub(super) sleepers: Sleepers<Waker>,
    /// A push wakes a sleeper when this many tasks wait in its local queue; thieves leave fewer alone.
    pub(super) backlog_min: usize,
    pub(super) next_id: AtomicUsize,
    is_closed: AtomicBool,
}

/// An executor's state, with the lists of its live tasks.
pub(crate) struct Shared {
    pub(crate) state: Arc<State>,
    homes: Box<[Arc<Home>]>,
}

/// One of the lists of live tasks. There are several, so that threads that spawn do not meet.
struct Home {
    state: Arc<State>,
    tasks: Mutex<Slab<Waker>>,
}

impl Shared {
    pub(crate) fn new(backlog_min: usize, parallelism: usize) -> Shared {
        let state = Arc::new(State {
            injector: ConcurrentQueue::unbounded(),
            queues: RwLock::new(Vec::new()),
            sleepers: Sleepers::new(),
            backlog_min,
            next_id: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
        });
        let home = || Arc::new(Home { state: state.clone(), tasks: Mutex::new(Slab::new()) });
        let homes = (0..parallelism.next_power_of_two().min(64)).map(|_| home()).collect();
        Shared { state, homes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.homes.iter().all(|home| lock(&home.tasks).is_empty())
    }

    /// Spawns a task.
    ///
    /// # Safety
    ///
    /// The future must be `Send`, or the executor must stay on one thread. What the future borrows must live until `close` has
    /// returned true.
    pub(crate) unsafe fn spawn<T>(&self, future: impl Future<Output = T>) -> Task<T> {
        if size_of_val(&future) > INLINE_BYTES_MAX {
            let future = Box::pin(future);
            // SAFETY: the caller's promise; a box changes nothing about it.
            unsafe { self.spawn_inline(future) }
        } else {
            // SAFETY: the caller's promise.
            unsafe { self.spawn_inline(future) }
        }
    }

    /// # Safety
    ///
    /// As `spawn`.
    unsafe fn spawn_inline<T>(&self, future: impl Future<Output = T>) -> Task<T> {
        let home = &self.homes[context::thread_number() & (self.homes.len() - 1)];
        let mut tasks = lock(&home.tasks);
        let entry = tasks.vacant_entry();
        let listed = Listed { future, _listing: Listing { home: home.clone(), key: entry.key() } };
        let schedule = {
            let home = home.clone();
            move |runnable, info: ScheduleInfo| home.state.schedule(runnable, info)
        };
        let builder = Builder::new().propagate_panic(true);
        // SAFETY: `Send`ness and lifetime of the future are the caller's promise. The schedule function is `Send`, `Sync` and
        // `'static`; a waker only reaches that function and the task's own memory, so it may go anywhere.
        let (runnable, task) =
            unsafe { builder.spawn_unchecked(move |()| listed, WithInfo(schedule)) };
        // `close` sets the flag before it takes this lock: either it finds the task, or we see the flag.
        if self.state.is_closed.load(Ordering::SeqCst) {
            drop(tasks);
            drop(runnable);
            return task;
        }
        entry.insert(runnable.waker());
        drop(tasks);
        runnable.schedule();
        task
    }

    /// Drops all tasks that are not running just now; no new one will start.
    ///
    /// False if some were still running at the deadline.
    pub(crate) fn close(&self, deadline: Option<Instant>) -> bool {
        self.state.is_closed.store(true, Ordering::SeqCst);
        loop {
            for home in &self.homes {
                let wakers: Vec<Waker> = lock(&home.tasks).iter().map(|(_, w)| w.clone()).collect();
                // Puts every task that waits for something into a queue, from which it is dropped.
                wakers.into_iter().for_each(Waker::wake);
            }
            self.state.drain();
            if self.is_empty() {
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
    pub(super) fn schedule(&self, runnable: Runnable, info: ScheduleInfo) {
        context::with_runner(|runner| match runner {
            Some(runner) if ptr::eq(runner.state(), self) => {
                runner.push(runnable, info.woken_while_running);
            }
            _ => {
                self.inject(runnable);
                self.notify();
            }
        });
    }

    pub(super) fn inject(&self, runnable: Runnable) {
        if let Err(error) = self.injector.push(runnable) {
            unreachable!("the injector is unbounded and never closed: {error}");
        }
    }

    /// Wakes a sleeping runner if nobody searches.
    pub(crate) fn notify(&self) {
        if let Some(waker) = self.sleepers.notify() {
            waker.wake();
        }
    }

    /// Wakes a sleeping runner in any case.
    pub(crate) fn rouse(&self) {
        if let Some(waker) = self.sleepers.rouse() {
            waker.wake();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    /// How many tasks wait in the injector, and how many in local queues.
    pub(crate) fn queued(&self) -> (usize, usize) {
        let queues = self.queues();
        let local = queues.iter().map(|queue| queue.len() + usize::from(queue.has_newest())).sum();
        (self.injector.len(), local)
    }

    /// How many runners sleep.
    pub(crate) fn asleep(&self) -> usize {
        self.sleepers.asleep()
    }

    /// Whether a runner that is about to sleep could get something.
    pub(super) fn has_work(&self, least: usize) -> bool {
        !self.injector.is_empty()
            || self.queues().iter().any(|queue| {
                let len = queue.len();
                len > 0 && len >= least || least <= 1 && queue.has_newest()
            })
    }

    /// Takes one task, wherever it is.
    pub(super) fn take_any(&self) -> Option<Runnable> {
        if let Ok(runnable) = self.injector.pop() {
            return Some(runnable);
        }
        let queues = self.queues();
        let item = queues.iter().find_map(|queue| queue.pop());
        let item = item.or_else(|| queues.iter().find_map(|queue| queue.take_newest()));
        // SAFETY: the queues hold what `Runner::push` put in with `into_raw`, and give every item out once.
        item.map(|item| unsafe { Runnable::from_raw(item) })
    }

    pub(super) fn queues(&self) -> std::sync::RwLockReadGuard<'_, Vec<Arc<LocalQueue>>> {
        self.queues.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn drain(&self) {
        while let Some(runnable) = self.take_any() {
            // Drops the future: foreign code, and no lock is held.
            drop(runnable);
        }
    }
}

pin_project_lite::pin_project! {
    /// A future that is on the list of live tasks for as long as it lives.
    struct Listed<F> {
        #[pin]
        future: F,
        // After the future: the list is empty only when all futures are gone.
        _listing: Listing,
    }
}

struct Listing {
    home: Arc<Home>,
    key: usize,
}

impl<F: Future> Future for Listed<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        context::poll_task(cx, |cx| self.project().future.poll(cx))
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        let waker = lock(&self.home.tasks).try_remove(self.key);
        drop(waker);
    }
}
