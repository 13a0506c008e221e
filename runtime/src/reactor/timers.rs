//! The deadlines of one shard: a 4-ary heap of deadlines over a slab of wakers.
//!
//! Pure: the present moment is an argument. Cancelling goes straight to the heap position, so a cancelled
//! timer leaves nothing behind.

use std::task::Waker;
use std::time::Instant;

use slab::Slab;

const ARITY: usize = 4;

/// Names one inserted timer, and never another one that came to the same slot later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TimerKey {
    slot: usize,
    sequence: u64,
}

struct Entry {
    sequence: u64,
    position: usize,
    waker: Waker,
}

#[derive(Clone, Copy)]
struct Node {
    deadline: Instant,
    sequence: u64,
    slot: usize,
}

impl Node {
    fn rank(&self) -> (Instant, u64) {
        (self.deadline, self.sequence)
    }
}

#[derive(Default)]
pub(crate) struct TimerQueue {
    heap: Vec<Node>,
    entries: Slab<Entry>,
    sequence: u64,
}

impl TimerQueue {
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.heap.first().map(|node| node.deadline)
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    pub(crate) fn insert(&mut self, deadline: Instant, waker: Waker) -> TimerKey {
        self.sequence += 1;
        let sequence = self.sequence;
        let position = self.heap.len();
        let slot = self.entries.insert(Entry { sequence, position, waker });
        self.heap.push(Node { deadline, sequence, slot });
        self.sift_up(position);
        TimerKey { slot, sequence }
    }

    /// Gives the waker of a timer that has not fired yet.
    pub(crate) fn waker_mut(&mut self, key: TimerKey) -> Option<&mut Waker> {
        let entry = self.entries.get_mut(key.slot)?;
        (entry.sequence == key.sequence).then_some(&mut entry.waker)
    }

    /// Takes a timer out. `None` if it has fired. The waker is the caller's to drop, outside of locks.
    pub(crate) fn remove(&mut self, key: TimerKey) -> Option<Waker> {
        let entry = self.entries.get(key.slot)?;
        if entry.sequence != key.sequence {
            return None;
        }
        let position = entry.position;
        self.remove_node(position);
        Some(self.entries.remove(key.slot).waker)
    }

    /// Moves the wakers of all timers due at `now` to `wakers`, earliest first.
    pub(crate) fn fire(&mut self, now: Instant, wakers: &mut Vec<Waker>) {
        while let Some(first) = self.heap.first() {
            if first.deadline > now {
                return;
            }
            let slot = first.slot;
            self.remove_node(0);
            wakers.push(self.entries.remove(slot).waker);
        }
    }

    /// Empties the queue.
    pub(crate) fn drain(&mut self) -> Vec<Waker> {
        self.heap.clear();
        self.entries.drain().map(|entry| entry.waker).collect()
    }

    fn remove_node(&mut self, position: usize) {
        self.heap.swap_remove(position);
        if let Some(moved) = self.heap.get(position) {
            self.entries[moved.slot].position = position;
            self.sift_up(position);
            self.sift_down(position);
        }
    }

    fn sift_up(&mut self, mut position: usize) {
        while position > 0 {
            let parent = (position - 1) / ARITY;
            if self.heap[parent].rank() <= self.heap[position].rank() {
                return;
            }
            self.swap(parent, position);
            position = parent;
        }
    }

    fn sift_down(&mut self, mut position: usize) {
        loop {
            let first = position * ARITY + 1;
            let children = first..(first + ARITY).min(self.heap.len());
            let Some(least) = children.min_by_key(|&child| self.heap[child].rank()) else { return };
            if self.heap[position].rank() <= self.heap[least].rank() {
                return;
            }
            self.swap(position, least);
            position = least;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.entries[self.heap[a].slot].position = a;
        self.entries[self.heap[b].slot].position = b;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    /// Goal: the heap agrees with an ordered map over any sequence of calls.
    /// Method: random inserts, cancels and firings from a seeded generator, both structures side by side.
    #[test]
    fn agrees_with_an_ordered_map() {
        let start = Instant::now();
        let mut queue = TimerQueue::default();
        let mut model: BTreeMap<(Instant, u64), TimerKey> = BTreeMap::new();
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut now = start;
        for _ in 0..200_000 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            match seed % 4 {
                0 | 1 => {
                    let deadline = now + Duration::from_nanos(seed >> 40);
                    let key = queue.insert(deadline, Waker::noop().clone());
                    model.insert((deadline, key.sequence), key);
                }
                2 => {
                    let nth = (seed >> 8) as usize % model.len().max(1);
                    if let Some((&rank, &key)) = model.iter().nth(nth.min(64)) {
                        assert!(queue.remove(key).is_some());
                        assert!(queue.remove(key).is_none(), "a key is good once");
                        model.remove(&rank);
                    }
                }
                _ => {
                    now += Duration::from_nanos(seed >> 48);
                    let mut wakers = Vec::new();
                    queue.fire(now, &mut wakers);
                    let later = model.split_off(&(now + Duration::from_nanos(1), 0));
                    assert_eq!(wakers.len(), model.len(), "fired all that is due and no other");
                    for (_, key) in std::mem::replace(&mut model, later) {
                        assert!(queue.waker_mut(key).is_none());
                    }
                }
            }
            assert_eq!(queue.next_deadline(), model.keys().next().map(|rank| rank.0));
            assert_eq!(queue.len(), model.len());
        }
    }

    #[test]
    fn equal_deadlines_fire_in_the_order_of_insertion() {
        use std::sync::{Arc, Mutex};
        use std::task::Wake;
        struct Note(usize, Arc<Mutex<Vec<usize>>>);
        impl Wake for Note {
            fn wake(self: Arc<Self>) {
                self.1.lock().unwrap().push(self.0);
            }
        }
        let (order, at) = (Arc::new(Mutex::new(Vec::new())), Instant::now());
        let mut queue = TimerQueue::default();
        for i in 0..50 {
            queue.insert(at, Arc::new(Note(i, order.clone())).into());
        }
        let mut wakers = Vec::new();
        queue.fire(at, &mut wakers);
        wakers.into_iter().for_each(Waker::wake);
        assert_eq!(*order.lock().unwrap(), (0..50).collect::<Vec<_>>());
    }
}
