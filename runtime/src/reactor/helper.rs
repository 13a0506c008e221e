//! The thread that stands in where nobody drives: one in a process, started when it is first needed.
//!
//! It looks after *wards*: shards whose drivers may be kept from coming back, because a waker that is not ours waits for something in
//! them (a foreign `block_on` on a driver's own stack, say). A ward that nobody has attended to between two looks is abandoned; the helper then
//! sleeps in its poller, until the driver is back. With several abandoned shards it goes round. When all are attended to,
//! it sleeps until it is roused, and uses no CPU.

use std::io;
use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::Shard;
use super::commons::wake_quietly;
use crate::context;
use crate::sync::{AtomicUsize, Condvar, Mutex, Ordering, fence, lock};
use crate::threads;

/// A driver that does not come back for so long is stood in for.
const PATIENCE: Duration = Duration::from_millis(5);
/// With several abandoned shards, the helper looks into each of them this often.
const ROUND: Duration = Duration::from_millis(1);

/// Who attends to a ward.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Attendance {
    /// Somebody does, or there is nothing to attend to. Whoever changes that rouses the helper.
    Present,
    /// Those whose task it is are up, and may come back or not.
    Away,
    /// There is nobody whose task it is.
    Nobody,
    /// It is no ward any more.
    Over,
}

/// One or more shards that may be abandoned.
pub(crate) trait Ward: Send + Sync {
    fn attendance(&self) -> Attendance;

    /// Changes whenever one whose task it is to drive has come by.
    fn progress(&self) -> usize;

    /// The shards in which something is to be waited for. False if others may join them unannounced.
    fn shards(&self, shards: &mut Vec<Arc<Shard>>) -> bool;

    /// The helper is about to drive one of the shards. False: without waiting.
    fn begin_help(&self) -> bool {
        true
    }

    /// It no longer does.
    fn end_help(&self) {}
}

static HELPER: Helper = Helper {
    mode: AtomicUsize::new(UP),
    state: Mutex::new(State {
        is_started: false,
        wards: Vec::new(),
        is_roused: false,
        driven: None,
    }),
    wake: Condvar::new(),
};

struct Helper {
    mode: AtomicUsize,
    state: Mutex<State>,
    wake: Condvar,
}

/// It looks again soon, of its own accord.
const UP: usize = 0;
/// It sleeps until roused, or drives a shard.
const AWAY: usize = 1;

struct State {
    is_started: bool,
    /// Those that it has not seen yet.
    wards: Vec<Arc<dyn Ward>>,
    is_roused: bool,
    driven: Option<Arc<Shard>>,
}

/// Has the helper look after a ward: soon, and until it says that it is one no more.
///
/// # Errors
///
/// When the thread has to be started, and may not or cannot be.
pub(crate) fn attend(ward: Arc<dyn Ward>) -> io::Result<()> {
    let mut state = lock(&HELPER.state);
    if !state.is_started {
        let what = "the thread that waits for I/O outside of block_on";
        context::may_start_thread(what)?;
        let started = threads::start("smolkit-io".into(), None, Box::new(|| HELPER.run()));
        started.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot start {what}: {error}"))
        })?;
        state.is_started = true;
    }
    state.wards.push(ward);
    HELPER.rouse(&mut state);
    Ok(())
}

/// Has the helper look soon, if it is there.
pub(crate) fn rouse() {
    // Orders what has changed before the look at the mode; pairs with the fence in `sleep`.
    fence(Ordering::SeqCst);
    if HELPER.mode.load(Ordering::SeqCst) == AWAY {
        HELPER.rouse(&mut lock(&HELPER.state));
    }
}

/// A ward, and what it looked like when its drivers were seen to be away.
struct Look {
    ward: Arc<dyn Ward>,
    seen: Option<(usize, Instant)>,
}

impl Helper {
    fn rouse(&self, state: &mut State) {
        state.is_roused = true;
        if let Some(shard) = &state.driven {
            shard.notify();
        }
        self.wake.notify_all();
    }

