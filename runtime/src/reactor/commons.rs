//! The shard of all threads that are no workers, and who drives it.
//!
//! Threads in `block_on` take turns: one parks in the shard, the others sleep until their waker or the driver
//! calls them. A helper thread stands in, from the first time on that somebody depends on this shard who is not in
//! `block_on` (a foreign executor, say), and only while nobody else drives.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, OnceLock, PoisonError};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use super::{Shard, wake_all};
use crate::block_on::Parker;
use crate::sync::{Mutex, lock};

pub(crate) struct Commons {
    shard: Arc<Shard>,
    /// How many turns there have been.
    turns: AtomicUsize,
    helper: Helper,
}

#[derive(Default)]
struct Helper {
    is_started: Mutex<bool>,
    /// The same, for those who only want to look.
    is_started_hint: AtomicBool,
    is_driving: AtomicBool,
    is_asleep: AtomicBool,
    lock: Mutex<()>,
    wake: Condvar,
}

/// How often the helper looks whether the threads in `block_on` have been kept from driving.
const DOZE: Duration = Duration::from_millis(5);
/// After so many looks that found a driver parked, it sleeps until that driver leaves.
const QUIET_LOOKS_MAX: u32 = 20;

static COMMONS: OnceLock<Commons> = OnceLock::new();

/// Threads in `block_on`, no workers among them: each of them drives when it parks.
static BLOCKERS: AtomicUsize = AtomicUsize::new(0);

/// Those of them that sleep while another one drives, or while there is nothing to drive yet.
static SLEEPERS: Mutex<Vec<Arc<Parker>>> = Mutex::new(Vec::new());

/// Sleeps where there is no shard to drive. Whoever makes one, and leaves, calls the sleepers.
pub(crate) fn sleep_beside(parker: &Arc<Parker>) {
    let seat = SleeperSeat::take(parker);
    // On the list first, then a second look.
    if COMMONS.get().is_none() {
        parker.sleep();
    }
    drop(seat);
}

/// Calls one of the sleepers, who will drive when it parks again.
fn call_next() -> bool {
    let next = lock(&SLEEPERS).pop();
    let Some(next) = next else { return false };
    next.unpark();
    true
}

/// A place on the list of sleepers, until it is dropped.
struct SleeperSeat<'p>(&'p Arc<Parker>);

impl<'p> SleeperSeat<'p> {
    fn take(parker: &'p Arc<Parker>) -> SleeperSeat<'p> {
        lock(&SLEEPERS).push(parker.clone());
        SleeperSeat(parker)
    }
}

impl Drop for SleeperSeat<'_> {
    fn drop(&mut self) {
        lock(&SLEEPERS).retain(|other| !Arc::ptr_eq(other, self.0));
    }
}

/// The shard, made on first use.
pub(crate) fn shard() -> io::Result<Arc<Shard>> {
    if let Some(commons) = COMMONS.get() {
        return Ok(commons.shard.clone());
    }
    let shard = Shard::new(true)?;
    Ok(COMMONS.get_or_init(|| Commons::new(shard)).shard.clone())
}

/// The commons, if anybody has needed them so far.
pub(crate) fn existing() -> Option<&'static Commons> {
    COMMONS.get()
}

/// A thread that is in `block_on`.
pub(crate) struct Presence(());

impl Presence {
    pub(crate) fn new() -> Presence {
        BLOCKERS.fetch_add(1, Ordering::SeqCst);
        Presence(())
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if BLOCKERS.fetch_sub(1, Ordering::SeqCst) > 1 {
            // We may have been called to drive, and do not: the next one has to.
            if COMMONS.get().is_some_and(|commons| !commons.shard.is_parked()) {
                call_next();
            }
            return;
        }
        if let Some(commons) = COMMONS.get().filter(|commons| !commons.shard.is_idle()) {
            // Sockets or timers have outlived the last thread that drove them. If no thread can be had now, the
            // next one that waits for them asks again, and gets the error.
            let _ = commons.ensure_helper();
        }
    }
}

impl Commons {
    fn new(shard: Arc<Shard>) -> Commons {
        Commons { shard, turns: AtomicUsize::new(0), helper: Helper::default() }
    }

