//! The reactor: shards, each a poller with its sources and its timers.
//!
//! A shard is driven by one thread at a time (whoever holds `driver`). Every other thread may register,
//! deregister and insert timers meanwhile.
//!
//! A worker's shard is its own. While the worker is stuck in a poll, others stand in for it: the warden looks in without
//! waiting, the helper may wait in it; when the worker comes back it sends them away.

pub(crate) mod alarm;
pub(crate) mod commons;
pub(crate) mod helper;
pub(crate) mod park;
pub(crate) mod parker;
pub(crate) mod readiness;
pub(crate) mod relay;
pub(crate) mod source;
pub(crate) mod timers;

use std::io;
use std::os::fd::BorrowedFd;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use slab::Slab;

use self::alarm::{Alarm, Deadlines};
use self::park::ParkState;
use self::readiness::Ready;
use self::source::Source;
use self::timers::{NEVER, TimerKey, TimerQueue};
use crate::sync::{Mutex, lock};
use crate::sys::{Events, Poller};

/// One poller, its sources and its timers.
pub(crate) struct Shard {
    poller: Poller,
    park: ParkState,
    driver: Mutex<Driver>,
    sources: Mutex<Sources>,
    timers: Alarm<TimerQueue>,
    /// Where the queue's nanoseconds begin.
    epoch: Instant,
    /// How many sources there are: a driver with none of them, and no timers, need not look.
    load: AtomicUsize,
    /// Counts how often those whose task it is to drive have come by.
    progress: AtomicUsize,
    closed: AtomicBool,
    /// Whether this is the shard of all threads that are no workers.
    is_common: bool,
}

/// What only the driving thread touches.
struct Driver {
    events: Events,
    batch: Vec<(Arc<Source>, Ready)>,
}

struct Sources {
    slots: Slab<Slot>,
    generation: usize,
}

struct Slot {
    key: usize,
    source: Arc<Source>,
}

impl Shard {
    pub(crate) fn new(is_common: bool) -> io::Result<Arc<Shard>> {
        Ok(Arc::new(Shard {
            poller: Poller::new()?,
            park: ParkState::new(),
            driver: Mutex::new(Driver { events: Events::new(), batch: Vec::new() }),
            sources: Mutex::new(Sources { slots: Slab::new(), generation: 0 }),
            timers: Alarm::new(TimerQueue::default()),
            epoch: Instant::now(),
            load: AtomicUsize::new(0),
            progress: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            is_common,
        }))
    }

    pub(crate) fn is_common(&self) -> bool {
        self.is_common
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Whether there is nothing that a turn could find.
    pub(crate) fn is_idle(&self) -> bool {
        self.load.load(Ordering::Relaxed) == 0 && self.timers.is_empty()
    }

    /// Whether a thread sleeps in this shard just now.
    pub(crate) fn is_parked(&self) -> bool {
        self.park.is_parked()
    }

    /// Ends the present or the next turn, whoever drives. One system call at the most, and none while the driver is up.
    pub(crate) fn notify(&self) {
        if self.park.notify() {
            self.ring();
        }
    }

    /// Ends the present or the next turn of this shard's own worker, even if somebody stands in for it just now.
    pub(crate) fn call(&self) {
        if self.park.call() {
            self.ring();
        }
    }

    /// One whose task it is to drive has come by.
    pub(crate) fn note_progress(&self) {
        // Not exact if two do so at once: it is only asked whether it changes.
        let progress = self.progress.load(Ordering::Relaxed);
        self.progress.store(progress.wrapping_add(1), Ordering::Relaxed);
    }

    pub(crate) fn progress(&self) -> usize {
        self.progress.load(Ordering::Relaxed)
    }

    /// Waits for events up to `limit` (`None`: without one), and moves the wakers of all that is ready to `wakers`.
    ///
    /// False if another thread drives this shard; then nothing was done. The caller runs the wakers: never here,
    /// under the lock.
    pub(crate) fn turn(&self, limit: Option<Duration>, wakers: &mut Vec<Waker>) -> bool {
        self.turn_unless(limit, || false, wakers)
    }

    /// The same, but it does not wait if `is_called` once everybody can see that this thread is about to: a notification that came before the
    /// lock was ours may have ended somebody else's turn.
    pub(crate) fn turn_unless(
        &self,
        limit: Option<Duration>,
        is_called: impl Fn() -> bool,
        wakers: &mut Vec<Waker>,
    ) -> bool {
        let Ok(mut driver) = self.driver.try_lock() else { return false };
        self.drive(&mut driver, limit, is_called, wakers);
        true
    }

    /// A turn of the worker whose shard this is. Whoever stands in for it leaves.
    pub(crate) fn turn_at_home(&self, limit: Option<Duration>, wakers: &mut Vec<Waker>) {
        let mut driver = match self.driver.try_lock() {
            Ok(driver) => driver,
            Err(_) => {
                // Before the notification: those who are sent away see that we are back.
                self.note_progress();
                self.notify();
                lock(&self.driver)
            }
        };
        self.drive(&mut driver, limit, || self.park.is_called(), wakers);
        // What was published before the call is looked for after this.
        self.park.take_call();
        self.note_progress();
    }

    fn drive(
        &self,
        driver: &mut Driver,
        limit: Option<Duration>,
        is_called: impl Fn() -> bool,
        wakers: &mut Vec<Waker>,
    ) {
        let wants_wait = limit != Some(Duration::ZERO);
        let may_wait = wants_wait && self.park.begin() && !is_called();
        let wait = if may_wait { self.wait_time(limit) } else { Some(Duration::ZERO) };
        let waited = self.poller.wait(&mut driver.events, wait);
        if may_wait {
            self.timers.disarm();
        }
        if wants_wait {
            self.park.end();
        }
        waited.expect("a poller of our own can be waited for");
        self.dispatch(driver, wakers);
        self.fire_timers(wakers);
    }

    /// When the first timer is due.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let nanos = self.timers.lock().next_deadline().filter(|&nanos| nanos != NEVER)?;
        self.epoch.checked_add(Duration::from_nanos(nanos))
    }

