//! The warden's office: while a worker is stuck in a task, another one that parks does not sleep without a limit.
//!
//! Covers `watch`, `lay_down` and `is_absent` together with `Sleepers`, in the order of `Worker::park` and `call_warden`: two workers, one of which is woken
//! by an event of its own and gets stuck in a task that only the other one's look can end.

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use crate::explore;
use crate::sleepers::Sleepers;
use crate::warden::Warden;

const WORKERS: usize = 2;

struct Bell {
    is_rung: bool,
    /// So many periods pass: each ends one sleep that has a limit.
    periods: usize,
}

struct Runtime {
    warden: Warden,
    sleepers: Sleepers<usize>,
    bells: Vec<(Mutex<Bell>, Condvar)>,
    /// A task waits behind one that does not end.
    has_task: AtomicBool,
    is_taken: Mutex<bool>,
    taken: Condvar,
}

impl Runtime {
    fn ring(&self, worker: usize) {
        self.bells[worker].0.lock().unwrap().is_rung = true;
        self.bells[worker].1.notify_one();
    }

    /// One sleep of a worker.
    fn park(&self, worker: usize) {
        self.sleepers.fall_asleep(worker, worker, false);
        self.sleepers.recheck();
        let others_busy = || self.sleepers.asleep() < WORKERS;
        let limit = self.warden.watch(worker, || true, others_busy);
        let mut bell = self.bells[worker].0.lock().unwrap();
        while !bell.is_rung && (limit.is_none() || bell.periods == 0) {
            bell = self.bells[worker].1.wait(bell).unwrap();
        }
        if !std::mem::take(&mut bell.is_rung) {
            bell.periods -= 1;
        }
        drop(bell);
        if self.sleepers.wake_up(worker) {
            self.sleepers.end_search();
        }
    }

    /// Worker 0 parks, is woken by its own event, and gets stuck behind its first task until the second is taken.
    fn get_stuck(&self) {
        self.park(0);
        self.has_task.store(true, Ordering::SeqCst);
        self.warden.lay_down(0);
        if self.warden.is_absent() && self.sleepers.asleep() > 0 {
            if let Some((_, worker)) = self.sleepers.rouse() {
                self.ring(worker);
            }
        }
        self.bells[1].0.lock().unwrap().periods = 10;
        self.bells[1].1.notify_one();
        let mut is_taken = self.is_taken.lock().unwrap();
        while !*is_taken {
            is_taken = self.taken.wait(is_taken).unwrap();
        }
    }

    /// Worker 1 parks, looks and parks again.
    fn live(&self) {
        while !self.has_task.load(Ordering::SeqCst) {
            self.park(1);
        }
        self.warden.lay_down(1);
        *self.is_taken.lock().unwrap() = true;
        self.taken.notify_one();
    }
}

#[test]
fn who_gets_stuck_is_watched() {
    explore(3, || {
        let runtime = Arc::new(Runtime {
            warden: Warden::new(),
            sleepers: Sleepers::new(),
            bells: (0..WORKERS)
                .map(|_| (Mutex::new(Bell { is_rung: false, periods: 1 }), Condvar::new()))
                .collect(),
            has_task: AtomicBool::new(false),
            is_taken: Mutex::new(false),
            taken: Condvar::new(),
        });
        let other = {
            let runtime = runtime.clone();
            thread::spawn(move || {
                // The event of worker 0.
                runtime.ring(0);
                runtime.get_stuck();
            })
        };
        runtime.live();
        other.join().unwrap();
    });
}
