//! The task list: when an executor is closed, each of its tasks is found (on the list of those that wait, or in a queue) and its future dropped once,
//! before the closing ends; and no place on the list outlives its task.
//!
//! Covers `Waiting` and `Tally` in the order of `Tracked::poll`, `Entry` and `Shared::close`: a task that is polled, and begins to wait or ends, on one thread, is
//! woken from a second one, and is closed by a third. The queue is a lock; a wake-up of a task that is scheduled or running does what async-task makes of it.

use std::sync::Arc;
use std::task::{Wake, Waker};

use loom::cell::UnsafeCell;
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::explore;
use crate::tally::Tally;
use crate::waiting::Waiting;
use crate::wakers::Key;

const IDLE: usize = 0;
const SCHEDULED: usize = 1;
const RUNNING: usize = 2;
const WOKEN: usize = 3;

struct Executor {
    waiting: Waiting,
    tally: Tally,
    is_closed: AtomicUsize,
    queue: Mutex<Vec<Arc<Task>>>,
}

struct Task {
    executor: Arc<Executor>,
    state: AtomicUsize,
    /// The place on the list, of the future's own; `None` when the future has been dropped.
    future: UnsafeCell<Option<Option<Key>>>,
}

// SAFETY: the future is touched by whoever runs or drops the task; that these do so one after the other is what the models check.
unsafe impl Send for Task {}
// SAFETY: as above.
unsafe impl Sync for Task {}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let next = |state: usize| match state {
            IDLE => Some(SCHEDULED),
            RUNNING => Some(WOKEN),
            _ => None,
        };
        let former = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        if former == Ok(IDLE) {
            let executor = self.executor.clone();
            executor.queue.lock().unwrap().push(self);
        }
    }
}

impl Task {
    /// As `Runnable::run` with a future that waits for ever.
    fn run(self: Arc<Self>) {
        self.state.store(RUNNING, Ordering::Release);
        self.future.with_mut(|future| {
            // SAFETY: nobody but who runs or drops the task touches its future: loom checks that.
            let place = unsafe { (*future).as_mut() }.expect("it has not been dropped");
            if place.is_none() {
                *place = Some(self.executor.waiting.insert(Waker::from(self.clone())));
            }
        });
        let ended = self.state.compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire);
        if ended.is_err() {
            self.state.store(SCHEDULED, Ordering::Release);
            let executor = self.executor.clone();
            executor.queue.lock().unwrap().push(self);
        }
    }

    /// As the drop of a `Runnable`: `Entry`'s destructor is the last that touches the executor.
    fn end(&self) {
        let place = self.future.with_mut(|future| {
            // SAFETY: as in `run`.
            unsafe { (*future).take() }
        });
        if let Some(key) = place.expect("a future is dropped once") {
            self.executor.waiting.remove(key);
        }
        self.executor.tally.end();
    }
}

impl Executor {
    fn spawn(self: &Arc<Self>) -> Option<Arc<Task>> {
        self.tally.begin();
        let future = UnsafeCell::new(Some(None));
        let task =
            Arc::new(Task { executor: self.clone(), state: AtomicUsize::new(SCHEDULED), future });
        if self.is_closed.load(Ordering::SeqCst) == 1 {
            task.end();
            return None;
        }
        self.queue.lock().unwrap().push(task.clone());
        Some(task)
    }

    fn take(&self) -> Option<Arc<Task>> {
        self.queue.lock().unwrap().pop()
    }

    fn close(&self) {
        self.is_closed.store(1, Ordering::SeqCst);
        loop {
            self.waiting.all().into_iter().for_each(Waker::wake);
            while let Some(task) = self.take() {
                task.end();
            }
            if Tally::live([&self.tally].into_iter()) == 0 {
                return;
            }
            thread::yield_now();
        }
    }
}

fn executor() -> Arc<Executor> {
    Arc::new(Executor {
        waiting: Waiting::new(),
        tally: Tally::new(),
        is_closed: AtomicUsize::new(0),
        queue: Mutex::new(Vec::new()),
    })
}

fn assert_dropped(task: &Task) {
    task.future.with(|future| {
        // SAFETY: the closing has ended: nobody touches it any more, which loom checks.
        assert!(unsafe { (*future).is_none() }, "left behind");
    });
}

#[test]
fn a_task_that_begins_to_wait_meets_the_end() {
    explore(2, || {
        let executor = executor();
        let task = executor.spawn().expect("not closed yet");
        let running = {
            let executor = executor.clone();
            thread::spawn(move || {
                if let Some(task) = executor.take() {
                    task.run();
                }
            })
        };
        let waking = {
            let task = task.clone();
            thread::spawn(move || Waker::from(task).wake())
        };
        executor.close();
        assert_dropped(&task);
        running.join().unwrap();
        waking.join().unwrap();
        assert!(executor.waiting.all().is_empty(), "its place is kept");
    });
}

/// Whoever waits for the end sees what the task has done to what it borrows.
#[test]
fn a_task_that_ends_meets_the_end() {
    explore(3, || {
        let executor = executor();
        let task = executor.spawn().expect("not closed yet");
        let running = {
            let executor = executor.clone();
            thread::spawn(move || {
                if let Some(task) = executor.take() {
                    task.end();
                }
            })
        };
        executor.close();
        assert_dropped(&task);
        running.join().unwrap();
    });
}

#[test]
fn a_spawn_meets_the_end() {
    explore(3, || {
        let executor = executor();
        let spawning = {
            let executor = executor.clone();
            thread::spawn(move || executor.spawn())
        };
        executor.close();
        let task = spawning.join().unwrap();
        // What the closing could not see yet goes with the executor's state.
        executor.close();
        task.iter().for_each(|task| assert_dropped(task));
    });
}
