//! How threads take turns at one poller: one drives, the others sleep beside it.
//!
//! A driver drives on for as long as its turns bring nothing for itself. When it leaves, it takes the next one off the list and
//! calls it. Whoever is taken off the list holds the *baton*: it drives, or takes the next one off.
//!
//! *Leave*: let go of the poller, fence, look at the list. *Sleep*: get on the list, fence, try to drive once more. Of a
//! driver that leaves and a thread that falls asleep, one sees the other.

use super::parker::Parker;
use crate::sync::{Arc, AtomicUsize, Mutex, Ordering, fence, lock};

/// The poller, as those who take turns at it see it.
pub(crate) trait Turns {
    /// Waits for events, unless `is_called` holds once everybody can see that this thread is about to wait. False if somebody
    /// else drives; then nothing was done.
    fn turn(&mut self, is_called: &dyn Fn() -> bool) -> bool;

    /// Wakes all whom the last turn has found. No lock is held.
    fn wake_all(&mut self);

    /// Whether a driver waits in the poller just now, who will look at the list when it leaves.
    fn is_driven(&self) -> bool;

    /// Asks a driver that is none of us to leave.
    fn send_away_others(&self);
}

/// What has come of an attempt to drive.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Drive {
    /// Notified, having driven: the next one has been called.
    Driven,
    /// Notified before it came to that.
    Notified,
    /// Another thread drives.
    Refused,
}

pub(crate) struct Relay {
    /// The length of the list, for those who only want to look.
    waiting: AtomicUsize,
    list: Mutex<Vec<Arc<Parker>>>,
}

impl Relay {
    pub(crate) fn new() -> Relay {
        Relay { waiting: AtomicUsize::new(0), list: Mutex::new(Vec::new()) }
    }

    /// Drives or sleeps until `parker` is notified.
    pub(crate) fn park(&self, parker: &Arc<Parker>, turns: &mut impl Turns) {
        if self.drive(parker, turns) != Drive::Refused {
            return;
        }
        let mut has_baton = false;
        loop {
            // On the list first, then a second try.
            self.enlist(parker);
            match self.drive(parker, turns) {
                Drive::Refused => turns.send_away_others(),
                outcome => {
                    has_baton &= outcome == Drive::Notified;
                    break;
                }
            }
            if self.begin_sleep(parker).is_some_and(|begun| !begun || parker.sleep()) {
                break;
            }
            // Taken off the list, and called to drive.
            has_baton = true;
        }
        has_baton |= !self.delist(parker);
        if has_baton && !turns.is_driven() {
            self.call_next();
        }
    }

    /// Sleeps until `parker` is notified or called: where there is no poller yet. `may_sleep` is asked on the list.
    pub(crate) fn sleep(&self, parker: &Arc<Parker>, may_sleep: impl Fn() -> bool) {
        self.enlist(parker);
        if may_sleep() && self.begin_sleep(parker) == Some(true) {
            parker.sleep();
        }
        if !self.delist(parker) {
            self.call_next();
        }
    }

    /// Calls one of the sleepers to drive, if there is one. For whoever has let go of the poller.
    pub(crate) fn call_next(&self) {
        // Orders letting go of the poller before the look; pairs with the fence in `enlist`.
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut list = lock(&self.list);
        let Some(next) = list.pop() else { return };
        self.waiting.store(list.len(), Ordering::SeqCst);
        drop(list);
        next.call();
    }

    /// Whether nobody sleeps.
    pub(crate) fn is_empty(&self) -> bool {
        fence(Ordering::SeqCst);
        self.waiting.load(Ordering::SeqCst) == 0
    }

    fn drive(&self, parker: &Parker, turns: &mut impl Turns) -> Drive {
        let mut outcome = Drive::Notified;
        while parker.begin_driving() {
            let has_driven = turns.turn(&|| parker.is_notified());
            let mut is_notified = parker.end_driving();
            if has_driven {
                outcome = Drive::Driven;
                turns.wake_all();
                is_notified |= parker.take_notification();
            }
            if is_notified {
                break;
            }
            if !has_driven {
                return Drive::Refused;
            }
        }
        if outcome == Drive::Driven {
            self.call_next();
        }
        outcome
    }

    fn enlist(&self, parker: &Arc<Parker>) {
        let mut list = lock(&self.list);
        list.push(parker.clone());
        self.waiting.store(list.len(), Ordering::SeqCst);
        drop(list);
        // Orders the entry before the second try to drive.
        fence(Ordering::SeqCst);
    }

    /// False if another thread has taken it off the list before.
    fn delist(&self, parker: &Arc<Parker>) -> bool {
        let mut list = lock(&self.list);
        let position = list.iter().position(|other| Arc::ptr_eq(other, parker));
        if let Some(position) = position {
            list.swap_remove(position);
            self.waiting.store(list.len(), Ordering::SeqCst);
        }
        position.is_some()
    }

    /// `None`: no longer on the list. `Some(false)`: notified.
    ///
    /// Under the lock, so that whoever takes us off the list finds us asleep, or we find that we are off it.
    fn begin_sleep(&self, parker: &Arc<Parker>) -> Option<bool> {
        let list = lock(&self.list);
        let is_listed = list.iter().any(|other| Arc::ptr_eq(other, parker));
        is_listed.then(|| parker.begin_sleep())
    }
}
