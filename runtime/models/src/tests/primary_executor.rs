//! The rank of the primary executor: whoever has one of its tasks in hand finds that executor, and no other one, however the rank goes from one to the next.
//!
//! Covers `Primary` in the order of `Shared::new`, the schedule function, `Entry::drop` and `Shared::drop`, for two executors that come and go at the same
//! time, with tasks that are scheduled, and end, on a thread that has got them by way of a lock.

use std::ptr;

use loom::sync::{Arc, Mutex};
use loom::thread;

use crate::explore;
use crate::primary::Primary;
use crate::sync::StaticPtr;
use crate::tally::Tally;

struct Executor {
    tally: Tally,
    /// A task of it that is to be scheduled, once it is there.
    handed_over: Mutex<bool>,
}

impl Executor {
    fn new() -> Arc<Executor> {
        Arc::new(Executor { tally: Tally::new(), handed_over: Mutex::new(false) })
    }
}

type Rank = Arc<Primary<Executor>>;

/// Comes, spawns a task if it has got the rank, and leaves when the task has ended.
fn come_and_go(rank: &Rank, executor: &Arc<Executor>) {
    if !rank.claim(Arc::as_ptr(executor)) {
        // Its tasks would carry a pointer.
        return;
    }
    executor.tally.begin();
    let worker = {
        let (rank, executor) = (rank.clone(), executor.clone());
        thread::spawn(move || schedule(&rank, &executor))
    };
    *executor.handed_over.lock().unwrap() = true;
    while Tally::live([&executor.tally].into_iter()) != 0 {
        thread::yield_now();
    }
    rank.release();
    worker.join().unwrap();
}

/// Schedules the task as soon as it is there, and then drops its future.
fn schedule(rank: &Rank, executor: &Arc<Executor>) {
    while !*executor.handed_over.lock().unwrap() {
        thread::yield_now();
    }
    assert_eq!(rank.get(), Arc::as_ptr(executor), "when it is scheduled");
    assert_eq!(rank.get(), Arc::as_ptr(executor), "when its future is dropped");
    executor.tally.end();
}

#[test]
fn a_task_finds_its_own_executor() {
    explore(3, || {
        let rank: Rank = Arc::new(Primary(StaticPtr::new(ptr::null_mut())));
        let (first, second) = (Executor::new(), Executor::new());
        let other = {
            let rank = rank.clone();
            thread::spawn(move || {
                // Comes and goes without ever having a task.
                if rank.claim(Arc::as_ptr(&second)) {
                    assert_eq!(rank.get(), Arc::as_ptr(&second));
                    rank.release();
                }
            })
        };
        come_and_go(&rank, &first);
        other.join().unwrap();
    });
}

#[test]
fn two_with_tasks_take_turns() {
    explore(2, || {
        let rank: Rank = Arc::new(Primary(StaticPtr::new(ptr::null_mut())));
        let (first, second) = (Executor::new(), Executor::new());
        let other = {
            let rank = rank.clone();
            thread::spawn(move || come_and_go(&rank, &second))
        };
        come_and_go(&rank, &first);
        other.join().unwrap();
    });
}