    fn ring(&self) {
        self.poller.notify().expect("an eventfd of our own takes a write");
    }

    pub(crate) fn register(&self, source: &Arc<Source>, fd: BorrowedFd<'_>) -> io::Result<usize> {
        let key = lock(&self.sources).insert(source)?;
        self.load.fetch_add(1, Ordering::Relaxed);
        // The event may come before this call returns: the source is in its slot already.
        if let Err(error) = self.poller.register(fd, key) {
            self.forget(key);
            return Err(error);
        }
        Ok(key)
    }

    pub(crate) fn rearm(&self, fd: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        self.poller.rearm(fd, key)
    }

    pub(crate) fn deregister(&self, fd: BorrowedFd<'_>, key: usize) {
        // Fails if the descriptor was closed behind our back; the kernel has forgotten it then, and so do we.
        let _ = self.poller.deregister(fd);
        self.forget(key);
    }

    /// Enters a timer; gives the waker back if this shard is closed. `None`: it never fires.
    pub(crate) fn insert_timer(
        &self,
        deadline: Option<Instant>,
        waker: Waker,
    ) -> Result<TimerKey, Waker> {
        let deadline = self.nanos(deadline);
        let (key, must_notify) =
            self.timers.insert(deadline, |queue| queue.insert(deadline, waker));
        if must_notify {
            self.notify();
        }
        key
    }

    /// Gives a timer another deadline, and another key; `None` if it has fired or the shard is closed.
    pub(crate) fn reset_timer(&self, key: TimerKey, deadline: Option<Instant>) -> Option<TimerKey> {
        let deadline = self.nanos(deadline);
        let (key, must_notify) = self.timers.insert(deadline, |queue| queue.reset(key, deadline));
        if must_notify {
            self.notify();
        }
        key
    }

    /// Whether a timer still waits; if so, `waker` is the one that it will call.
    pub(crate) fn poll_timer(&self, key: TimerKey, waker: &Waker) -> TimerState {
        let mut queue = self.timers.lock();
        let Some(stored) = queue.waker_mut(key) else { return TimerState::of_gone(&queue) };
        if stored.will_wake(waker) {
            return TimerState::Waiting;
        }
        drop(queue);
        // Cloning and dropping a waker is foreign code: not under the lock.
        let mut fresh = waker.clone();
        let mut queue = self.timers.lock();
        let Some(stored) = queue.waker_mut(key) else { return TimerState::of_gone(&queue) };
        std::mem::swap(stored, &mut fresh);
        drop(queue);
        drop(fresh);
        TimerState::Waiting
    }

