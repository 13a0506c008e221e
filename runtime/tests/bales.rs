//! Goal: tasks that overflow a local queue, and are moved away as a bale, wait no longer than others (FAULTS R14).
//! Method: another thread spawns a task for each one of its own that has run, some of them before the bale and some behind it; the tasks of the bale
//! have a number of such turns in which to run.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use smolkit_runtime::{Executor, block_on};
use support::{TEST_MAX, within};

/// More than a local queue holds.
const TASKS: usize = 1_500;
/// The injector is looked at every 61st turn at the latest.
const TURNS_MAX: usize = 20_000;
/// A task that never rests has so many turns meanwhile.
const RESTLESS_MAX: usize = 10_000;
/// Enough to be on both sides of the bale.
const CHAINS: usize = 40;

/// What asks the other thread to spawn one more task, and waits until it has.
#[derive(Clone)]
struct Injector(mpsc::Sender<(Injector, mpsc::Sender<()>)>);

impl Injector {
    fn inject(&self) {
        let (answer, answered) = mpsc::channel();
        self.0.send((self.clone(), answer)).unwrap();
        answered.recv().unwrap();
    }
}

#[derive(Default)]
struct Counts {
    done: AtomicUsize,
    turns: AtomicUsize,
}

impl Counts {
    fn is_over(&self) -> bool {
        let (done, turns) = (&self.done, &self.turns);
        done.load(Ordering::SeqCst) == TASKS || turns.load(Ordering::SeqCst) >= TURNS_MAX
    }
}

#[test]
fn what_others_inject_does_not_hold_up_a_bale() {
    within(TEST_MAX, || {
        let executor: Arc<Executor<'static>> = Arc::default();
        let counts: Arc<Counts> = Arc::default();
        let (ask, asked) = mpsc::channel::<(Injector, mpsc::Sender<()>)>();
        let injecting = {
            let (executor, counts) = (executor.clone(), counts.clone());
            thread::spawn(move || {
                for (injector, answer) in asked {
                    let counts = counts.clone();
                    let chain = async move {
                        counts.turns.fetch_add(1, Ordering::SeqCst);
                        if !counts.is_over() {
                            injector.inject();
                        }
                    };
                    executor.spawn(chain).detach();
                    answer.send(()).unwrap();
                }
            })
        };
        let injector = Injector(ask);
        let first = {
            let (executor, counts) = (executor.clone(), counts.clone());
            async move {
                (0..CHAINS / 2).for_each(|_| injector.inject());
                for _ in 0..TASKS {
                    let counts = counts.clone();
                    let task = async move { counts.done.fetch_add(1, Ordering::SeqCst) };
                    executor.spawn(task).detach();
                }
                (0..CHAINS / 2).for_each(|_| injector.inject());
            }
        };
        executor.spawn(first).detach();
        block_on(executor.run(async {
            while !counts.is_over() {
                futures_lite::future::yield_now().await;
            }
        }));
        assert_eq!(counts.done.load(Ordering::SeqCst), TASKS, "after {TURNS_MAX} turns of others");
        // The other thread ends when nobody is left who could ask it.
        block_on(executor.run(async {
            while !executor.is_empty() {
                futures_lite::future::yield_now().await;
            }
        }));
        injecting.join().unwrap();
    });
}

#[test]
fn a_task_that_never_rests_does_not_hold_up_a_bale() {
    within(TEST_MAX, || {
        let executor: Arc<Executor<'static>> = Arc::default();
        let counts: Arc<Counts> = Arc::default();
        let restless = {
            let counts = counts.clone();
            async move {
                while counts.done.load(Ordering::SeqCst) < 2 * TASKS {
                    counts.turns.fetch_add(1, Ordering::SeqCst);
                    futures_lite::future::yield_now().await;
                }
            }
        };
        let first = {
            let (executor, counts) = (executor.clone(), counts.clone());
            async move {
                for _ in 0..2 * TASKS {
                    let counts = counts.clone();
                    let task = async move { counts.done.fetch_add(1, Ordering::SeqCst) };
                    executor.spawn(task).detach();
                }
            }
        };
        let restless = executor.spawn(restless);
        executor.spawn(first).detach();
        block_on(executor.run(restless));
        let turns = counts.turns.load(Ordering::SeqCst);
        assert!(turns <= RESTLESS_MAX, "{turns} turns of the restless one");
    });
}
