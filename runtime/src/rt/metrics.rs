//! What a runtime counts.

use std::fmt;

use super::Handle;
use crate::sync::{AtomicU64, Ordering};

/// A counter that one thread writes at a time.
#[derive(Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        // Not a read-modify-write: that would cost more than what is counted. Relaxed, as all counters here: a number that orders nothing.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One worker's counters, on a cache line of their own.
#[derive(Default)]
#[repr(align(64))]
pub(super) struct Counters {
    pub(super) polls: Counter,
    pub(super) parks: Counter,
    pub(super) steals: Counter,
    /// Written by whoever looks, under the lock of `Stalls`.
    pub(super) stalls: Counter,
}

/// What a [`Runtime`](crate::Runtime) has counted since it was started, and what waits in it now.
///
/// Reading costs the workers nothing. The numbers are as of a moment ago: a busy worker publishes its own about once a millisecond.
///
/// # Examples
///
/// ```
/// use smolkit_runtime::Runtime;
///
/// let runtime = Runtime::builder().workers(2).build()?;
/// let metrics = runtime.metrics();
/// assert_eq!(metrics.workers(), 2);
/// println!("{metrics:?}");
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct Metrics(pub(super) Handle);

impl Metrics {
    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.0.workers()
    }

    /// How many times a task has been polled.
    pub fn polls(&self) -> u64 {
        self.sum(|counters| &counters.polls)
    }

    /// How many times a worker has found nothing to do and gone to sleep.
    pub fn parks(&self) -> u64 {
        self.sum(|counters| &counters.parks)
    }

    /// How many times a worker has taken tasks out of another one's queue.
    pub fn steals(&self) -> u64 {
        self.sum(|counters| &counters.steals)
    }

    /// How many times a worker was kept from its poller for some milliseconds (about five), because a task did not return from its poll, or because
    /// the system did not let the worker run. Its tasks, I/O and timers were served by another one meanwhile.
    ///
    /// Stalls are seen by the other workers: a runtime with one worker, or whose workers are all stalled, counts none.
    pub fn stalls(&self) -> u64 {
        self.sum(|counters| &counters.stalls)
    }

    /// How many tasks wait in what all workers share: those from other threads, and what has overflowed a worker's own queue.
    pub fn injector_depth(&self) -> usize {
        self.0.0.shared.state.queued().0
    }

    /// How many tasks wait in the workers' own queues.
    pub fn local_queue_depth(&self) -> usize {
        self.0.0.shared.state.queued().1
    }

    fn sum(&self, counter: impl Fn(&Counters) -> &Counter) -> u64 {
        self.0.0.counters.iter().map(|counters| counter(counters).get()).sum()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("workers", &self.workers())
            .field("polls", &self.polls())
            .field("parks", &self.parks())
            .field("steals", &self.steals())
            .field("stalls", &self.stalls())
            .field("injector_depth", &self.injector_depth())
            .field("local_queue_depth", &self.local_queue_depth())
            .finish()
    }
}