    /// Takes a timer out; gives its waker back if it has not fired.
    pub(crate) fn remove_timer(&self, key: TimerKey) -> Option<Waker> {
        self.timers.update(|queue| queue.remove(key))
    }

    /// Nobody will drive this shard again: all who wait are woken, and find another.
    pub(crate) fn close(&self) {
        let sources = {
            let mut sources = lock(&self.sources);
            self.closed.store(true, Ordering::SeqCst);
            std::mem::take(&mut sources.slots)
        };
        // Whoever stands in here leaves.
        self.notify();
        let mut wakers = self.timers.update(TimerQueue::close);
        for (_, slot) in sources {
            slot.source.orphan(&mut wakers);
        }
        self.load.store(0, Ordering::Relaxed);
        wake_all(&mut wakers);
    }

    fn wait_time(&self, limit: Option<Duration>) -> Option<Duration> {
        let Some(deadline) = self.timers.arm().filter(|&deadline| deadline != NEVER) else {
            return limit;
        };
        let until = Duration::from_nanos(deadline.saturating_sub(self.now()));
        Some(limit.map_or(until, |limit| limit.min(until)))
    }

    fn now(&self) -> u64 {
        self.nanos(Some(Instant::now()))
    }

    /// A moment in the timer queue's count. What does not fit in, 584 years from now, never comes.
    fn nanos(&self, at: Option<Instant>) -> u64 {
        let since = at.map(|at| at.saturating_duration_since(self.epoch).as_nanos());
        since.and_then(|nanos| u64::try_from(nanos).ok()).unwrap_or(NEVER)
    }

    fn dispatch(&self, driver: &mut Driver, wakers: &mut Vec<Waker>) {
        let Driver { events, batch } = driver;
        let sources = lock(&self.sources);
        for (key, ready) in events.iter() {
            // A slot that was re-used since the event was fetched has another key.
            if let Some(slot) = sources.slots.get(index(key)).filter(|slot| slot.key == key) {
                batch.push((slot.source.clone(), ready));
            }
        }
        drop(sources);
        for (source, ready) in batch.drain(..) {
            source.deliver(ready, wakers);
        }
    }

    fn fire_timers(&self, wakers: &mut Vec<Waker>) {
        if self.timers.is_empty() {
            return;
        }
        let now = self.now();
        self.timers.update(|queue| queue.fire(now, wakers));
    }

    fn forget(&self, key: usize) {
        let removed = lock(&self.sources).remove(key);
        if removed.is_some() {
            self.load.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What became of a timer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TimerState {
    Waiting,
    /// Its deadline has come.
    Fired,
    /// Nobody drives its shard any more; it has to find another.
    Lost,
}

impl TimerState {
    fn of_gone(queue: &TimerQueue) -> TimerState {
        if queue.is_closed() { TimerState::Lost } else { TimerState::Fired }
    }
}

impl Sources {
    fn insert(&mut self, source: &Arc<Source>) -> io::Result<usize> {
        self.generation = self.generation.wrapping_add(1) & (usize::MAX >> INDEX_BITS);
        let entry = self.slots.vacant_entry();
        // The highest index stays free: with it, a key could equal the pollers' own.
        if entry.key() >= INDEX_MASK {
            return Err(io::Error::new(
                io::ErrorKind::OutOfMemory,
                format!("cannot register a source: {INDEX_MASK} are registered already"),
            ));
        }
        let key = (self.generation << INDEX_BITS) | entry.key();
        entry.insert(Slot { key, source: source.clone() });
        Ok(key)
    }

    fn remove(&mut self, key: usize) -> Option<Arc<Source>> {
        self.slots.get(index(key)).filter(|slot| slot.key == key)?;
        Some(self.slots.remove(index(key)).source)
    }
}

/// A key is a generation above a slot's index.
const INDEX_BITS: u32 = usize::BITS / 2;
const INDEX_MASK: usize = usize::MAX >> INDEX_BITS;

fn index(key: usize) -> usize {
    key & INDEX_MASK
}

/// Wakes all of them, even if some panic; the first panic goes on when all are woken.
pub(crate) fn wake_all(wakers: &mut Vec<Waker>) {
    let mut panic = None;
    for waker in wakers.drain(..) {
        if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| waker.wake())) {
            panic.get_or_insert(payload);
        }
    }
    if let Some(payload) = panic {
        panic::resume_unwind(payload);
    }
}
