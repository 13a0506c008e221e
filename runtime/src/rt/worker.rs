//! One worker thread: it runs tasks, and parks in its own shard when there are none.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use async_task::Runnable;

use super::{Handle, Inner};
use crate::context::{self, EnterRunner, EnterRuntime, EnterSeat, EnterWorker, PollInside};
use crate::executor::runner::Runner;
use crate::reactor::Shard;
use crate::reactor::commons::wake_quietly;
use crate::reactor::helper::{self, Ward};
use crate::sync::{AtomicBool, Instant, Ordering};
use crate::sys::slack;

/// A busy worker looks for I/O and timers after so many polls...
const POLLS_MAX: u32 = 128;
/// ... or after this time, whichever comes first.
const BUSY_TIME_MAX: Duration = Duration::from_millis(1);
/// It looks at the clock after so many polls at the least, and when they are short after so many at the most.
const CLOCK_INTERVAL_MIN: u32 = 8;
const CLOCK_INTERVAL_MAX: u32 = 32;

pub(crate) struct Worker {
    index: usize,
    handle: Handle,
    shard: Arc<Shard>,
    runner: Runner,
    waker: Waker,
    wakers: RefCell<Vec<Waker>>,
    polls: Cell<u32>,
    /// At so many polls it looks at the clock.
    next_look: Cell<u32>,
    last_turn: Cell<Instant>,
    /// Whether it has slept since it last had something to do.
    is_fresh: Cell<bool>,
    /// Whether the present poll may sleep where it drives nothing.
    is_at_risk: Cell<bool>,
    /// The progress of all other workers when this one, being the warden, last looked.
    seen_progress: Cell<usize>,
    /// When the first timer of an abandoned shard is due.
    stalled_deadline: Cell<Option<Instant>>,
    /// Calls of `block_on` on this worker's stack.
    nesting: Cell<usize>,
}

/// So many calls of `block_on` inside of tasks fit on a worker's stack in any case; those above it run no other tasks.
const NESTING_MAX: usize = 64;

/// Says, when it is dropped, that a worker has left.
struct Gone(Handle);

