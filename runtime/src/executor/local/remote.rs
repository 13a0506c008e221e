//! Where other threads bring tasks of a local executor that they have woken, and whom they call then.
//!
//! A seat that sleeps is on the list; whoever makes the queue non-empty takes one off and calls it. A seat that is about to sleep looks at the queue under
//! the same lock, so that one of the two sees the other.

use std::collections::VecDeque;
use std::task::Waker;

use async_task::Runnable;

use crate::context;
use crate::executor::call::call;
use crate::executor::roll::Roll;
use crate::sync::{AtomicUsize, Mutex, Ordering, lock};

pub(super) struct Remote {
    /// How many tasks are here: a look without the lock, which may be late.
    len: AtomicUsize,
    inner: Mutex<Inner>,
}

struct Inner {
    queue: Vec<Runnable>,
    sleepers: Roll,
    /// Nobody could be called when somebody had to be.
    is_call_due: bool,
}

impl Remote {
    pub(super) fn new() -> Remote {
        Remote {
            len: AtomicUsize::new(0),
            inner: Mutex::new(Inner {
                queue: Vec::new(),
                sleepers: Roll::new(),
                is_call_due: false,
            }),
        }
    }

    /// From another thread.
    pub(super) fn push(&self, runnable: Runnable) {
        let mut inner = lock(&self.inner);
        inner.queue.push(runnable);
        // Relaxed: a hint; the lock orders everything else.
        self.len.store(inner.queue.len(), Ordering::Relaxed);
        // For the tasks before this one somebody has been called, or nobody was asleep and somebody will look.
        let is_due = inner.queue.len() == 1 || inner.is_call_due;
        let sleeper = if is_due { inner.sleepers.pop() } else { None };
        drop(inner);
        if let Some(sleeper) = sleeper {
            let _ = self.wake(sleeper) || self.wake_one();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        // Relaxed: a hint. Who falls asleep looks at the queue itself, under the lock.
        self.len.load(Ordering::Relaxed) == 0
    }

    /// Moves all tasks to `queue`.
    pub(super) fn take_all(&self, queue: &mut VecDeque<Runnable>) {
        if self.is_empty() {
            return;
        }
        let mut inner = lock(&self.inner);
        // Relaxed: as in `push`.
        self.len.store(0, Ordering::Relaxed);
        queue.extend(inner.queue.drain(..));
    }

    /// Calls one of the sleepers. False if there is none that could be called.
    pub(super) fn wake_one(&self) -> bool {
        let asleep = lock(&self.inner).sleepers.len();
        (0..asleep).any(|_| {
            let sleeper = lock(&self.inner).sleepers.pop();
            sleeper.is_some_and(|sleeper| self.wake(sleeper))
        })
    }

    /// False if the seat could not be called: it sleeps on, and is the last to be called again.
    fn wake(&self, (id, waker): (usize, Waker)) -> bool {
        let called = call(waker);
        let mut inner = lock(&self.inner);
        // One that could not be called may be up all the same.
        let put_back = called.err().map(|waker| inner.sleepers.put_back(id, waker));
        let is_called = !matches!(put_back, Some(Ok(())));
        inner.is_call_due = !is_called;
        drop(inner);
        is_called
    }

    /// Puts seat `id` on the list of sleepers, unless there is a task.
    pub(super) fn fall_asleep(&self, id: usize, waker: &Waker) -> bool {
        // Cloning a waker is foreign code: not under the lock.
        let waker = context::keep_runner_waker(waker);
        let mut inner = lock(&self.inner);
        if !inner.queue.is_empty() {
            drop(inner);
            drop(waker);
            return false;
        }
        inner.sleepers.push(id, waker);
        true
    }

    /// Seat `id` is up.
    pub(super) fn wake_up(&self, id: usize) {
        let mut inner = lock(&self.inner);
        let waker = inner.sleepers.strike(id);
        drop(inner);
        // A waker's destructor is foreign code, too.
        drop(waker);
    }
}
