//! One who runs tasks: a worker of a runtime, or a `run()` future of an executor.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Waker};

use async_task::Runnable;

use super::injector::{Bale, Load};
use super::queue::{CAPACITY, Item};
use super::state::{Local, State};
use super::tally::Tally;
use crate::context;

/// Every so many polls the injector comes first, so that local tasks cannot starve it.
const INJECTOR_INTERVAL: u32 = 61;
/// So many tasks in a row come from the slot for the newest; then the queue has its turn.
const NEWEST_RUN_MAX: u32 = 3;
/// At the most so many tasks move from the injector to a local queue at once.
const INJECTOR_BATCH_MAX: usize = CAPACITY / 4;
/// A `run()` future runs so many tasks before it lets I/O, timers and its siblings have their turn.
const RUN_BATCH: u32 = 128;

pub(crate) struct Runner {
    state: Arc<State>,
    local: Arc<Local>,
    sleeper: Sleeper,
    ticks: Cell<u32>,
    newest_run: Cell<u32>,
    /// While it wakes the tasks of a batch of events, the order of the events is kept.
    in_order: Cell<bool>,
    random: Cell<u64>,
    /// Since they were last asked for.
    steals: Cell<u64>,
}

impl Runner {
    pub(crate) fn new(state: &Arc<State>) -> Runner {
        let local = Arc::new(Local::new());
        let sleeper = Sleeper::new(state);
        state.locals.write().unwrap_or_else(PoisonError::into_inner).push(local.clone());
        Runner {
            state: state.clone(),
            local,
            random: Cell::new((sleeper.id as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            sleeper,
            ticks: Cell::new(0),
            newest_run: Cell::new(0),
            in_order: Cell::new(false),
            steals: Cell::new(0),
        }
    }

    #[inline]
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// What has begun and ended on this runner's thread.
    #[inline]
    pub(super) fn tally(&self) -> &Tally {
        &self.local.tally
    }

    /// Takes in a task that was woken on this thread.
    pub(super) fn push(&self, runnable: Runnable, is_yield: bool) {
        let mut item = runnable.into_raw();
        if !is_yield && !self.in_order.get() {
            match self.local.queue.replace_newest(item) {
                Some(older) => item = older,
                None => {
                    // Only an executor that nobody watches wakes others for a single task.
                    if self.state.backlog_min <= 1 {
                        self.state.notify();
                    }
                    return;
                }
            }
        }
        match self.local.queue.push(item) {
            // Once for each load of work: who falls asleep after that looks how much there is.
            Ok(len) if len % self.state.backlog_min == 0 => self.state.notify(),
            Ok(_) => {}
            Err(item) => self.overflow(item),
        }
    }

    /// The local queue is full: its older half goes where everybody can get it.
    #[cold]
    fn overflow(&self, item: Item) {
        // SAFETY: the queue holds what `push` puts in with `into_raw`, and so does this item come from there.
        let older = unsafe { Bale::unload(&self.local.queue) };
        // None if thieves were faster.
        if let Some(bale) = older {
            self.state.injector.push(Load::Many(bale));
        }
        if let Err(item) = self.local.queue.push(item) {
            // SAFETY: as above, and `push` gave it back.
            self.state.inject(unsafe { Runnable::from_raw(item) });
        }
        self.state.notify();
    }

    /// The next task to run, wherever it comes from.
    pub(crate) fn next(&self) -> Option<Runnable> {
        self.next_of(self.state.backlog_min)
    }

    /// The same, and takes the last task from a neighbour that does not get to it.
    pub(crate) fn next_thorough(&self) -> Option<Runnable> {
        self.next_of(1)
    }

    fn next_of(&self, least: usize) -> Option<Runnable> {
        self.sleeper.wake_up(&self.state);
        let runnable = self.next_own().or_else(|| self.search(least));
        if runnable.is_some() {
            self.sleeper.found(&self.state);
        }
        runnable
    }

    /// Gets ready to sleep until `waker` is called. False if there is work after all.
    pub(crate) fn sleep(&self, waker: &Waker) -> bool {
        self.sleeper.sleep(&self.state, waker, self.state.backlog_min)
    }

    /// The sleep is over, for whatever reason.
    pub(crate) fn wake_up(&self) {
        self.sleeper.wake_up(&self.state);
    }

    /// Before code of others runs that may block: it must not count as searching meanwhile.
    pub(crate) fn settle(&self) {
        self.sleeper.wake_up(&self.state);
        self.sleeper.found(&self.state);
    }

    /// Calls `f`, which wakes tasks for a batch of events; they run in the order of their wake-ups.
    pub(crate) fn keep_order<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Reset<'r>(&'r Cell<bool>);
        impl Drop for Reset<'_> {
            fn drop(&mut self) {
                self.0.set(false);
            }
        }
        self.in_order.set(true);
        let _reset = Reset(&self.in_order);
        f()
    }

    /// Runs tasks until there are none or others should have a turn. `cx` is woken when there is more to do.
    pub(crate) fn run_some(&self, cx: &mut Context<'_>) {
        for _ in 0..RUN_BATCH {
            match self.next() {
                Some(runnable) => {
                    runnable.run();
                }
                None if self.sleep(cx.waker()) => return,
                None => {}
            }
        }
        self.keep_order(context::poll_io);
        cx.waker().wake_by_ref();
    }

    fn next_own(&self) -> Option<Runnable> {
        let ticks = self.ticks.get().wrapping_add(1);
        self.ticks.set(ticks);
        if ticks % INJECTOR_INTERVAL == 0 {
            if let Some(runnable) = self.take_injected() {
                return Some(runnable);
            }
        }
        let queue = &self.local.queue;
        let mut item = None;
        if self.newest_run.get() < NEWEST_RUN_MAX {
            item = queue.take_newest();
            self.newest_run.set(self.newest_run.get() + 1);
        }
        if item.is_none() {
            self.newest_run.set(0);
            item = queue.pop().or_else(|| queue.take_newest());
        }
        // SAFETY: the queue holds what `push` put in with `into_raw`, and gives every item out once.
        item.map(|item| unsafe { Runnable::from_raw(item) }).or_else(|| self.take_injected())
    }

    /// Takes a share of the injector: the first to run, the others into the local queue.
    fn take_injected(&self) -> Option<Runnable> {
        let injector = &self.state.injector;
        let first = match injector.pop()? {
            Load::One(runnable) => runnable,
            Load::Many(bale) => return self.take_bale(bale),
        };
        let share = injector.len() / self.state.locals().len().max(1);
        let room = CAPACITY - self.local.queue.len().min(CAPACITY);
        for _ in 0..share.min(INJECTOR_BATCH_MAX).min(room) {
            match injector.pop() {
                Some(Load::One(runnable)) => {
                    if let Err(item) = self.local.queue.push(runnable.into_raw()) {
                        // SAFETY: `push` gave back what `into_raw` made one line above.
                        self.state.inject(unsafe { Runnable::from_raw(item) });
                    }
                }
                Some(bale) => {
                    injector.push(bale);
                    break;
                }
                None => break,
            }
        }
        Some(first)
    }

    /// Takes the first of a bale, and the others into the local queue; what has no room there changes places with the older half of it.
    fn take_bale(&self, mut bale: Box<Bale>) -> Option<Runnable> {
        let first = bale.pop();
        if !bale.load(&self.local.queue) {
            // SAFETY: the queue holds what `push` put in with `into_raw`.
            let older = unsafe { Bale::unload(&self.local.queue) };
            if let Some(older) = older {
                self.state.injector.push(Load::Many(older));
            }
            if !bale.load(&self.local.queue) {
                self.state.injector.push(Load::Many(bale));
            }
        }
        first
    }

    fn search(&self, least: usize) -> Option<Runnable> {
        let locals = self.state.locals();
        if locals.len() < 2 || !self.sleeper.start_search(&self.state, locals.len().div_ceil(2)) {
            return None;
        }
        let start = self.random_below(locals.len());
        let victims = || {
            let (late, early) = locals.split_at(start);
            let others = early.iter().chain(late).filter(|local| !Arc::ptr_eq(local, &self.local));
            others.map(|local| &local.queue)
        };
        let queue = &self.local.queue;
        let mut item = None;
        if victims().any(|victim| victim.steal_half(queue, least) > 0) {
            item = queue.pop();
        } else if least <= 1 {
            item = victims().find_map(|victim| victim.take_newest());
        }
        drop(locals);
        if item.is_some() {
            self.steals.set(self.steals.get() + 1);
        }
        // SAFETY: the queues hold what `push` put in with `into_raw`, and give every item out once.
        item.map(|item| unsafe { Runnable::from_raw(item) }).or_else(|| self.take_injected())
    }

    /// How often it has stolen since this was last asked.
    pub(crate) fn take_steals(&self) -> u64 {
        self.steals.take()
    }

    fn random_below(&self, limit: usize) -> usize {
        let mut seed = self.random.get();
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        self.random.set(seed);
        (seed >> 32) as usize % limit
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // Nothing that waits here may be lost: the others get it. The counts move while nobody can add them up.
        let mut locals = self.state.locals.write().unwrap_or_else(PoisonError::into_inner);
        locals.retain(|local| !Arc::ptr_eq(local, &self.local));
        self.state.absorb(&self.local.tally);
        drop(locals);
        let queue = &self.local.queue;
        let mut left_any = false;
        while let Some(item) = queue.take_newest().or_else(|| queue.pop()) {
            // SAFETY: the queue holds what `push` put in with `into_raw`, and gives every item out once.
            self.state.inject(unsafe { Runnable::from_raw(item) });
            left_any = true;
        }
        self.sleeper.leave(&self.state, left_any);
    }
}

