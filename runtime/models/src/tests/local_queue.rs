//! The local queue: every task comes out exactly once, whoever takes it.
//!
//! Covers `push`, `pop`, `steal_half`, `unload_half`, `replace_newest` and `take_newest` by an owner against one and two thieves, with the ring
//! full and wrapped around.

use std::ptr::NonNull;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::explore;
use crate::queue::{Item, LocalQueue};

/// Stands for a task: a small number in a pointer.
fn item(number: usize) -> Item {
    NonNull::new(std::ptr::without_provenance_mut(number)).expect("numbers start at one")
}

/// Counts how often each number came out.
struct Seen([AtomicUsize; 8]);

impl Seen {
    fn new() -> Seen {
        Seen(std::array::from_fn(|_| AtomicUsize::new(0)))
    }

    fn note(&self, item: Option<Item>) -> bool {
        let Some(item) = item else { return false };
        self.0[item.as_ptr().addr()].fetch_add(1, Ordering::Relaxed);
        true
    }

    fn assert_once(&self, numbers: std::ops::RangeInclusive<usize>) {
        for number in numbers {
            assert_eq!(self.0[number].load(Ordering::Relaxed), 1, "number {number}");
        }
    }
}

#[test]
fn one_thief_steals_half_while_the_owner_pops_and_pushes() {
    explore(3, || {
        let (queue, seen) = (Arc::new(LocalQueue::new()), Arc::new(Seen::new()));
        queue.push(item(1)).unwrap();
        queue.push(item(2)).unwrap();
        let thief = {
            let (queue, seen) = (queue.clone(), seen.clone());
            thread::spawn(move || {
                let own = LocalQueue::new();
                queue.steal_half(&own, 1);
                while seen.note(own.pop()) {}
            })
        };
        seen.note(queue.pop());
        queue.push(item(3)).unwrap();
        seen.note(queue.pop());
        thief.join().unwrap();
        while seen.note(queue.pop()) {}
        seen.assert_once(1..=3);
    });
}

#[test]
fn a_full_ring_wraps_under_a_thief() {
    explore(2, || {
        let (queue, seen) = (Arc::new(LocalQueue::new()), Arc::new(Seen::new()));
        for number in 1..=4 {
            queue.push(item(number)).unwrap();
        }
        let thief = {
            let (queue, seen) = (queue.clone(), seen.clone());
            thread::spawn(move || {
                let own = LocalQueue::new();
                queue.steal_half(&own, 1);
                while seen.note(own.pop()) {}
            })
        };
        for number in 5..=6 {
            // Full: make room, as the runner does, and so write over slots that the thief may be reading.
            if let Err(item) = queue.push(item(number)) {
                seen.note(queue.pop());
                if let Err(item) = queue.push(item) {
                    seen.note(Some(item));
                }
            }
        }
        thief.join().unwrap();
        while seen.note(queue.pop()) {}
        seen.assert_once(1..=6);
    });
}

#[test]
fn a_full_queue_is_unloaded_under_a_thief() {
    explore(3, || {
        let (queue, seen) = (Arc::new(LocalQueue::new()), Arc::new(Seen::new()));
        for number in 1..=4 {
            queue.push(item(number)).unwrap();
        }
        let thief = {
            let (queue, seen) = (queue.clone(), seen.clone());
            thread::spawn(move || {
                let own = LocalQueue::new();
                queue.steal_half(&own, 1);
                while seen.note(own.pop()) {}
            })
        };
        let mut older = [std::ptr::null_mut(); 2];
        let count = queue.unload_half(&mut older);
        older[..count].iter().for_each(|&item| assert!(seen.note(NonNull::new(item))));
        let count = queue.extend(&[item(5).as_ptr(), item(6).as_ptr()]);
        assert_eq!(count, 2, "half of it is free");
        thief.join().unwrap();
        while seen.note(queue.pop()) {}
        seen.assert_once(1..=6);
    });
}

#[test]
fn two_thieves() {
    explore(2, || {
        let (queue, seen) = (Arc::new(LocalQueue::new()), Arc::new(Seen::new()));
        for number in 1..=3 {
            queue.push(item(number)).unwrap();
        }
        let thieves: Vec<_> = (0..2)
            .map(|_| {
                let (queue, seen) = (queue.clone(), seen.clone());
                thread::spawn(move || {
                    let own = LocalQueue::new();
                    queue.steal_half(&own, 1);
                    while seen.note(own.pop()) {}
                })
            })
            .collect();
        seen.note(queue.pop());
        thieves.into_iter().for_each(|thief| thief.join().unwrap());
        while seen.note(queue.pop()) {}
        seen.assert_once(1..=3);
    });
}

#[test]
fn the_newest_is_taken_once() {
    explore(3, || {
        let (queue, seen) = (Arc::new(LocalQueue::new()), Arc::new(Seen::new()));
        seen.note(queue.replace_newest(item(1)));
        let thief = {
            let (queue, seen) = (queue.clone(), seen.clone());
            thread::spawn(move || {
                seen.note(queue.take_newest());
            })
        };
        seen.note(queue.replace_newest(item(2)));
        seen.note(queue.take_newest());
        thief.join().unwrap();
        seen.note(queue.take_newest());
        seen.assert_once(1..=2);
    });
}
