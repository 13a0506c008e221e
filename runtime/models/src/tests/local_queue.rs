//! The local queue: every task comes out exactly once, whoever takes it.
//!
//! Covers `push`, `pop`, `steal_half`, `unload_half`, `replace_newest` and `take_newest` by an owner against one and two thieves, with the ring
//! full and wrapped around.

use std::ptr::NonNull;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use crate::explore;
use crate::queue::{Item, LocalQueue};

/// Stands for a task: a small number in a pointer.
fn item(number: usize) -> Item {
    NonNull::new(std::ptr::without_provenance_mut(number)).expect("numbers start at one")
}

/// What stands behind each number, and how often it came out. Not atomic: whoever takes a task must see what its last owner has done to it, and loom reports
/// a race if the queue does not see to that.
struct Seen([UnsafeCell<usize>; 8]);

// SAFETY: that is what the models check.
unsafe impl Send for Seen {}
// SAFETY: as above.
unsafe impl Sync for Seen {}

impl Seen {
    fn new() -> Seen {
        Seen(std::array::from_fn(|_| UnsafeCell::new(0)))
    }

    /// Makes the task of a number.
    fn make(&self, number: usize) -> Item {
        // SAFETY: see above.
        self.0[number].with_mut(|count| unsafe { *count = 0 });
        item(number)
    }

    fn note(&self, item: Option<Item>) -> bool {
        let Some(item) = item else { return false };
        // SAFETY: see above.
        self.0[item.as_ptr().addr()].with_mut(|count| unsafe { *count += 1 });
        true
    }

    fn assert_once(&self, numbers: std::ops::RangeInclusive<usize>) {
        for number in numbers {
            // SAFETY: see above.
            let count = self.0[number].with(|count| unsafe { *count });
            assert_eq!(count, 1, "number {number}");
        }
    }
}

#[test]
fn one_thief_steals_half_while_the_owner_pops_and_pushes() {
    explore(3, || {
        let (queue, seen) = (Arc::new(LocalQueue::new()), Arc::new(Seen::new()));
        queue.push(seen.make(1)).unwrap();
        queue.push(seen.make(2)).unwrap();
        let thief = {
            let (queue, seen) = (queue.clone(), seen.clone());
            thread::spawn(move || {
                let own = LocalQueue::new();
                queue.steal_half(&own, 1);
                while seen.note(own.pop()) {}
            })
        };
        seen.note(queue.pop());
        queue.push(seen.make(3)).unwrap();
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
            queue.push(seen.make(number)).unwrap();
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
            if let Err(item) = queue.push(seen.make(number)) {
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
            queue.push(seen.make(number)).unwrap();
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
        let count = queue.extend(&[seen.make(5).as_ptr(), seen.make(6).as_ptr()]);
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
            queue.push(seen.make(number)).unwrap();
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

/// As a tick does, or who empties the queues of a closed executor.
#[test]
fn somebody_else_pops() {
    explore(3, || {
        let (queue, seen) = (Arc::new(LocalQueue::new()), Arc::new(Seen::new()));
        let other = {
            let (queue, seen) = (queue.clone(), seen.clone());
            thread::spawn(move || {
                seen.note(queue.pop());
            })
        };
        queue.push(seen.make(1)).unwrap();
        queue.push(seen.make(2)).unwrap();
        seen.note(queue.pop());
        other.join().unwrap();
        while seen.note(queue.pop()) {}
        seen.assert_once(1..=2);
    });
}

#[test]
fn a_thief_is_stolen_from() {
    explore(3, || {
        let (queue, seen) = (Arc::new(LocalQueue::new()), Arc::new(Seen::new()));
        let own = Arc::new(LocalQueue::new());
        queue.push(seen.make(1)).unwrap();
        queue.push(seen.make(2)).unwrap();
        queue.push(seen.make(3)).unwrap();
        let thief = {
            let (queue, own) = (queue.clone(), own.clone());
            thread::spawn(move || queue.steal_half(&own, 1))
        };
        let second = {
            let (own, seen) = (own.clone(), seen.clone());
            thread::spawn(move || {
                let third = LocalQueue::new();
                own.steal_half(&third, 1);
                while seen.note(third.pop()) {}
            })
        };
        thief.join().unwrap();
        second.join().unwrap();
        while seen.note(queue.pop()) || seen.note(own.pop()) {}
        seen.assert_once(1..=3);
    });
}

#[test]
fn the_newest_is_taken_once() {
    explore(3, || {
        let (queue, seen) = (Arc::new(LocalQueue::new()), Arc::new(Seen::new()));
        seen.note(queue.replace_newest(seen.make(1)));
        let thief = {
            let (queue, seen) = (queue.clone(), seen.clone());
            thread::spawn(move || {
                seen.note(queue.take_newest());
            })
        };
        seen.note(queue.replace_newest(seen.make(2)));
        seen.note(queue.take_newest());
        thief.join().unwrap();
        seen.note(queue.take_newest());
        seen.assert_once(1..=2);
    });
}

/// An empty slot is filled by a plain store.
#[test]
fn the_newest_in_an_empty_slot_is_taken_once() {
    explore(3, || {
        let (queue, seen) = (Arc::new(LocalQueue::new()), Arc::new(Seen::new()));
        let thief = {
            let (queue, seen) = (queue.clone(), seen.clone());
            thread::spawn(move || {
                for _ in 0..2 {
                    seen.note(queue.take_newest());
                }
            })
        };
        seen.note(queue.replace_newest(seen.make(1)));
        seen.note(queue.replace_newest(seen.make(2)));
        thief.join().unwrap();
        seen.note(queue.take_newest());
        seen.assert_once(1..=2);
    });
}