impl Drop for Gone {
    fn drop(&mut self) {
        let inner = &self.0.0;
        inner.note_gone();
        if inner.have_all_gone() && inner.shared.state.is_closed() {
            inner.sweep();
        }
    }
}

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
        self.0.call();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.call();
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
        self.shard.call();
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
            next_look: Cell::new(CLOCK_INTERVAL_MIN),
            last_turn: Cell::new(Instant::now()),
            is_fresh: Cell::new(true),
            is_at_risk: Cell::new(false),
            seen_progress: Cell::new(0),
            stalled_deadline: Cell::new(None),
            nesting: Cell::new(0),
        }
    }

    /// The thread's life.
    pub(super) fn run(self) {
        self.shard.note_progress();
        let settings = &self.handle.0.settings;
        {
            let _runtime = EnterRuntime::new(&self.handle);
            let _worker = EnterWorker::new(&self);
            let _runner = EnterRunner::new(&self.runner);
            let _seat = EnterSeat::new(&self.waker);
            slack::reduce();
            settings.on_thread_start.call();
            // A task's panic goes to whoever awaits the task. What comes up to here is the panic of a foreign waker
            // or of a destructor, reported by the panic hook: the worker goes on.
            while panic::catch_unwind(AssertUnwindSafe(|| self.work())).is_err() {
                self.end_risk();
            }
            settings.on_thread_stop.call();
        }
        // Also if what follows panics.
        let gone = Gone(self.handle.clone());
        let handle = &gone.0;
        // Whoever still waits here, in a `block_on` inside a task of another worker, finds another shard.
        self.shard.close();
        // What waits in the local queue goes to the others.
        drop(self);
        if handle.0.shared.state.is_closed() {
            // The shutdown did not wait for this worker's last poll: its task is dropped now.
            handle.0.shared.close(Some(Instant::now()));
        }
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
        let _seat = EnterSeat::new(&waker);
        let _inside = PollInside::new();
        loop {
            if nested.is_woken.swap(false, Ordering::SeqCst) {
                let mut cx = Context::from_waker(&waker);
                // As a task's poll, with a budget of its own.
                context::begin_poll(&waker);
                if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                    return output;
                }
            }
            if depth > NESTING_MAX {
                // No further task on top of this stack: this one waits alone, for I/O, timers and other threads.
                self.turn(None);
                continue;
            }
            self.work_nested();
        }
    }

    /// Runs a task on top of another one's stack, or parks.
    fn work_nested(&self) {
        // The task below may be in another runtime's `block_on`, or be run by an executor that is run by a task.
        let _runtime = EnterRuntime::new(&self.handle);
        let _runner = EnterRunner::new(&self.runner);
        let _seat = EnterSeat::new(&self.waker);
        let Some(runnable) = self.runner.next_thorough() else { return self.park() };
        // A panic that comes up to here is nothing that the task below could answer for. The panic hook has reported it.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| self.execute(runnable)));
    }

    fn work(&self) {
        while !self.is_stopping() {
            match self.runner.next() {
                Some(runnable) => self.execute(runnable),
                None => self.park(),
            }
        }
    }

    #[inline]
    fn execute(&self, runnable: Runnable) {
        if self.is_fresh.get() {
            self.begin_work();
        }
        // Further down the stack there may be a poll that is at risk. Without one, a hook or a foreign waker has been.
        let was_at_risk = self.nesting.get() > 0 && self.is_at_risk.get();
        runnable.run();
        if self.is_at_risk.get() && !was_at_risk {
            self.end_risk();
        }
        let polls = self.polls.get() + 1;
        self.polls.set(polls);
        if polls >= self.next_look.get() {
            self.look_at_clock(polls);
        }
    }

    /// The first task after a sleep.
    #[cold]
    fn begin_work(&self) {
        self.is_fresh.set(false);
        self.handle.0.warden.lay_down(self.index);
        self.call_warden();
    }

    #[inline(never)]
    fn look_at_clock(&self, polls: u32) {
        let now = Instant::now();
        let busy = now.saturating_duration_since(self.last_turn.get());
        let left = BUSY_TIME_MAX.saturating_sub(busy);
        if polls < POLLS_MAX && !left.is_zero() {
            // When half of what is left will have gone, if the polls stay as they have been.
            let polls_left = left.as_nanos() * u128::from(polls) / busy.as_nanos().max(1) / 2;
            let polls_left = u32::try_from(polls_left).unwrap_or(u32::MAX);
            let next = polls + polls_left.clamp(CLOCK_INTERVAL_MIN, CLOCK_INTERVAL_MAX);
            self.next_look.set(next.min(POLLS_MAX));
            return;
        }
        self.note_turn(now);
        if !self.shard.is_idle() {
            self.turn(Some(Duration::ZERO));
        }
        self.look_after_others();
    }

    /// Sleeps in the shard until there is something to do.
    fn park(&self) {
        if !self.runner.sleep(&self.waker) {
            return;
        }
        let watch = self.watch();
        let settings = &self.handle.0.settings;
        if settings.on_thread_park.call() && self.runner.has_own() {
            // The hook has woken a task, and nobody is called for what wakes on this thread.
            self.runner.wake_up();
            settings.on_thread_unpark.call();
            return;
        }
        // The sleep may be long.
        self.publish();
        if self.nesting.get() == 0 {
            // What a hook has waited for is over.
            self.end_risk();
        }
        self.turn(watch);
        if settings.on_thread_unpark.is_some() {
            self.runner.settle();
            settings.on_thread_unpark.call();
        }
        self.handle.0.counters[self.index].parks.add(1);
        self.note_turn(Instant::now());
        self.is_fresh.set(true);
        if watch.is_some() {
            self.look_after_others();
            // Takes the last task from a neighbour that does not get to it.
            if let Some(runnable) = self.runner.next_thorough() {
                self.execute(runnable);
            }
        }
    }

    /// How long it may sleep, if it is the warden.
    fn watch(&self) -> Option<Duration> {
        let inner = &self.handle.0;
        if inner.shards.len() == 1 {
            return None;
        }
        let has_been_quiet = || {
            let own = self.shard.progress();
            let progress = Inner::progress(inner).wrapping_sub(own);
            self.seen_progress.replace(progress) == progress
        };
        // Relaxed: it changes only while the runtime is built, when nobody has a task yet.
        let others_busy = || inner.shared.state.asleep() < inner.workers.load(Ordering::Relaxed);
        let period = inner.warden.watch(self.index, has_been_quiet, others_busy)?;
        let deadline = self.stalled_deadline.get();
        let until = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
        Some(deadline.map_or(period, |deadline| period.min(until(deadline))))
    }

    /// Serves the shards of workers that do not get to them.
    fn look_after_others(&self) {
        let inner = &self.handle.0;
        if inner.shards.len() == 1 {
            return;
        }
        let mut wakers = self.wakers.take();
        // Relaxed: as in `watch`; all shards are there from the beginning.
        let shards = &inner.shards[..inner.workers.load(Ordering::Relaxed)];
        let deadline = inner.stalls.look(self.index, shards, &inner.counters, &mut wakers);
        self.stalled_deadline.set(deadline);
        self.runner.keep_order(|| wake_quietly(&mut wakers));
        self.wakers.replace(wakers);
    }

    /// This worker is about to be busy: somebody has to look after what it does not get to.
    fn call_warden(&self) {
        let inner = &self.handle.0;
        let state = &inner.shared.state;
        if inner.shards.len() > 1 && inner.warden.is_absent() && state.asleep() > 0 {
            state.rouse();
        }
    }

    /// Something waits with a waker that is not ours: the present poll may sleep where it drives nothing, in a foreign `block_on`.
    ///
    /// Then another worker looks after this shard. When all are at risk, the helper thread does.
    pub(crate) fn note_stranger(&self) {
        if self.is_at_risk.replace(true) {
            return;
        }
        let inner = &self.handle.0;
        inner.at_risk.fetch_add(1, Ordering::SeqCst);
        if inner.is_everybody_at_risk()
            && !inner.is_ward.swap(true, Ordering::SeqCst)
            && helper::attend(inner.clone()).is_err()
        {
            // Most strangers come back: no thread is no reason to refuse them. The next one asks again.
            inner.is_ward.store(false, Ordering::SeqCst);
        }
    }

    fn end_risk(&self) {
        if self.is_at_risk.replace(false) {
            self.handle.0.at_risk.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn turn(&self, limit: Option<Duration>) {
        let mut wakers = self.wakers.take();
        self.shard.turn_at_home(limit, &mut wakers);
        // Up before the tasks are woken: their pushes need not call anybody for us.
        self.runner.wake_up();
        self.runner.keep_order(|| wake_quietly(&mut wakers));
        self.wakers.replace(wakers);
    }

    /// The worker has come by its poller.
    fn note_turn(&self, now: Instant) {
        self.shard.note_progress();
        self.publish();
        self.last_turn.set(now);
    }

    fn publish(&self) {
        let counters = &self.handle.0.counters[self.index];
        counters.polls.add(self.polls.replace(0).into());
        self.next_look.set(CLOCK_INTERVAL_MIN);
        counters.steals.add(self.runner.take_steals());
    }

    fn is_stopping(&self) -> bool {
        // Relaxed: who sets it calls every worker after that, which synchronizes; a busy one only comes by sooner or later.
        self.handle.0.is_stopping.load(Ordering::Relaxed)
    }
}