    /// Sleeps until `parker` is called or something happens; drives the shard meanwhile if nobody else does.
    pub(crate) fn park(&self, parker: &Arc<Parker>, wakers: &mut Vec<Waker>) {
        if self.drive(parker, wakers) {
            return;
        }
        // On the list first, then a second try: a driver that leaves in between has seen us, or we find its place free.
        let seat = SleeperSeat::take(parker);
        if !self.drive(parker, wakers) {
            if self.helper.is_driving.load(Ordering::SeqCst) {
                self.shard.notify();
            }
            parker.sleep();
        }
        drop(seat);
    }

    /// Looks for events without waiting.
    pub(crate) fn poll(&self, wakers: &mut Vec<Waker>) {
        if !self.shard.is_idle() && self.shard.turn(Some(Duration::ZERO), wakers) {
            self.after_turn(wakers);
        }
    }

    /// True if there is no reason left to sleep.
    fn drive(&self, parker: &Parker, wakers: &mut Vec<Waker>) -> bool {
        if !parker.begin_driving() {
            return true;
        }
        let has_driven = self.shard.turn_unless(None, || parker.is_notified(), wakers);
        let is_notified = parker.end_driving();
        if has_driven {
            self.after_turn(wakers);
        }
        has_driven || is_notified
    }

    /// Ends the turn of a driver that parks in this shard.
    pub(crate) fn notify(&self) {
        self.shard.notify();
    }

    fn after_turn(&self, wakers: &mut Vec<Waker>) {
        self.turns.fetch_add(1, Ordering::Relaxed);
        if call_next() {
            // It takes over while we run.
        } else if self.helper.is_asleep.load(Ordering::SeqCst) {
            self.helper.rouse();
        }
        wake_all(wakers);
    }

    /// Makes sure that this shard is driven though its user is not in `block_on`.
    pub(crate) fn ensure_helper(&'static self) -> io::Result<()> {
        if self.helper.is_started_hint.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut is_started = lock(&self.helper.is_started);
        if !*is_started {
            let builder = thread::Builder::new().name("smolkit-io".into());
            builder.spawn(move || self.help()).map_err(|error| {
                let reason = "cannot start the thread that waits for I/O outside of block_on";
                io::Error::new(error.kind(), format!("{reason}: {error}"))
            })?;
            *is_started = true;
            self.helper.is_started_hint.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// The helper thread. It lives as long as the process, and uses no CPU when nothing happens.
    fn help(&self) {
        let mut wakers = Vec::new();
        let mut quiet_looks = 0;
        loop {
            let turns = self.turns.load(Ordering::Relaxed);
            if BLOCKERS.load(Ordering::SeqCst) > 0 {
                self.helper.doze();
                if self.shard.is_parked() {
                    quiet_looks += 1;
                    if quiet_looks >= QUIET_LOOKS_MAX {
                        quiet_looks = 0;
                        self.helper.sleep(|| self.shard.is_parked());
                    }
                    continue;
                }
                quiet_looks = 0;
                if self.turns.load(Ordering::Relaxed) != turns {
                    continue;
                }
            }
            // Nobody is there to drive, or they are kept from it.
            self.helper.is_driving.store(true, Ordering::SeqCst);
            // A thread that began to sleep before it could see the flag is on the list by now.
            let waits = lock(&SLEEPERS).is_empty();
            let limit = if waits { None } else { Some(Duration::ZERO) };
            let has_driven = self.shard.turn(limit, &mut wakers);
            self.helper.is_driving.store(false, Ordering::SeqCst);
            let woken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                if has_driven {
                    self.after_turn(&mut wakers);
                }
            }));
            // The panic of a foreign waker has been reported by the panic hook; I/O goes on.
            drop(woken);
            if !has_driven {
                self.helper.doze();
            }
        }
    }
}

impl Helper {
    fn doze(&self) {
        let guard = lock(&self.lock);
        drop(self.wake.wait_timeout(guard, DOZE).unwrap_or_else(PoisonError::into_inner));
    }

    /// Sleeps until roused, unless `may_sleep` no longer holds once everybody can see that we sleep.
    fn sleep(&self, may_sleep: impl Fn() -> bool) {
        let mut guard = lock(&self.lock);
        self.is_asleep.store(true, Ordering::SeqCst);
        while self.is_asleep.load(Ordering::SeqCst) && may_sleep() {
            guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.is_asleep.store(false, Ordering::SeqCst);
    }

    fn rouse(&self) {
        let guard = lock(&self.lock);
        self.is_asleep.store(false, Ordering::SeqCst);
        self.wake.notify_all();
        drop(guard);
    }
}
