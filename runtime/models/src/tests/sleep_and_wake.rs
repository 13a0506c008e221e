//! Sleepers and searchers: a task that is pushed while runners fall asleep is run by somebody.
//!
//! Covers `notify`, `fall_asleep`, `recheck`, `wake_up`, `start_search` and `end_search`, in the order in which `Runner` and `State` call them, with one
//! pusher and two runners, and with two pushers and one. A runner's waker is a loom condition variable: a lost wake-up is a deadlock.

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use crate::explore;
use crate::sleepers::Sleepers;

/// What an eventfd is to a worker: it ends one sleep, the present or the next.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    wake: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().unwrap() = true;
        self.wake.notify_one();
    }

    fn wait(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !*rung {
            rung = self.wake.wait(rung).unwrap();
        }
        *rung = false;
    }
}

struct State {
    injector: AtomicUsize,
    done: AtomicUsize,
    sleepers: Sleepers<Arc<Bell>>,
}

impl State {
    fn new() -> State {
        State {
            injector: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            sleepers: Sleepers::new(),
        }
    }

    fn push(&self) {
        self.injector.fetch_add(1, Ordering::Release);
        self.notify();
    }

    fn notify(&self) {
        if let Some((_, bell)) = self.sleepers.notify() {
            bell.ring();
        }
    }

    fn pop(&self) -> bool {
        let take = |count: usize| count.checked_sub(1);
        self.injector.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok()
    }

    /// A worker's life until `total` tasks are done; whoever does the last one rings all bells.
    fn work(&self, id: usize, bells: &[Arc<Bell>], total: usize) {
        let mut is_searching = false;
        loop {
            if self.done.load(Ordering::SeqCst) == total {
                return;
            }
            let mut found = self.pop();
            if !found && (is_searching || self.sleepers.start_search(1)) {
                is_searching = true;
                found = self.pop();
            }
            if found {
                if std::mem::take(&mut is_searching)
                    && self.sleepers.end_search()
                    && self.injector.load(Ordering::SeqCst) > 0
                {
                    self.notify();
                }
                if self.done.fetch_add(1, Ordering::SeqCst) + 1 == total {
                    bells.iter().for_each(|bell| bell.ring());
                }
                continue;
            }
            let was_searching = std::mem::take(&mut is_searching);
            self.sleepers.fall_asleep(id, bells[id].clone(), was_searching);
            if self.sleepers.recheck() || self.injector.load(Ordering::SeqCst) == 0 {
                bells[id].wait();
            }
            is_searching = self.sleepers.wake_up(id);
        }
    }
}

fn explore_work(preemptions: usize, runners: usize, pushers: usize, each: usize) {
    explore(preemptions, move || {
        let total = pushers * each;
        let state = Arc::new(State::new());
        let bells: Arc<Vec<Arc<Bell>>> =
            Arc::new((0..runners).map(|_| Arc::new(Bell::default())).collect());
        let mut threads = Vec::new();
        for id in 1..runners {
            let (state, bells) = (state.clone(), bells.clone());
            threads.push(thread::spawn(move || state.work(id, &bells, total)));
        }
        for _ in 0..pushers {
            let state = state.clone();
            threads.push(thread::spawn(move || (0..each).for_each(|_| state.push())));
        }
        state.work(0, &bells, total);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn one_runner_and_two_pushers() {
    explore_work(2, 1, 2, 1);
}

#[test]
fn two_runners_and_one_pusher_of_two() {
    explore_work(2, 2, 1, 2);
}
