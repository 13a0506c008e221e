//! What the connections of a server share: how many there are, and whether it is time to go.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use slab::Slab;

use super::activity::Activity;
use super::limits::Limits;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Serving,
    /// Requests in flight are finished, nothing new is begun.
    Draining,
    /// Connections end, whatever they are doing.
    Aborting,
}

#[derive(Debug)]
pub(super) struct Hub {
    limits: Limits,
    stage: AtomicU8,
    panics: AtomicU64,
    registry: Mutex<Registry>,
}

#[derive(Debug, Default)]
struct Registry {
    connections: Slab<Arc<Activity>>,
    /// Connections that have ended since the server began.
    ended: u64,
    /// Whoever waits for a connection to end: the accept loop, later the drain.
    observer: Option<Waker>,
}

impl Hub {
    pub(super) fn new(limits: Limits) -> Hub {
        let stage = AtomicU8::new(Stage::Serving as u8);
        Hub { limits, stage, panics: AtomicU64::new(0), registry: Mutex::default() }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Serving,
            1 => Stage::Draining,
            _ => Stage::Aborting,
        }
    }

    /// Tells all connections. Those that enter later see it at their first look.
    pub(super) fn advance(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::AcqRel);
        let connections: Vec<_> =
            self.registry().connections.iter().map(|(_, activity)| activity.clone()).collect();
        for activity in connections {
            activity.sound();
        }
    }

    pub(super) fn note_panic(&self, what: &str) {
        self.panics.fetch_add(1, Ordering::Relaxed);
        tracing::error!("{what} has panicked; the server goes on");
    }

    pub(super) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    pub(super) fn enter(self: &Arc<Self>, activity: Arc<Activity>) -> Ticket {
        let key = self.registry().connections.insert(activity);
        Ticket { hub: self.clone(), key }
    }

    pub(super) fn count(&self) -> usize {
        self.registry().connections.len()
    }

    pub(super) fn ended(&self) -> u64 {
        self.registry().ended
    }

    /// Ready when there are fewer than `limit` connections.
    pub(super) fn poll_fewer(&self, limit: usize, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_until(cx, |registry| registry.connections.len() < limit)
    }

    /// Ready when more than `ended` connections have ended.
    pub(super) fn poll_ended(&self, ended: u64, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_until(cx, |registry| registry.ended > ended)
    }

    fn poll_until(&self, cx: &mut Context<'_>, is_so: impl Fn(&Registry) -> bool) -> Poll<()> {
        let waker = {
            let registry = self.registry();
            if is_so(&registry) {
                return Poll::Ready(());
            }
            drop(registry);
            cx.waker().clone()
        };
        let mut registry = self.registry();
        if is_so(&registry) {
            return Poll::Ready(());
        }
        // The old waker is dropped after the lock.
        let old = registry.observer.replace(waker);
        drop(registry);
        drop(old);
        Poll::Pending
    }

    fn leave(&self, key: usize) {
        let mut registry = self.registry();
        let activity = registry.connections.remove(key);
        registry.ended += 1;
        let observer = registry.observer.take();
        drop(registry);
        drop(activity);
        if let Some(observer) = observer {
            observer.wake();
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    hub: Arc<Hub>,
    key: usize,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.hub.leave(self.key);
    }
}
