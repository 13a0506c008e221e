//! One worker thread: it runs tasks, and parks in its own shard when there are none.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use async_task::Runnable;

use super::Handle;
use crate::context::{EnterRunner, EnterRuntime, EnterWorker};
use crate::executor::runner::Runner;
use crate::reactor::{Shard, wake_all};

/// A busy worker looks for I/O and timers after so many polls...
const POLLS_MAX: u32 = 128;
/// ... or after this time, whichever comes first; it looks at the clock every so many polls.
const BUSY_TIME_MAX: Duration = Duration::from_millis(1);
const CLOCK_INTERVAL: u32 = 8;

pub(crate) struct Worker {
    index: usize,
    handle: Handle,
    shard: Arc<Shard>,
    runner: Runner,
    waker: Waker,
    wakers: RefCell<Vec<Waker>>,
    polls: Cell<u32>,
    last_turn: Cell<Instant>,
    quiet_looks: Cell<usize>,
    /// Calls of `block_on` on this worker's stack.
    nesting: Cell<usize>,
}

/// So many calls of `block_on` inside of tasks fit on a worker's stack in any case; those above it run no other tasks.
const NESTING_MAX: usize = 64;

struct Leave<'c>(&'c Cell<usize>);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Wakes the worker that parks in the shard.
struct Unpark(Arc<Shard>);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify();
    }
}

/// Wakes a `block_on` inside a task.
struct Nested {
    is_woken: AtomicBool,
    shard: Arc<Shard>,
}

impl Wake for Nested {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        self.shard.notify();
    }
}

impl Worker {
    pub(super) fn new(handle: Handle, index: usize) -> Worker {
        let shard = handle.0.shards[index].clone();
        Worker {
            index,
            runner: Runner::new(&handle.0.shared.state),
            waker: Arc::new(Unpark(shard.clone())).into(),
            shard,
            handle,
            wakers: RefCell::new(Vec::new()),
            polls: Cell::new(0),
            last_turn: Cell::new(Instant::now()),
            quiet_looks: Cell::new(0),
            nesting: Cell::new(0),
        }
    }

    /// The thread's life.
    pub(super) fn run(self) {
        {
            let _runtime = EnterRuntime::new(&self.handle);
            let _worker = EnterWorker::new(&self);
            let _runner = EnterRunner::new(&self.runner);
            // A task's panic goes to whoever awaits the task. What comes up to here is the panic of a foreign waker
            // or of a destructor, reported by the panic hook: the worker goes on.
            while panic::catch_unwind(AssertUnwindSafe(|| self.work())).is_err() {}
        }
        let handle = self.handle.clone();
        // Whoever still waits here, in a `block_on` inside a task of another worker, finds another shard.
        self.shard.close();
        // What waits in the local queue goes to the others.
        drop(self);
        if handle.0.shared.state.is_closed() {
            // The shutdown did not wait for this worker's last poll: its task is dropped now.
            handle.0.shared.close(Some(Instant::now()));
        }
        handle.0.gone.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn shard(&self) -> &Arc<Shard> {
        &self.shard
    }

    /// A `block_on` inside a task: this worker goes on with other tasks, on top of the present one's stack.
    pub(crate) fn block_on<T>(&self, mut future: Pin<&mut impl Future<Output = T>>) -> T {
        let depth = self.nesting.get() + 1;
        self.nesting.set(depth);
        let _nested = Leave(&self.nesting);
        let nested =
            Arc::new(Nested { is_woken: AtomicBool::new(true), shard: self.shard.clone() });
        let waker = Waker::from(nested.clone());
        loop {
            if nested.is_woken.swap(false, Ordering::SeqCst) {
                if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker))
                {
                    return output;
                }
            }
            if depth > NESTING_MAX {
                // No further task on top of this stack: this one waits alone, for I/O, timers and other threads.
                self.turn(None);
                continue;
            }
            match self.runner.next_thorough() {
                Some(runnable) => self.execute(runnable),
                None => self.park(),
            }
        }
    }

    fn work(&self) {
        while !self.is_stopping() {
            match self.runner.next() {
                Some(runnable) => self.execute(runnable),
                None => self.park(),
            }
        }
    }

    fn execute(&self, runnable: Runnable) {
        runnable.run();
        let polls = self.polls.get() + 1;
        self.polls.set(polls);
        if polls % CLOCK_INTERVAL == 0
            && (polls >= POLLS_MAX || self.last_turn.get().elapsed() >= BUSY_TIME_MAX)
        {
            self.note_turn();
            if !self.shard.is_idle() {
                self.turn(Some(Duration::ZERO));
            }
        }
    }

    /// Sleeps in the shard until there is something to do.
    fn park(&self) {
        if !self.runner.sleep(&self.waker) {
            return;
        }
        let inner = &self.handle.0;
        let others_busy = || inner.shared.state.asleep() < inner.workers.load(Ordering::Relaxed);
        let mut quiet_looks = self.quiet_looks.get();
        let watch = match inner.shards.len() {
            1 => None,
            _ => inner.warden.watch(self.index, &mut quiet_looks, others_busy),
        };
        self.quiet_looks.set(quiet_looks);
        self.turn(watch);
        self.note_turn();
        if watch.is_some() {
            // Takes the last task from a neighbour that does not get to it.
            if let Some(runnable) = self.runner.next_thorough() {
                inner.warden.lay_down(self.index);
                self.call_warden();
                self.execute(runnable);
            }
        } else {
            self.call_warden();
        }
    }

    /// This worker is about to be busy: somebody has to look after what it does not get to.
    fn call_warden(&self) {
        let inner = &self.handle.0;
        if inner.shards.len() > 1 && inner.warden.is_absent() {
            inner.shared.state.rouse();
        }
    }

    fn turn(&self, limit: Option<Duration>) {
        let mut wakers = self.wakers.take();
        // Nobody else drives this shard while its worker lives.
        let _ = self.shard.turn(limit, &mut wakers);
        // Up before the tasks are woken: their pushes need not call anybody for us.
        self.runner.wake_up();
        self.runner.keep_order(|| wake_all(&mut wakers));
        self.wakers.replace(wakers);
    }

    fn note_turn(&self) {
        self.polls.set(0);
        self.last_turn.set(Instant::now());
    }

    fn is_stopping(&self) -> bool {
        self.handle.0.is_stopping.load(Ordering::Relaxed)
    }
}
