//! loom models of smolkit-sync's own types.
//!
//! The files below are that crate's own, compiled against loom's locks and atomics: `primitives` here is the twin of its
//! `primitives.rs`. loom then runs each model in every order of steps, within the bound on preemptions that the model names; a wake-up that is lost is a
//! deadlock, which it reports.

#![cfg(test)]
#![allow(dead_code, missing_docs, unreachable_pub)]

mod primitives {
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::future::block_on;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
    pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
    pub(crate) use loom::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().expect("no model panics under a lock")
    }
}

#[path = "../../src/crowd.rs"]
mod crowd;

#[path = "../../src/mpsc/mod.rs"]
mod mpsc;

#[path = "../../src/notify.rs"]
mod notify;

#[path = "../../src/oneshot/mod.rs"]
mod oneshot;

#[path = "../../src/wait_queue.rs"]
mod wait_queue;

#[path = "../../src/waiters.rs"]
mod waiters;

#[path = "../../src/watch.rs"]
mod watch;

mod tests;
