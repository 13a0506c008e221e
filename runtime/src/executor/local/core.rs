//! What one thread does for its local executor, without atomics: its queue, and the account of its tasks.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use async_task::Runnable;

use super::remote::Remote;
use crate::context;
use crate::executor::primary::Ranked;
use crate::executor::wakers::{Key, Wakers};
use crate::sync::thread;

/// Every so many tasks those that other threads have woken come in, so that the local ones cannot starve them.
const REMOTE_INTERVAL: u32 = 32;

/// No thread has this number.
const UNKNOWN: usize = usize::MAX;

pub(super) struct Core {
    /// The number of the thread that this belongs to, known from the first task on.
    thread: Cell<usize>,
    remote: Arc<Remote>,
    queue: RefCell<VecDeque<Runnable>>,
    ticks: Cell<u32>,
    /// Futures that have not been dropped yet.
    live: Cell<usize>,
    /// Wakers of the tasks that wait, as in `executor/waiting.rs`.
    waiting: RefCell<Wakers>,
    /// Those of the seats that are asleep, as far as this thread knows: another one may be waking them.
    asleep: Cell<usize>,
    /// Whether one of them has been called from here and has not come yet.
    is_called: Cell<bool>,
    next_seat: Cell<usize>,
    is_closed: Cell<bool>,
    /// Its tasks carry no pointer to it.
    is_primary: Cell<bool>,
}

impl Core {
    pub(super) fn new() -> Core {
        Core {
            thread: Cell::new(UNKNOWN),
            remote: Arc::new(Remote::new()),
            queue: RefCell::new(VecDeque::new()),
            ticks: Cell::new(0),
            live: Cell::new(0),
            waiting: RefCell::new(Wakers::new()),
            asleep: Cell::new(0),
            is_called: Cell::new(false),
            next_seat: Cell::new(0),
            is_closed: Cell::new(false),
            is_primary: Cell::new(false),
        }
    }

    /// To be called once this stays where it is.
    pub(super) fn claim_rank(&self) {
        self.is_primary.set(Core::rank().claim(self));
    }

    pub(super) fn is_primary(&self) -> bool {
        self.is_primary.get()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.live.get() == 0
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    /// A task is being made on this thread.
    pub(super) fn count_begin(&self) {
        if self.thread.get() == UNKNOWN {
            self.thread.set(context::thread_number());
        }
        self.live.set(self.live.get() + 1);
    }

    pub(super) fn count_end(&self) {
        self.live.set(self.live.get() - 1);
    }

    /// Whether this is the thread of a task's core.
    ///
    /// # Safety
    ///
    /// `core` must live, and have tasks. Any thread may ask.
    pub(super) unsafe fn is_mine(core: *const Core) -> bool {
        // SAFETY: nobody writes to it any more once there is a task, so other threads may read it. No reference to the rest comes into being.
        let thread = unsafe { &(*core).thread };
        thread.get() == context::thread_number()
    }

    /// The part for other threads.
    ///
    /// # Safety
    ///
    /// `core` must live. Any thread may ask.
    pub(super) unsafe fn remote(core: *const Core) -> Arc<Remote> {
        // SAFETY: nobody ever writes to it. No reference to the rest comes into being.
        let remote = unsafe { &(*core).remote };
        remote.clone()
    }

    /// Takes in a task on its own thread.
    #[inline]
    pub(super) fn push(&self, runnable: Runnable) {
        self.queue.borrow_mut().push_back(runnable);
        self.call();
    }

    /// Sees to it that somebody is up who runs tasks.
    #[inline]
    fn call(&self) {
        if self.asleep.get() > 0 {
            self.call_sleeper();
        }
    }

    #[cold]
    fn call_sleeper(&self) {
        if !self.is_called.get() {
            // Before: whoever is called may push tasks at once.
            self.is_called.set(true);
            self.is_called.set(self.remote.wake_one());
        }
    }

    /// The next task to run.
    #[inline]
    pub(super) fn next(&self) -> Option<Runnable> {
        let mut queue = self.queue.borrow_mut();
        let ticks = self.ticks.get().wrapping_add(1);
        self.ticks.set(ticks);
        if queue.is_empty() || ticks % REMOTE_INTERVAL == 0 {
            self.remote.take_all(&mut queue);
        }
        queue.pop_front()
    }

    fn has_work(&self) -> bool {
        !self.queue.borrow().is_empty() || !self.remote.is_empty()
    }

    /// Lists a task that waits.
    pub(super) fn list(&self, waker: Waker) -> Key {
        self.waiting.borrow_mut().insert(waker)
    }

    pub(super) fn unlist(&self, key: Key) {
        let waker = self.waiting.borrow_mut().remove(key);
        drop(waker);
    }

    /// Drops all tasks.
    pub(super) fn close(&self) {
        self.is_closed.set(true);
        loop {
            let waiting = self.waiting.borrow().all();
            // Puts every task that waits for something into a queue.
            waiting.into_iter().for_each(Waker::wake);
            while let Some(runnable) = self.next() {
                // Drops the future: foreign code, and nothing is borrowed.
                drop(runnable);
            }
            if self.is_empty() {
                break;
            }
            // Another thread has marked a task as scheduled and is about to push it.
            thread::yield_now();
        }
        if self.is_primary.replace(false) {
            Core::rank().release();
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // Once more if a panic has cut that short: a task that outlived this would look for it.
        self.close();
    }
}

/// A `run()` or `tick()` in progress, which sleeps when there is nothing to do.
pub(super) struct Seat<'c> {
    core: &'c Core,
    id: usize,
    is_asleep: Cell<bool>,
}

impl<'c> Seat<'c> {
    pub(super) fn new(core: &'c Core) -> Seat<'c> {
        let id = core.next_seat.get();
        core.next_seat.set(id.wrapping_add(1));
        Seat { core, id, is_asleep: Cell::new(false) }
    }

    /// Gets ready to sleep until `waker` is called. False if there is work after all.
    pub(super) fn sleep(&self, waker: &Waker) -> bool {
        if !self.core.remote.fall_asleep(self.id, waker) {
            return false;
        }
        self.is_asleep.set(true);
        self.core.asleep.set(self.core.asleep.get() + 1);
        true
    }

    /// The sleep is over, for whatever reason.
    pub(super) fn wake_up(&self) {
        if self.is_asleep.replace(false) {
            self.core.asleep.set(self.core.asleep.get() - 1);
            self.core.is_called.set(false);
            self.core.remote.wake_up(self.id);
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.wake_up();
        // It may have been called for a task that it does not run any more.
        if self.core.has_work() {
            self.core.call();
        }
    }
}
