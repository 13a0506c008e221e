//! One who runs tasks: a worker of a runtime, or a `run()` future of an executor.

use std::cell::Cell;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Waker};

use async_task::Runnable;

use super::bales::Bale;
use super::queue::{CAPACITY, Item};
use super::state::{Local, State};
use super::tally::Tally;
use crate::context;
use crate::sync::Ordering;

/// Every so many polls the injector or the oldest bale comes first, in turn, so that local tasks cannot starve them.
const SHARED_INTERVAL: u32 = 61;
/// So many tasks of the oldest bale are taken then, at the least.
const OLDEST_SHARE: usize = 4;
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
    /// Polls until what is shared comes first.
    countdown: Cell<u32>,
    /// Whether it is a bale's turn then, and whenever nothing else is left.
    is_bales_turn: Cell<bool>,
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
            countdown: Cell::new(SHARED_INTERVAL),
            is_bales_turn: Cell::new(true),
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
            self.state.bales.push(bale);
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

    #[inline]
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

    #[inline]
    fn next_own(&self) -> Option<Runnable> {
        let countdown = self.countdown.get() - 1;
        self.countdown.set(countdown);
        if countdown == 0 {
            if let Some(runnable) = self.take_shared_first() {
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
        item.map(|item| unsafe { Runnable::from_raw(item) }).or_else(|| self.take_shared())
    }

    /// A task that has waited where all runners get at it, although there are others here.
    #[cold]
    fn take_shared_first(&self) -> Option<Runnable> {
        self.countdown.set(SHARED_INTERVAL);
        let from_bale = || {
            // As many as come to their turn before the next share, if few wait here.
            let queue = &self.local.queue;
            let more = (SHARED_INTERVAL as usize).saturating_sub(queue.len()).max(OLDEST_SHARE) - 1;
            let first = self.state.bales.take_some(more, queue)?;
            self.call_for_backlog();
            Some(first)
        };
        self.by_turns(from_bale)
    }

    /// Nothing is left here: takes the newest bale, or a share of the injector. Each has its turn, so that neither starves.
    #[inline(never)]
    fn take_shared(&self) -> Option<Runnable> {
        let from_bale = || self.state.bales.take_newest().and_then(|bale| self.take_in(bale));
        self.by_turns(from_bale)
    }

    /// Takes from a bale, or a share of the injector if there is none; the next time the other way round.
    fn by_turns(&self, from_bale: impl FnOnce() -> Option<Runnable>) -> Option<Runnable> {
        if self.is_bales_turn.replace(!self.is_bales_turn.get()) {
            from_bale().or_else(|| self.take_injected())
        } else {
            self.take_injected().or_else(from_bale)
        }
    }

    /// Takes a share of the injector: the first to run, the others into the local queue.
    fn take_injected(&self) -> Option<Runnable> {
        let injector = &self.state.injector;
        let first = injector.pop()?;
        let share = injector.len() / self.state.locals().len().max(1);
        let room = CAPACITY - self.local.queue.len().min(CAPACITY);
        for _ in 0..share.min(INJECTOR_BATCH_MAX).min(room) {
            let Some(runnable) = injector.pop() else { break };
            if let Err(item) = self.local.queue.push(runnable.into_raw()) {
                // SAFETY: `push` gave back what `into_raw` made one line above.
                self.state.inject(unsafe { Runnable::from_raw(item) });
            }
        }
        self.call_for_backlog();
        Some(first)
    }

    /// Takes the first task of a bale to run, and the others into the local queue, which is empty or nearly so.
    fn take_in(&self, mut bale: Bale) -> Option<Runnable> {
        let first = bale.pop();
        if !bale.load(&self.local.queue, CAPACITY) {
            self.state.bales.push(bale);
        }
        self.call_for_backlog();
        first
    }

    /// Tasks have come here from where all get at them. Whoever fell asleep while they were in neither queue has seen them nowhere.
    fn call_for_backlog(&self) {
        if self.local.queue.len() >= self.state.backlog_min {
            self.state.notify();
        }
    }

    /// Whether a task waits here.
    pub(crate) fn has_own(&self) -> bool {
        self.local.queue.len() > 0 || self.local.queue.has_newest()
    }

    #[inline(never)]
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
        let stolen = item.map(|item| unsafe { Runnable::from_raw(item) });
        // The oldest bale: what is in it leads furthest away from what its owner is at.
        stolen
            .or_else(|| self.state.bales.take_oldest().and_then(|bale| self.take_in(bale)))
            .or_else(|| self.take_injected())
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
        // Relaxed: it has to differ from others, no more.
        let id = state.next_id.fetch_add(1, Ordering::Relaxed);
        Sleeper { id, phase: Cell::new(Phase::Working) }
    }

    #[inline]
    pub(super) fn wake_up(&self, state: &State) {
        if self.phase.get() == Phase::Asleep {
            self.end_sleep(state);
        }
    }

    #[cold]
    fn end_sleep(&self, state: &State) {
        let is_notified = state.sleepers.wake_up(self.id);
        self.phase.set(if is_notified { Phase::Searching } else { Phase::Working });
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
    #[inline]
    pub(super) fn found(&self, state: &State) {
        if self.phase.replace(Phase::Working) == Phase::Searching {
            self.end_search(state);
        }
    }

    #[cold]
    fn end_search(&self, state: &State) {
        if state.sleepers.end_search() && state.has_work(state.backlog_min) {
            state.notify();
        }
    }

    pub(super) fn sleep(&self, state: &State, waker: &Waker, least: usize) -> bool {
        let was_searching = self.phase.get() == Phase::Searching;
        state.sleepers.fall_asleep(self.id, context::keep_runner_waker(waker), was_searching);
        self.phase.set(Phase::Asleep);
        // Who searches finds what is there, or looks once more when it gives up: no need to spin until it has.
        if !state.sleepers.recheck() && state.has_work(least) {
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
