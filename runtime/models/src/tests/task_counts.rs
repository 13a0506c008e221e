//! The count of live tasks: nobody who waits for zero frees an executor under a task.
//!
//! Covers tallies that one thread alone writes and the one that all write, tasks that begin in one and end in another, and the flag
//! that forbids new tasks.

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

use crate::explore;
use crate::tally::Tally;

/// Tallies of two runners, a hand-over of one task between them, and what the waiting thread must not miss.
struct Executor {
    first: Tally,
    second: Tally,
    handed_over: Mutex<bool>,
    has_begun: AtomicUsize,
    is_dropped: AtomicUsize,
}

impl Executor {
    fn new() -> Executor {
        Executor {
            first: Tally::new(),
            second: Tally::new(),
            handed_over: Mutex::new(false),
            has_begun: AtomicUsize::new(0),
            is_dropped: AtomicUsize::new(0),
        }
    }

    fn live(&self) -> usize {
        Tally::live([&self.first, &self.second].into_iter())
    }
}

#[test]
fn a_task_ends_where_it_did_not_begin() {
    explore(3, || {
        let executor = Arc::new(Executor::new());
        let spawner = {
            let executor = executor.clone();
            thread::spawn(move || {
                executor.first.begin_alone();
                executor.has_begun.store(1, Ordering::Release);
                *executor.handed_over.lock().unwrap() = true;
            })
        };
        let thief = {
            let executor = executor.clone();
            thread::spawn(move || {
                if *executor.handed_over.lock().unwrap() {
                    executor.is_dropped.store(1, Ordering::Relaxed);
                    executor.second.end_alone();
                }
            })
        };
        // A thread of its own: loom explores fewer orders of the first one.
        let closer = {
            let executor = executor.clone();
            thread::spawn(move || {
                if executor.has_begun.load(Ordering::Acquire) == 1 && executor.live() == 0 {
                    let is_dropped = executor.is_dropped.load(Ordering::Relaxed);
                    assert_eq!(is_dropped, 1, "counted out before it was gone");
                }
            })
        };
        spawner.join().unwrap();
        thief.join().unwrap();
        closer.join().unwrap();
    });
}

#[test]
fn a_task_that_begets_another_leaves_no_gap() {
    explore(3, || {
        let executor = Arc::new(Executor::new());
        executor.first.begin_alone();
        let runner = {
            let executor = executor.clone();
            thread::spawn(move || {
                executor.second.begin_alone();
                executor.second.end_alone();
                *executor.handed_over.lock().unwrap() = true;
            })
        };
        let other = {
            let executor = executor.clone();
            thread::spawn(move || {
                if *executor.handed_over.lock().unwrap() {
                    executor.is_dropped.store(1, Ordering::Relaxed);
                    executor.first.end_alone();
                }
            })
        };
        let closer = {
            let executor = executor.clone();
            thread::spawn(move || {
                if executor.live() == 0 {
                    let is_dropped = executor.is_dropped.load(Ordering::Relaxed);
                    assert_eq!(is_dropped, 1, "the first is still there");
                }
            })
        };
        runner.join().unwrap();
        other.join().unwrap();
        closer.join().unwrap();
    });
}

#[test]
fn a_spawn_and_a_close_see_each_other() {
    explore(3, || {
        let elsewhere = Arc::new(Tally::new());
        let is_closed = Arc::new(AtomicUsize::new(0));
        let spawner = {
            let (elsewhere, is_closed) = (elsewhere.clone(), is_closed.clone());
            thread::spawn(move || {
                elsewhere.begin();
                let sees_closed = is_closed.load(Ordering::SeqCst) == 1;
                if sees_closed {
                    elsewhere.end();
                }
                sees_closed
            })
        };
        is_closed.store(1, Ordering::SeqCst);
        let live = Tally::live([&*elsewhere].into_iter());
        let sees_closed = spawner.join().unwrap();
        assert!(sees_closed || live == 1, "a task stays behind in a closed executor");
    });
}
