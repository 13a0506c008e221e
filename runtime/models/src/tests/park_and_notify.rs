//! The park word: work published before `notify` is never slept over, and the eventfd is written once per sleep at most.
//!
//! Covers `begin`, `end` and `notify` of one driver against two notifiers. The eventfd is a loom mutex and condition variable.

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use crate::explore;
use crate::park::ParkState;

struct Shard {
    park: ParkState,
    work: AtomicUsize,
    /// How often the eventfd was written since the last sleep.
    eventfd: Mutex<usize>,
    wake: Condvar,
}

impl Shard {
    fn publish(&self) {
        self.work.fetch_add(1, Ordering::SeqCst);
        if self.park.notify() {
            *self.eventfd.lock().unwrap() += 1;
            self.wake.notify_one();
        }
    }

    /// Sleeps until it is notified: a lost notification is a deadlock, which loom reports.
    fn turn(&self) {
        if self.park.begin() {
            let mut written = self.eventfd.lock().unwrap();
            while *written == 0 {
                written = self.wake.wait(written).unwrap();
            }
            assert_eq!(*written, 1, "the second notifier need not write");
            *written = 0;
        }
        self.park.end();
    }
}

#[test]
fn nothing_is_slept_over() {
    explore(3, || {
        let shard = Arc::new(Shard {
            park: ParkState::new(),
            work: AtomicUsize::new(0),
            eventfd: Mutex::new(0),
            wake: Condvar::new(),
        });
        let notifiers: Vec<_> = (0..2)
            .map(|_| {
                let shard = shard.clone();
                thread::spawn(move || shard.publish())
            })
            .collect();
        while shard.work.load(Ordering::SeqCst) < 2 {
            shard.turn();
        }
        notifiers.into_iter().for_each(|notifier| notifier.join().unwrap());
    });
}
