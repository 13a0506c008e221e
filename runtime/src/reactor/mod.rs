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
pub(crate) mod sources;
pub(crate) mod timers;

use std::io;
use std::os::fd::BorrowedFd;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use self::alarm::{Alarm, Deadlines};
use self::commons::wake_quietly;
use self::park::ParkState;
use self::readiness::Ready;
use self::source::Source;
use self::sources::Sources;
use self::timers::{NEVER, TimerKey, TimerQueue};
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, Ordering, lock};
use crate::sys::{Events, Poller, prefetch, slack};

/// So many timers fire in one turn of those whose task it is to drive; the others in the next ones. What they wake is then still in the cache when it is
/// polled, sources get their turn, and the number is that of polls between two turns, so that queues do not grow.
const FIRED_MAX: usize = 128;

/// With so many timers a driver that has nothing to do before the next one rests for this time at least: one wake-up then serves several timers. It costs the
/// processor a few microseconds, and the kernel lets threads oversleep by as much when it is asked for nothing better.
const CROWD: usize = 64;
const REST: Duration = Duration::from_micros(50);

/// One poller, its sources and its timers.
pub(crate) struct Shard {
    poller: Poller,
    park: ParkState,
    driver: Mutex<Driver>,
    sources: Mutex<Sources<Arc<Source>>>,
    timers: Alarm<TimerQueue>,
    /// All timers up to here have fired; written under the queue's lock.
    fired: AtomicU64,
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

impl Shard {
    pub(crate) fn new(is_common: bool) -> io::Result<Arc<Shard>> {
        Ok(Arc::new(Shard {
            poller: Poller::new()?,
            park: ParkState::new(),
            driver: Mutex::new(Driver { events: Events::new(), batch: Vec::new() }),
            sources: Mutex::new(Sources::new()),
            timers: Alarm::new(TimerQueue::default()),
            fired: AtomicU64::new(0),
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
        // Relaxed: what this thread has registered it sees. Who depends on other threads' sources either comes back, or has a fence, or the count of
        // blockers, between their registration and this look (`helper::rouse`, `commons::Presence`).
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
        // Not exact if two do so at once, and Relaxed: it is only asked whether it changes, again and again.
        let progress = self.progress.load(Ordering::Relaxed);
        self.progress.store(progress.wrapping_add(1), Ordering::Relaxed);
    }

    pub(crate) fn progress(&self) -> usize {
        // Relaxed: see above. An old value passes for a longer absence, until the next look.
        self.progress.load(Ordering::Relaxed)
    }

    /// Waits for events up to `limit` (`None`: without one), and moves the wakers of all that is ready to `wakers`.
    ///
    /// False if another thread drives this shard; then nothing was done. The caller runs the wakers: never here,
    /// under the lock. For those who stand in: all that is due fires.
    pub(crate) fn turn(&self, limit: Option<Duration>, wakers: &mut Vec<Waker>) -> bool {
        let Ok(mut driver) = self.driver.try_lock() else { return false };
        self.drive(&mut driver, limit, &|| false, wakers);
        self.fire_timers(usize::MAX, wakers);
        true
    }

    /// For those whose task it is to drive, and who come back soon. It does not wait if `is_called` once everybody can see that this thread is about to: a notification that came before the
    /// lock was ours may have ended somebody else's turn.
    pub(crate) fn turn_unless(
        &self,
        limit: Option<Duration>,
        is_called: impl Fn() -> bool,
        wakers: &mut Vec<Waker>,
    ) -> bool {
        let Ok(mut driver) = self.driver.try_lock() else { return false };
        self.drive(&mut driver, limit, &is_called, wakers);
        self.fire_timers(FIRED_MAX, wakers);
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
        self.drive(&mut driver, limit, &|| self.park.is_called(), wakers);
        self.fire_timers(FIRED_MAX, wakers);
        // What was published before the call is looked for after this.
        self.park.take_call();
        self.note_progress();
    }

    fn drive(
        &self,
        driver: &mut Driver,
        limit: Option<Duration>,
        is_called: &dyn Fn() -> bool,
        wakers: &mut Vec<Waker>,
    ) {
        let wants_wait = limit != Some(Duration::ZERO);
        let may_wait = wants_wait && self.park.begin() && !is_called();
        let wait = if may_wait { self.wait_time(limit) } else { Some(Duration::ZERO) };
        // Where there are no sources, a look at them can be spared. Relaxed: one whose registration is not seen yet is found by the next turn, as this one does not wait.
        let is_spared = wait == Some(Duration::ZERO) && self.load.load(Ordering::Relaxed) == 0;
        let waited = if is_spared { Ok(()) } else { self.poller.wait(&mut driver.events, wait) };
        if may_wait {
            self.timers.disarm();
        }
        if wants_wait {
            self.park.end();
        }
        if let Err(error) = waited {
            panic!("cannot wait in a poller of our own: {error}");
        }
        if !is_spared {
            self.dispatch(driver, wakers);
        }
    }

    /// When the first timer is due.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        if self.timers.count() == 0 {
            return None;
        }
        let deadline = self.timers.lock().next_deadline().filter(|&deadline| deadline != NEVER)?;
        self.epoch.checked_add(Duration::from_nanos(deadline))
    }

    #[inline(never)]
    fn ring(&self) {
        if let Err(error) = self.poller.notify() {
            panic!("cannot notify a poller of our own: {error}");
        }
    }

    pub(crate) fn register(&self, source: &Arc<Source>, fd: BorrowedFd<'_>) -> io::Result<usize> {
        let key = lock(&self.sources).insert(source.clone())?;
        // Relaxed, here and where it is counted down: see `is_idle`.
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
        // Acquire: pairs with `fire_timers`, so that this thread's next look at the clock is later than the driver's.
        if key.deadline() <= self.fired.load(Ordering::Acquire) {
            // Without a look into the queue: its entry is far away among many.
            return TimerState::Fired;
        }
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
        self.timers.lock().remove(key)
    }

    /// Nobody will drive this shard again: all who wait are woken, and find another.
    pub(crate) fn close(&self) {
        let sources = {
            let mut sources = lock(&self.sources);
            self.closed.store(true, Ordering::SeqCst);
            sources.take_all()
        };
        // Whoever stands in here leaves.
        self.notify();
        let mut wakers = self.timers.update(TimerQueue::close);
        self.load.fetch_sub(sources.len(), Ordering::Relaxed);
        for source in sources {
            source.orphan(self, &mut wakers);
        }
        // The panic of a foreign waker is nothing that whoever ends a runtime could answer for.
        wake_quietly(&mut wakers);
    }

    fn wait_time(&self, limit: Option<Duration>) -> Option<Duration> {
        let Some(deadline) = self.timers.arm().filter(|&deadline| deadline != NEVER) else {
            return limit;
        };
        let mut until = Duration::from_nanos(deadline.saturating_sub(self.now()));
        if !until.is_zero() {
            if until < REST && self.timers.count() >= CROWD {
                until = REST;
            }
            // The kernel lets a thread sleep longer than it was asked for. If it ends this one before the deadline, because it is up anyway, there is one look more.
            until = until.saturating_sub(slack::allowance()).max(Duration::from_nanos(1));
        }
        Some(limit.map_or(until, |limit| limit.min(until)))
    }

    fn now(&self) -> u64 {
        self.nanos(Some(Instant::now()))
    }

    /// A moment in the timer queue's count. What does not fit in, 584 years from now, never comes.
    fn nanos(&self, at: Option<Instant>) -> u64 {
        let Some(at) = at else { return NEVER };
        let since = at.saturating_duration_since(self.epoch);
        let seconds = since.as_secs().checked_mul(1_000_000_000);
        let nanos = seconds.and_then(|it| it.checked_add(since.subsec_nanos().into()));
        nanos.unwrap_or(NEVER)
    }

    fn dispatch(&self, driver: &mut Driver, wakers: &mut Vec<Waker>) {
        let Driver { events, batch } = driver;
        let sources = lock(&self.sources);
        for (key, ready) in events.iter() {
            // A slot that was re-used since the event was fetched has another key.
            if let Some(source) = sources.get(key) {
                batch.push((source.clone(), ready));
            }
        }
        drop(sources);
        for (source, ready) in batch.drain(..) {
            source.deliver(ready, wakers);
        }
    }

    fn fire_timers(&self, limit: usize, wakers: &mut Vec<Waker>) {
        if self.timers.count() == 0 {
            return;
        }
        let now = self.now();
        self.timers.update(|queue| {
            queue.fire(now, limit, wakers);
            // Release: who sees it looks at the clock later than we did.
            self.fired.store(queue.fired(), Ordering::Release);
        });
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

/// Tasks that waited for long are far away in memory: so many wake-ups ahead they are called for.
const AHEAD: usize = 8;

/// Wakes all of them, even if some panic; the first panic goes on when all are woken.
pub(crate) fn wake_all(wakers: &mut Vec<Waker>) {
    let mut panic = None;
    wakers.iter().take(AHEAD).for_each(|waker| prefetch(waker.data()));
    wakers.reverse();
    while let Some(waker) = wakers.pop() {
        if let Some(later) = wakers.len().checked_sub(AHEAD) {
            prefetch(wakers[later].data());
        }
        if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| waker.wake())) {
            panic.get_or_insert(payload);
        }
    }
    if let Some(payload) = panic {
        panic::resume_unwind(payload);
    }
}
