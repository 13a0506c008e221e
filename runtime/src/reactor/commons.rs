//! The shard of all threads that are no workers, and who drives it.
//!
//! Threads in `block_on` take turns (`relay`). The helper thread stands in for them, from the first time on that somebody depends on
//! this shard who may not come back to drive it: a foreign executor, say.

use std::io;
use std::sync::{Arc, LazyLock, OnceLock};
use std::task::Waker;
use std::time::Duration;

use super::helper::{self, Attendance, Ward};
use super::parker::Parker;
use super::relay::{Relay, Turns};
use super::{Shard, wake_all};
use crate::sync::{AtomicBool, AtomicUsize, Ordering};

pub(crate) struct Commons {
    shard: Arc<Shard>,
    /// Whether anybody depends on this shard who does not drive it, or may be kept from it.
    has_outsiders: AtomicBool,
    /// Whether the helper knows of this shard.
    is_ward: AtomicBool,
    /// Whether the helper drives this shard, or is about to.
    is_helped: AtomicBool,
}

static COMMONS: OnceLock<Arc<Commons>> = OnceLock::new();

/// Threads in `block_on`, no workers among them: each of them drives when it parks.
static BLOCKERS: AtomicUsize = AtomicUsize::new(0);

static RELAY: LazyLock<Relay> = LazyLock::new(Relay::new);

/// The shard, made on first use.
pub(crate) fn shard() -> io::Result<Arc<Shard>> {
    if let Some(commons) = COMMONS.get() {
        return Ok(commons.shard.clone());
    }
    let shard = Shard::new(true)?;
    Ok(COMMONS.get_or_init(|| Arc::new(Commons::new(shard))).shard.clone())
}

/// The commons, if anybody has needed them so far.
pub(crate) fn existing() -> Option<&'static Arc<Commons>> {
    COMMONS.get()
}

/// Sleeps until `parker` is notified; drives the shard meanwhile if nobody else does. May return early.
pub(crate) fn park(parker: &Arc<Parker>, wakers: &mut Vec<Waker>) {
    match existing() {
        Some(commons) => RELAY.park(parker, &mut Driving { commons, wakers }),
        // There is nothing to drive yet. Whoever makes it, and leaves, calls us.
        None => RELAY.sleep(parker, || existing().is_none()),
    }
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
        let is_last = BLOCKERS.fetch_sub(1, Ordering::SeqCst) == 1;
        let Some(commons) = existing() else { return };
        if !is_last {
            // For those who began to sleep before there was anything to drive.
            commons.pass_on();
        } else if !commons.shard.is_idle() {
            // Sockets or timers have outlived the last thread that drove them. If no thread can be had now, the
            // next one that waits for them asks again, and gets the error.
            let _ = commons.ensure_helper();
        }
    }
}

impl Commons {
    fn new(shard: Arc<Shard>) -> Commons {
        Commons {
            shard,
            has_outsiders: AtomicBool::new(false),
            is_ward: AtomicBool::new(false),
            is_helped: AtomicBool::new(false),
        }
    }

    /// Looks for events without waiting. For threads in `block_on`.
    pub(crate) fn poll(&self, wakers: &mut Vec<Waker>) {
        self.shard.note_progress();
        if !self.shard.is_idle() && self.shard.turn_unless(Some(Duration::ZERO), || false, wakers) {
            // Somebody may have wanted to drive meanwhile.
            self.pass_on();
            wake_quietly(wakers);
        }
    }

    /// Ends the turn of a driver that parks in this shard.
    pub(crate) fn notify(&self) {
        self.shard.notify();
    }

    /// Makes sure that this shard is driven though the one who waits for it is not in `block_on`.
    pub(crate) fn ensure_helper(self: &Arc<Self>) -> io::Result<()> {
        // In one order with the look at who is parked, below: a driver that is parked sees the flag when it leaves, whoever has set it.
        if !self.has_outsiders.load(Ordering::SeqCst) {
            self.has_outsiders.store(true, Ordering::SeqCst);
        }
        self.call_helper()
    }

    /// A thread in `block_on` waits with a waker that is not ours: it may sleep where we cannot see it.
    #[cold]
    pub(crate) fn note_stranger(self: &Arc<Self>) -> io::Result<()> {
        if BLOCKERS.load(Ordering::SeqCst) > 1 {
            return self.ensure_helper();
        }
        self.call_helper()
    }

    fn call_helper(self: &Arc<Self>) -> io::Result<()> {
        if !self.is_ward.load(Ordering::SeqCst) {
            helper::attend(self.clone())?;
            self.is_ward.store(true, Ordering::SeqCst);
        } else if !self.shard.is_parked() {
            // Who is parked there now will see on leaving that there are outsiders.
            helper::rouse();
        }
        Ok(())
    }

    /// Somebody has let go of the poller.
    fn pass_on(&self) {
        if !self.shard.is_parked() {
            RELAY.call_next();
        }
    }
}

/// A turn of a thread in `block_on`.
struct Driving<'d> {
    commons: &'d Arc<Commons>,
    wakers: &'d mut Vec<Waker>,
}

impl Turns for Driving<'_> {
    fn turn(&mut self, is_called: &dyn Fn() -> bool) -> bool {
        let has_driven = self.commons.shard.turn_unless(None, is_called, self.wakers);
        if has_driven {
            self.commons.shard.note_progress();
            if self.commons.has_outsiders.load(Ordering::SeqCst) {
                // We may be kept from coming back.
                helper::rouse();
            }
        }
        has_driven
    }

    fn wake_all(&mut self) {
        wake_quietly(self.wakers);
    }

    fn is_driven(&self) -> bool {
        self.commons.shard.is_parked()
    }

    fn send_away_others(&self) {
        if self.commons.is_helped.load(Ordering::SeqCst) {
            self.commons.shard.notify();
        }
    }
}

impl Ward for Commons {
    fn attendance(&self) -> Attendance {
        if self.shard.is_idle() || self.shard.is_parked() {
            Attendance::Present
        } else if BLOCKERS.load(Ordering::SeqCst) == 0 {
            Attendance::Nobody
        } else {
            Attendance::Away
        }
    }

    fn progress(&self) -> usize {
        self.shard.progress()
    }

    fn shards(&self, shards: &mut Vec<Arc<Shard>>) -> bool {
        shards.push(self.shard.clone());
        true
    }

    fn begin_help(&self) -> bool {
        self.has_outsiders.store(true, Ordering::SeqCst);
        self.is_helped.store(true, Ordering::SeqCst);
        // A thread that began to sleep before it could see the flag is on the list by now.
        RELAY.is_empty()
    }

    fn end_help(&self) {
        self.is_helped.store(false, Ordering::SeqCst);
        RELAY.call_next();
    }
}

/// Wakes all of them. The panic of a foreign waker is nothing that this thread's own future could answer for; the panic
/// hook has reported it.
pub(crate) fn wake_quietly(wakers: &mut Vec<Waker>) {
    if !wakers.is_empty() {
        let woken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| wake_all(wakers)));
        drop(woken);
    }
}