    /// The thread. It lives as long as the process.
    fn run(&self) {
        let (mut looks, mut wakers): (Vec<Look>, Vec<Waker>) = (Vec::new(), Vec::new());
        loop {
            self.take_wards(&mut looks);
            let (mut abandoned, mut shards) = (Vec::new(), Vec::new());
            let mut is_sure = true;
            looks.retain_mut(|look| {
                match look.verdict() {
                    Verdict::Fine => {}
                    Verdict::Unsure => is_sure = false,
                    Verdict::Abandoned => {
                        is_sure &= look.ward.shards(&mut shards);
                        abandoned.extend(shards.drain(..).map(|shard| (look.ward.clone(), shard)));
                    }
                    Verdict::Over => return false,
                }
                true
            });
            match &abandoned[..] {
                [] if is_sure => self.sleep(&looks),
                [] => self.doze(PATIENCE),
                [(ward, shard)] => {
                    let limit = if is_sure { None } else { Some(PATIENCE) };
                    if !self.drive(&**ward, shard, limit, &mut wakers) {
                        self.doze(ROUND);
                    }
                }
                several => {
                    for (ward, shard) in several {
                        self.drive(&**ward, shard, Some(Duration::ZERO), &mut wakers);
                    }
                    self.doze(ROUND);
                }
            }
        }
    }

    fn take_wards(&self, looks: &mut Vec<Look>) {
        let mut state = lock(&self.state);
        state.is_roused = false;
        for ward in state.wards.drain(..) {
            if !looks.iter().any(|look| Arc::ptr_eq(&look.ward, &ward)) {
                looks.push(Look { ward, seen: None });
            }
        }
    }

    #[inline(never)]
    fn doze(&self, time: Duration) {
        let state = lock(&self.state);
        if !state.is_roused {
            drop(self.wake.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Sleeps until roused.
    fn sleep(&self, looks: &[Look]) {
        self.mode.store(AWAY, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        // The last look, now that everybody can see that we sleep.
        if looks.iter().all(|look| look.ward.attendance() == Attendance::Present) {
            let mut state = lock(&self.state);
            while !state.is_roused {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        self.mode.store(UP, Ordering::SeqCst);
    }

    /// False if somebody else drives this shard.
    fn drive(
        &self,
        ward: &dyn Ward,
        shard: &Arc<Shard>,
        limit: Option<Duration>,
        wakers: &mut Vec<Waker>,
    ) -> bool {
        self.mode.store(AWAY, Ordering::SeqCst);
        let may_wait = ward.begin_help();
        let mut state = lock(&self.state);
        let may_wait = may_wait && !state.is_roused;
        state.driven = Some(shard.clone());
        drop(state);
        let limit = if may_wait { limit } else { Some(Duration::ZERO) };
        let has_driven = shard.turn(limit, wakers);
        lock(&self.state).driven = None;
        self.mode.store(UP, Ordering::SeqCst);
        ward.end_help();
        wake_quietly(wakers);
        has_driven
    }
}

enum Verdict {
    Fine,
    Unsure,
    Abandoned,
    Over,
}

impl Look {
    #[inline(never)]
    fn verdict(&mut self) -> Verdict {
        match self.ward.attendance() {
            Attendance::Over => Verdict::Over,
            Attendance::Nobody => Verdict::Abandoned,
            Attendance::Present => {
                self.seen = None;
                Verdict::Fine
            }
            Attendance::Away => {
                let progress = self.ward.progress();
                match self.seen {
                    Some((seen, at)) if seen == progress => {
                        let is_long = at.elapsed() >= PATIENCE;
                        if is_long { Verdict::Abandoned } else { Verdict::Unsure }
                    }
                    _ => {
                        self.seen = Some((progress, Instant::now()));
                        Verdict::Unsure
                    }
                }
            }
        }
    }
}
