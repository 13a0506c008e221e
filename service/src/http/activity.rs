//! What a connection is doing, as far as its deadlines care.
//!
//! Requests only store times here; nobody touches a timer for them. The connection has one timer, its watchdog, which
//! looks at these cells when it fires and goes back to sleep if the deadline has moved. [`Activity::expect`] calls it earlier when a
//! deadline comes up that is shorter than its sleep: at most once per such deadline's length.
//!
//! HTTP/2 streams are tasks of their own, so the cells are atomics. `Relaxed` will do, except where a comment says more: each cell has a meaning of
//! its own, and a deadline that is seen late is seen at the next look.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use super::clock::{self, Ticks};
use super::hub::Hub;

#[derive(Debug)]
pub(super) struct Activity {
    hub: Arc<Hub>,
    header: Ticks,
    stall: Ticks,
    idle: Ticks,
    /// Requests from the call of the service to the end of the response's body.
    in_flight: AtomicUsize,
    /// When the last request ended.
    idle_since: AtomicU64,
    /// When the first bytes of a head came, 0 outside of heads. HTTP/1 only.
    head_since: AtomicU64,
    /// How many bodies or directions wait for the client, and until when.
    owed: AtomicUsize,
    owed_until: AtomicU64,
    /// When the watchdog will look.
    armed_until: AtomicU64,
    /// A request's body was not read to its end, so bytes may come that nobody wants.
    has_unread_body: AtomicBool,
    /// The connection is to look at its deadlines and at the server's state.
    alarm: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Activity {
    pub(super) fn new(hub: Arc<Hub>) -> Activity {
        let now = clock::now();
        let limits = hub.limits();
        Activity {
            header: clock::ticks(limits.header),
            stall: clock::ticks(limits.stall),
            idle: clock::ticks(limits.idle),
            in_flight: AtomicUsize::new(0),
            idle_since: AtomicU64::new(now),
            head_since: AtomicU64::new(0),
            owed: AtomicUsize::new(0),
            owed_until: AtomicU64::new(0),
            armed_until: AtomicU64::new(Ticks::MAX),
            has_unread_body: AtomicBool::new(false),
            alarm: AtomicBool::new(true),
            task: Mutex::new(None),
            hub,
        }
    }

    pub(super) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Bytes came while no request was in flight.
    pub(super) fn head_begins(&self) {
        if self.in_flight.load(Ordering::Relaxed) == 0
            && self.head_since.load(Ordering::Relaxed) == 0
        {
            self.head_since.store(clock::now(), Ordering::Relaxed);
        }
    }

    pub(super) fn head_ends(&self) {
        self.head_since.store(0, Ordering::Relaxed);
        self.idle_since.store(clock::now(), Ordering::Relaxed);
    }

    pub(super) fn has_partial_head(&self) -> bool {
        self.head_since.load(Ordering::Relaxed) != 0
    }

    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) == 0
    }

    pub(super) fn request_begins(self: &Arc<Self>) -> InFlight {
        self.head_since.store(0, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight { activity: self.clone() }
    }

    pub(super) fn stall(&self) -> Ticks {
        self.stall
    }

    /// Something waits for the client, until `deadline`. Each call is paired with one of [`Activity::settled`].
    pub(super) fn owes(&self, deadline: Ticks) {
        // In this order: whoever sees the count sees the deadline.
        self.owed_until.fetch_max(deadline, Ordering::Relaxed);
        self.owed.fetch_add(1, Ordering::Release);
        self.expect(deadline);
    }

    pub(super) fn settled(&self) {
        self.owed.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn is_owed(&self) -> bool {
        self.owed.load(Ordering::Relaxed) > 0
    }

    pub(super) fn leaves_body_unread(&self) {
        self.has_unread_body.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_unread_body(&self) -> bool {
        self.has_unread_body.load(Ordering::Relaxed)
    }

    /// Until when the connection may go on as it is. `None`: as long as the handlers like.
    pub(super) fn deadline(&self) -> Option<Ticks> {
        if self.owed.load(Ordering::Acquire) > 0 {
            return Some(self.owed_until.load(Ordering::Relaxed));
        }
        // `Acquire` pairs with the end of a request, which stores the time first: who sees none in flight sees since when.
        if self.in_flight.load(Ordering::Acquire) > 0 {
            return None;
        }
        match self.head_since.load(Ordering::Relaxed) {
            0 => Some(clock::after(self.idle_since.load(Ordering::Relaxed), self.idle)),
            since => Some(clock::after(since, self.header)),
        }
    }

    /// When the watchdog has to look at the latest: a deadline that begins later is no shorter than the idle timeout, or calls
    /// [`Activity::expect`].
    pub(super) fn arm(&self, now: Ticks) -> Ticks {
        let latest = clock::after(now, self.idle);
        let until = self.deadline().map_or(latest, |deadline| deadline.min(latest));
        self.armed_until.store(until, Ordering::Relaxed);
        until
    }

    pub(super) fn arm_until(&self, until: Ticks) {
        self.armed_until.store(until, Ordering::Relaxed);
    }

    /// Calls the watchdog if it would oversleep this deadline.
    pub(super) fn expect(&self, deadline: Ticks) {
        if deadline < self.armed_until.load(Ordering::Relaxed) {
            self.armed_until.store(deadline, Ordering::Relaxed);
            self.sound();
        }
    }

    /// [`Activity::expect`] for a head that is not complete when the parser has seen all there is.
    pub(super) fn expect_head(&self) {
        match self.head_since.load(Ordering::Relaxed) {
            0 => {}
            since => self.expect(clock::after(since, self.header)),
        }
    }

    pub(super) fn watched_by(&self, task: &Waker) {
        *self.task() = Some(task.clone());
    }

    /// Whether there was an alarm since the last call.
    pub(super) fn take_alarm(&self) -> bool {
        self.alarm.load(Ordering::Relaxed) && self.alarm.swap(false, Ordering::Acquire)
    }

    /// Has the connection look at its deadlines and at the server's state.
    pub(super) fn sound(&self) {
        self.alarm.store(true, Ordering::Release);
        let task = self.task().clone();
        if let Some(task) = task {
            task.wake();
        }
    }

    fn task(&self) -> std::sync::MutexGuard<'_, Option<Waker>> {
        self.task.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The watchdog's waker: the connection learns that it was the timer, and does not ask the timer at each of its polls.
impl Wake for Activity {
    fn wake(self: Arc<Self>) {
        self.sound();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.sound();
    }
}

/// A request in flight, until it is dropped.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) activity: Arc<Activity>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.activity.idle_since.store(clock::now(), Ordering::Relaxed);
        self.activity.in_flight.fetch_sub(1, Ordering::Release);
    }
}
