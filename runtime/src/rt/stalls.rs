//! Which workers are kept from their pollers, and who stands in for them.
//!
//! Every couple of milliseconds one worker looks at all others: the warden, or a busy one that comes by. Whose shard has made no
//! progress since the last look, and is not parked in, is stuck in a poll: the one who looks takes the events and timers out of
//! that shard, as long as its worker does not come back.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use super::metrics::Counters;
use super::warden::PERIOD;
use crate::reactor::Shard;
use crate::sync::{Instant, Mutex};

/// A worker that has not come by for so many looks counts as stalled.
const LOOKS_MAX: u32 = 2;

pub(super) struct Stalls {
    state: Mutex<State>,
}

struct State {
    looked_at: Instant,
    seen: Box<[Seen]>,
}

#[derive(Clone, Default)]
struct Seen {
    progress: usize,
    /// Looks since then that have found the worker away.
    looks: u32,
}

impl Stalls {
    pub(super) fn new(workers: usize) -> Stalls {
        let seen = vec![Seen::default(); workers].into();
        Stalls { state: Mutex::new(State { looked_at: Instant::now(), seen }) }
    }

    /// A look of worker `index`, if one is due. Returns when a timer of an abandoned shard is due, if there is one.
    pub(super) fn look(
        &self,
        index: usize,
        shards: &[Arc<Shard>],
        counters: &[Counters],
        wakers: &mut Vec<Waker>,
    ) -> Option<Instant> {
        // Whoever holds it looks just now.
        let mut state = self.state.try_lock().ok()?;
        let now = Instant::now();
        if now.duration_since(state.looked_at) < PERIOD {
            return None;
        }
        state.looked_at = now;
        let mut deadline = None;
        for (other, shard) in shards.iter().enumerate().filter(|(other, _)| *other != index) {
            let seen = &mut state.seen[other];
            let progress = shard.progress();
            // Zero: its thread has not begun to run yet.
            if shard.is_parked() || progress != seen.progress || progress == 0 {
                *seen = Seen { progress, looks: 0 };
                continue;
            }
            seen.looks = seen.looks.saturating_add(1);
            if seen.looks == LOOKS_MAX {
                counters[other].stalls.add(1);
            }
            if !shard.is_idle() {
                shard.turn(Some(Duration::ZERO), wakers);
                deadline = deadline.into_iter().chain(shard.next_deadline()).min();
            }
        }
        deadline
    }
}
