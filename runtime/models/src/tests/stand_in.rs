//! A deputy in a worker's poller: what is meant for the worker reaches it, though the deputy drives and takes note of notifications.
//!
//! Covers `call`, `is_called`, `take_call`, `begin`, `end` and `notify` in the order of `Shard::turn_at_home` and `turn`, with an owner that comes back, a deputy
//! that waits in the poller, and one who calls the owner. A lost call is a deadlock.

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use crate::park::ParkState;
use crate::{TryLock, explore};

struct Shard {
    park: ParkState,
    driver: TryLock,
    eventfd: Mutex<bool>,
    wake: Condvar,
    progress: AtomicUsize,
    /// What the owner is called for.
    work: AtomicUsize,
}

impl Shard {
    fn new() -> Arc<Shard> {
        Arc::new(Shard {
            park: ParkState::new(),
            driver: TryLock::new(),
            eventfd: Mutex::new(false),
            wake: Condvar::new(),
            progress: AtomicUsize::new(0),
            work: AtomicUsize::new(0),
        })
    }

    fn ring(&self) {
        *self.eventfd.lock().unwrap() = true;
        self.wake.notify_one();
    }

    fn notify(&self) {
        if self.park.notify() {
            self.ring();
        }
    }

    fn call_with_work(&self) {
        self.work.fetch_add(1, Ordering::Relaxed);
        if self.park.call() {
            self.ring();
        }
    }

    fn drive(&self, is_called: impl Fn() -> bool) {
        if self.park.begin() && !is_called() {
            let mut rung = self.eventfd.lock().unwrap();
            while !*rung {
                rung = self.wake.wait(rung).unwrap();
            }
            *rung = false;
        }
        self.park.end();
    }

    fn turn_at_home(&self) {
        let driver = match self.driver.try_lock() {
            Some(driver) => driver,
            None => {
                self.progress.fetch_add(1, Ordering::Relaxed);
                self.notify();
                self.driver.lock()
            }
        };
        self.drive(|| self.park.is_called());
        drop(driver);
        self.park.take_call();
    }

    /// As the helper: it waits in the poller until it is sent away.
    fn stand_in(&self) {
        if let Some(_driver) = self.driver.try_lock() {
            self.drive(|| false);
        }
    }
}

#[test]
fn a_call_is_not_taken_by_the_deputy() {
    explore(3, || {
        let shard = Shard::new();
        let deputy = {
            let shard = shard.clone();
            thread::spawn(move || shard.stand_in())
        };
        let caller = {
            let shard = shard.clone();
            thread::spawn(move || shard.call_with_work())
        };
        while shard.work.load(Ordering::Relaxed) == 0 {
            shard.turn_at_home();
        }
        caller.join().unwrap();
        // The deputy may have come when the owner was gone.
        shard.notify();
        deputy.join().unwrap();
    });
}

#[test]
fn two_calls() {
    explore(2, || {
        let shard = Shard::new();
        let deputy = {
            let shard = shard.clone();
            thread::spawn(move || shard.stand_in())
        };
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let shard = shard.clone();
                thread::spawn(move || shard.call_with_work())
            })
            .collect();
        while shard.work.load(Ordering::Relaxed) < 2 {
            shard.turn_at_home();
        }
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        shard.notify();
        deputy.join().unwrap();
    });
}
