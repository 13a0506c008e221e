//! The relay at the common poller: whoever waits for an event gets it, whoever drives, leaves or is called.
//!
//! Covers `Relay::park` and `call_next` with the `Parker`s of two and three threads, and with a helper that drives in between. Each thread waits for an event
//! of its own; the poller is a loom mutex and condition variable with the runtime's own park word. A poller that nobody drives, while somebody sleeps beside it,
//! is a deadlock.

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use crate::park::ParkState;
use crate::parker::Parker;
use crate::relay::{Relay, Turns};
use crate::{TryLock, explore};

struct Commons {
    relay: Relay,
    park: ParkState,
    driver: TryLock,
    fd: Mutex<Fd>,
    wake: Condvar,
    is_helped: AtomicBool,
    waiters: Mutex<Vec<Option<Arc<Parker>>>>,
    done: Vec<AtomicBool>,
}

#[derive(Default)]
struct Fd {
    is_rung: bool,
    /// The numbers of the threads whose events have come.
    events: Vec<usize>,
}

impl Commons {
    fn new(threads: usize) -> Arc<Commons> {
        Arc::new(Commons {
            relay: Relay::new(),
            park: ParkState::new(),
            driver: TryLock::new(),
            fd: Mutex::new(Fd::default()),
            wake: Condvar::new(),
            is_helped: AtomicBool::new(false),
            waiters: Mutex::new(vec![None; threads]),
            done: (0..threads).map(|_| AtomicBool::new(false)).collect(),
        })
    }

    fn notify(&self) {
        if self.park.notify() {
            self.fd.lock().unwrap().is_rung = true;
            self.wake.notify_one();
        }
    }

    /// As `Shard::turn_unless`. The numbers of those to be woken.
    fn turn(&self, may_wait: bool, is_called: &dyn Fn() -> bool) -> Option<Vec<usize>> {
        let _driver = self.driver.try_lock()?;
        let waits = may_wait && self.park.begin() && !is_called();
        let mut fd = self.fd.lock().unwrap();
        while waits && !fd.is_rung && fd.events.is_empty() {
            fd = self.wake.wait(fd).unwrap();
        }
        fd.is_rung = false;
        let events = std::mem::take(&mut fd.events);
        drop(fd);
        if may_wait {
            self.park.end();
        }
        Some(events)
    }

    fn wake_all(&self, found: Vec<usize>) {
        for number in found {
            self.done[number].store(true, Ordering::SeqCst);
            let parker = self.waiters.lock().unwrap()[number].clone();
            if let Some(parker) = parker {
                parker.unpark(|| self.notify());
            }
        }
    }

    /// A `block_on` that waits for the event of this number.
    fn block_on(&self, number: usize) {
        let parker = Arc::new(Parker::new());
        self.waiters.lock().unwrap()[number] = Some(parker.clone());
        while !self.done[number].load(Ordering::SeqCst) {
            self.relay.park(&parker, &mut Driving { commons: self, found: Vec::new() });
        }
    }

    /// The kernel reports the event of this number.
    fn happen(&self, number: usize) {
        self.fd.lock().unwrap().events.push(number);
        self.wake.notify_one();
    }

    /// One turn of the helper.
    fn help(&self, may_wait: bool) {
        self.is_helped.store(true, Ordering::SeqCst);
        let found = self.turn(may_wait && self.relay.is_empty(), &|| false);
        self.is_helped.store(false, Ordering::SeqCst);
        self.relay.call_next();
        self.wake_all(found.unwrap_or_default());
    }
}

struct Driving<'c> {
    commons: &'c Commons,
    found: Vec<usize>,
}

impl Turns for Driving<'_> {
    fn turn(&mut self, is_called: &dyn Fn() -> bool) -> bool {
        match self.commons.turn(true, is_called) {
            Some(found) => {
                self.found = found;
                true
            }
            None => false,
        }
    }

    fn wake_all(&mut self) {
        self.commons.wake_all(std::mem::take(&mut self.found));
    }

    fn is_driven(&self) -> bool {
        self.commons.park.is_parked()
    }

    fn send_away_others(&self) {
        if self.commons.is_helped.load(Ordering::SeqCst) {
            self.commons.notify();
        }
    }
}

#[test]
fn two_threads_take_turns() {
    explore(3, || {
        let commons = Commons::new(2);
        let other = {
            let commons = commons.clone();
            thread::spawn(move || commons.block_on(1))
        };
        let kernel = {
            let commons = commons.clone();
            thread::spawn(move || {
                commons.happen(0);
                commons.happen(1);
            })
        };
        commons.block_on(0);
        other.join().unwrap();
        kernel.join().unwrap();
    });
}

/// The third one's event comes last: when both others have left, it has to be driving.
#[test]
fn two_leave_and_the_third_takes_over() {
    explore(2, || {
        let commons = Commons::new(3);
        let others: Vec<_> = (1..3)
            .map(|number| {
                let commons = commons.clone();
                thread::spawn(move || commons.block_on(number))
            })
            .collect();
        commons.happen(0);
        commons.happen(1);
        commons.block_on(0);
        commons.happen(2);
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}

/// A notification from elsewhere, not through the poller.
#[test]
fn one_is_notified_while_the_other_drives() {
    explore(2, || {
        let commons = Commons::new(2);
        let other = {
            let commons = commons.clone();
            thread::spawn(move || commons.block_on(1))
        };
        let notifier = {
            let commons = commons.clone();
            thread::spawn(move || {
                commons.wake_all(vec![0]);
                commons.happen(1);
            })
        };
        commons.block_on(0);
        other.join().unwrap();
        notifier.join().unwrap();
    });
}

#[test]
fn the_helper_is_sent_away() {
    explore(2, || {
        let commons = Commons::new(2);
        let helper = {
            let commons = commons.clone();
            thread::spawn(move || {
                commons.help(true);
                commons.help(false);
            })
        };
        let other = {
            let commons = commons.clone();
            thread::spawn(move || commons.block_on(1))
        };
        commons.happen(0);
        commons.happen(1);
        commons.block_on(0);
        other.join().unwrap();
        // It may still wait: as it would for the next event.
        commons.notify();
        helper.join().unwrap();
    });
}
