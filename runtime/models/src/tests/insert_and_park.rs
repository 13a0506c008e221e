//! A driver never sleeps past a timer: neither past one that is inserted while it is about to park, nor past the first of several.
//!
//! Covers `insert`, `arm`, `disarm` and the count of the alarm together with the park word, in the order in which `Shard` calls them, with one and two threads that
//! insert, into a queue that is empty, or has a later timer, or an earlier one. Time stands still: a driver that sleeps until a deadline
//! which is not the earliest one sleeps for ever, which loom reports as a deadlock.

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use crate::alarm::{Alarm, Deadlines};
use crate::explore;
use crate::park::ParkState;

impl Deadlines for Vec<u64> {
    fn count(&self) -> usize {
        self.len()
    }

    fn next_deadline(&mut self) -> Option<u64> {
        self.iter().min().copied()
    }
}

/// Sleeping until here is sleeping no longer than one has to.
const NOW: u64 = 10;
const LATER: u64 = 1_000;

struct Shard {
    park: ParkState,
    timers: Alarm<Vec<u64>>,
    /// How often the eventfd was written since the last sleep.
    eventfd: Mutex<usize>,
    wake: Condvar,
    notifications: AtomicUsize,
}

impl Shard {
    fn new(deadlines: &[u64]) -> Arc<Shard> {
        let timers = Alarm::new(Vec::new());
        for &deadline in deadlines {
            timers.insert(deadline, |queue| queue.push(deadline));
        }
        Arc::new(Shard {
            park: ParkState::new(),
            timers,
            eventfd: Mutex::new(0),
            wake: Condvar::new(),
            notifications: AtomicUsize::new(0),
        })
    }

    fn insert(&self, deadline: u64) {
        let ((), must_notify) = self.timers.insert(deadline, |queue| queue.push(deadline));
        if must_notify {
            self.notifications.fetch_add(1, Ordering::Relaxed);
            if self.park.notify() {
                *self.eventfd.lock().unwrap() += 1;
                self.wake.notify_one();
            }
        }
    }

    /// Takes out what is due, and gives how many those were.
    fn turn(&self) -> usize {
        if self.park.begin() {
            if self.timers.arm().is_none_or(|deadline| deadline > NOW) {
                let mut written = self.eventfd.lock().unwrap();
                while *written == 0 {
                    written = self.wake.wait(written).unwrap();
                }
                *written = 0;
            }
            self.timers.disarm();
        }
        self.park.end();
        if self.timers.count() == 0 {
            return 0;
        }
        self.timers.update(|queue| {
            let before = queue.len();
            queue.retain(|&deadline| deadline > NOW);
            before - queue.len()
        })
    }

    fn drive_until_fired(&self, mut count: usize) {
        while count > 0 {
            count -= self.turn();
        }
    }
}

/// Threads that insert one timer each, against a driver that has to fire all of them.
fn explore_inserts(preemptions: usize, threads: usize, present: &'static [u64]) {
    explore(preemptions, move || {
        let shard = Shard::new(present);
        let inserters: Vec<_> = (0..threads)
            .map(|_| {
                let shard = shard.clone();
                thread::spawn(move || shard.insert(NOW))
            })
            .collect();
        shard.drive_until_fired(threads + present.iter().filter(|&&at| at <= NOW).count());
        inserters.into_iter().for_each(|inserter| inserter.join().unwrap());
    });
}

#[test]
fn the_first_timer() {
    explore_inserts(3, 1, &[]);
}

#[test]
fn an_earlier_timer() {
    explore_inserts(3, 1, &[LATER]);
}

#[test]
fn two_at_once() {
    explore_inserts(2, 2, &[]);
    explore_inserts(2, 2, &[LATER]);
}

#[test]
fn the_last_timer_goes_while_another_comes() {
    // One who cancels leaves the count alone; who wants to know looks, and corrects it.
    for looks in [false, true] {
        explore(3, move || {
            let shard = Shard::new(&[LATER]);
            let other = {
                let shard = shard.clone();
                thread::spawn(move || {
                    shard.timers.lock().clear();
                    assert!(!looks || shard.timers.is_empty());
                    shard.insert(NOW);
                })
            };
            shard.drive_until_fired(1);
            other.join().unwrap();
        });
    }
}

#[test]
fn the_count_is_corrected_while_another_comes() {
    explore(2, || {
        let shard = Shard::new(&[LATER]);
        shard.timers.lock().clear();
        let threads = [true, false].map(|inserts| {
            let shard = shard.clone();
            thread::spawn(move || {
                if inserts {
                    shard.insert(NOW);
                } else {
                    shard.timers.is_empty();
                }
            })
        });
        shard.drive_until_fired(1);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_later_timer_wakes_nobody() {
    explore(3, || {
        let shard = Shard::new(&[NOW]);
        let inserter = {
            let shard = shard.clone();
            thread::spawn(move || shard.insert(LATER))
        };
        shard.drive_until_fired(1);
        inserter.join().unwrap();
        assert_eq!(shard.notifications.load(Ordering::Relaxed), 0);
    });
}