/// One entry in the protocol of `sleepers`, for whoever takes part in it.
pub(crate) struct Sleeper {
    id: usize,
    phase: Cell<Phase>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Working,
    Searching,
    Asleep,
}

impl Sleeper {
    pub(super) fn new(state: &State) -> Sleeper {
        let id = state.next_id.fetch_add(1, Ordering::Relaxed);
        Sleeper { id, phase: Cell::new(Phase::Working) }
    }

    pub(super) fn wake_up(&self, state: &State) {
        if self.phase.get() == Phase::Asleep {
            let is_notified = state.sleepers.wake_up(self.id);
            self.phase.set(if is_notified { Phase::Searching } else { Phase::Working });
        }
    }

    fn start_search(&self, state: &State, searchers_max: usize) -> bool {
        if self.phase.get() != Phase::Searching {
            if !state.sleepers.start_search(searchers_max) {
                return false;
            }
            self.phase.set(Phase::Searching);
        }
        true
    }

    /// It has a task to run. The last searcher passes the search on if there is more.
    pub(super) fn found(&self, state: &State) {
        if self.phase.replace(Phase::Working) == Phase::Searching
            && state.sleepers.end_search()
            && state.has_work(state.backlog_min)
        {
            state.notify();
        }
    }

    pub(super) fn sleep(&self, state: &State, waker: &Waker, least: usize) -> bool {
        let was_searching = self.phase.get() == Phase::Searching;
        state.sleepers.fall_asleep(self.id, context::keep_runner_waker(waker), was_searching);
        self.phase.set(Phase::Asleep);
        state.sleepers.recheck();
        if state.has_work(least) {
            self.wake_up(state);
            return false;
        }
        true
    }

    /// It takes no further part. If it was called for a task, or leaves tasks behind, another one is.
    pub(super) fn leave(&self, state: &State, left_any: bool) {
        self.wake_up(state);
        let was_searching = self.phase.replace(Phase::Working) == Phase::Searching;
        if was_searching {
            state.sleepers.end_search();
        }
        if was_searching || left_any {
            state.notify();
        }
    }
}
