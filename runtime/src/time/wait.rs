//! A place in the timer queue of a shard, for whoever waits for a deadline.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use crate::context;
use crate::reactor::timers::TimerKey;
use crate::reactor::{Shard, TimerState};
use crate::sync::thread;

/// Waits for one deadline at a time. A deadline of `None` never comes.
#[derive(Debug, Default)]
pub(crate) struct Wait {
    /// From the first poll that has to wait until the deadline has come.
    entry: Option<Entry>,
    /// It would have ended, but the task had done enough in that turn.
    is_put_off: bool,
}

struct Entry {
    shard: Arc<Shard>,
    key: TimerKey,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}

impl Wait {
    /// Whether `deadline` has come; if not, `cx` is woken when it has.
    pub(crate) fn poll(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_fired(cx.waker()) {
            return Poll::Ready(());
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.cancel();
            return Poll::Ready(());
        }
        self.stay(deadline, cx.waker());
        Poll::Pending
    }

    /// The same for those who may wait for one deadline after the other, all of which have come already: every now and then they wait for the task's
    /// next turn.
    ///
    /// Nobody is put off twice, or who has waited anyway: whatever else the task does may leave no budget in any of its turns.
    pub(crate) fn poll_in_turn(
        &mut self,
        deadline: Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let has_waited = self.has_begun() | std::mem::take(&mut self.is_put_off);
        ready!(self.poll(deadline, cx));
        if has_waited || context::spend_budget(1).is_some() {
            return Poll::Ready(());
        }
        self.is_put_off = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// [`poll`](Wait::poll) without a look at the clock, where that can be spared: whoever is polled often and for other reasons learns of the deadline
    /// when the shard's driver does.
    pub(crate) fn poll_lazily(
        &mut self,
        deadline: Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if self.has_fired(cx.waker()) {
            return Poll::Ready(());
        }
        if self.entry.is_none() {
            return self.poll(deadline, cx);
        }
        self.stay(deadline, cx.waker());
        Poll::Pending
    }

    /// Begins to wait for a deadline that is known to be ahead.
    pub(crate) fn begin(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) {
        self.stay(deadline, cx.waker());
    }

    /// Whether somebody has begun to wait, and the deadline has not come.
    pub(crate) fn has_begun(&self) -> bool {
        self.entry.is_some()
    }

    /// Waits for another deadline. Whoever waits already is woken at the new one, without another poll.
    pub(crate) fn reset(&mut self, deadline: Option<Instant>) {
        let Some(entry) = &mut self.entry else { return };
        match entry.shard.reset_timer(entry.key, deadline) {
            Some(key) => entry.key = key,
            // The waker has been called, or is about to be: the poll that follows begins anew.
            None => self.entry = None,
        }
        if deadline.is_some() && !self.is_driven() {
            if let Some(waker) = self.leave() {
                waker.wake();
            }
        }
    }

    /// Waits no longer.
    #[inline]
    pub(crate) fn cancel(&mut self) {
        if self.entry.is_some() {
            self.cancel_entry();
        }
    }

    /// Not inlined where nothing waits most of the time.
    #[inline(never)]
    fn cancel_entry(&mut self) {
        drop(self.leave());
    }

    fn has_fired(&mut self, waker: &Waker) -> bool {
        let Some(entry) = &self.entry else { return false };
        let state = entry.shard.poll_timer(entry.key, waker);
        if state != TimerState::Waiting {
            self.entry = None;
        }
        state == TimerState::Fired
    }

    fn stay(&mut self, deadline: Option<Instant>, waker: &Waker) {
        context::expect_wake(waker);
        if self.entry.is_none() {
            self.enter(deadline, waker.clone());
        }
        if deadline.is_some() && !self.is_driven() {
            // No descriptor or no thread is to be had: the task looks again and again until there is one, or the time has come.
            self.cancel();
            thread::yield_now();
            waker.wake_by_ref();
        }
    }

    fn enter(&mut self, deadline: Option<Instant>, mut waker: Waker) {
        // A worker's shard may be closed while we enter; then the next one is that of all threads, which never is.
        while let Ok(shard) = context::shard() {
            match shard.insert_timer(deadline, waker) {
                Ok(key) => {
                    self.entry = Some(Entry { shard, key });
                    return;
                }
                Err(refused) => waker = refused,
            }
        }
    }

    /// Whether somebody will wake us.
    fn is_driven(&self) -> bool {
        let Some(entry) = &self.entry else { return false };
        !entry.shard.is_common() || context::ensure_driven().is_ok()
    }

    fn leave(&mut self) -> Option<Waker> {
        let entry = self.entry.take()?;
        entry.shard.remove_timer(entry.key)
    }
}

impl Drop for Wait {
    #[inline]
    fn drop(&mut self) {
        self.cancel();
    }
}
