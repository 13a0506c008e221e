//! loom models of the runtime's lock-free protocols.
//!
//! The files below are the runtime's own, compiled against loom's atomics and locks in place of the standard library's: `sync` here is
//! the twin of the runtime's `sync.rs`. loom then runs each model in every order of steps that the memory model allows, within
//! the bound on preemptions that the model names.

#![cfg(test)]
#![allow(dead_code)]

mod sync {
    pub(crate) use loom::sync::atomic::AtomicPtr as StaticPtr;
    pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};
    pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
    pub(crate) use loom::thread;

    /// Small enough that models overflow it and wrap around.
    pub(crate) const QUEUE_CAPACITY: usize = 4;

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().expect("no model panics under a lock")
    }
}

#[path = "../../src/executor/primary.rs"]
mod primary;

#[path = "../../src/executor/queue.rs"]
mod queue;

#[path = "../../src/executor/roll.rs"]
mod roll;

#[path = "../../src/executor/sleepers.rs"]
mod sleepers;

#[path = "../../src/executor/tally.rs"]
mod tally;

#[path = "../../src/blocking/crew.rs"]
mod crew;

#[path = "../../src/reactor/alarm.rs"]
mod alarm;

#[path = "../../src/reactor/park.rs"]
mod park;

#[path = "../../src/reactor/parker.rs"]
mod parker;

#[path = "../../src/reactor/relay.rs"]
mod relay;

#[path = "../../src/rt/warden.rs"]
mod warden;

#[path = "../../src/reactor/readiness.rs"]
mod readiness;

#[path = "../../src/executor/waiting.rs"]
mod waiting;

#[path = "../../src/executor/wakers.rs"]
mod wakers;

mod context;
mod reactor;
mod sys;

mod tests;

/// Explores a model with at most `preemptions` involuntary switches between threads.
fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    let model = std::sync::Arc::new(model);
    builder.check(move || {
        // In a thread of its own: loom explores fewer orders of the first one.
        let model = model.clone();
        loom::thread::spawn(move || model()).join().unwrap();
    });
}

/// A lock that may be tried, as the standard library's: loom's own keeps a thread that tries it blocked for as long as another one holds it.
struct TryLock(sync::AtomicUsize);

struct TryLockGuard<'l>(&'l TryLock);

impl TryLock {
    fn new() -> TryLock {
        TryLock(sync::AtomicUsize::new(0))
    }

    fn try_lock(&self) -> Option<TryLockGuard<'_>> {
        use sync::Ordering::{Acquire, Relaxed};
        self.0.compare_exchange(0, 1, Acquire, Relaxed).ok().map(|_| TryLockGuard(self))
    }

    fn lock(&self) -> TryLockGuard<'_> {
        loop {
            match self.try_lock() {
                Some(guard) => return guard,
                None => loom::thread::yield_now(),
            }
        }
    }
}

impl Drop for TryLockGuard<'_> {
    fn drop(&mut self) {
        self.0.0.store(0, sync::Ordering::Release);
    }
}
