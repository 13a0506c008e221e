//! The deadlines of one shard, to the nanosecond: a small heap and a wheel over a slab of wakers.
//!
//! Pure: the present moment is an argument, and time is a number of nanoseconds since a moment of the caller's.
//!
//! A few timers live in the heap, which knows their order to the nanosecond. Where there are more, the others go to the wheel, whose operations take the
//! same time however many there are, and spread to finer slots as their time comes. What is left of a slot that is finer than the wheel's finest goes
//! to the heap. Cancelling takes a node out at once, so a cancelled timer leaves nothing behind.

mod heap;
mod node;
#[cfg(test)]
mod tests;
mod wheel;

use std::task::Waker;

use self::heap::Heap;
use self::node::{Entries, Entry, Node, Place};
use self::wheel::Wheel;
use super::alarm::Deadlines;

/// A deadline that never comes.
pub(crate) const NEVER: u64 = u64::MAX;

/// Beyond so many in the heap, timers go to the wheel. Chosen by counting instructions: a heap of this size is as cheap as the wheel.
const HEAP_MAX: usize = 32;
/// An empty queue keeps room for so many timers, and gives back the rest.
const ROOM_KEPT: usize = 256;

/// Names one inserted timer, and never another one that came to the same slot later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TimerKey {
    index: usize,
    sequence: u64,
}

#[derive(Default)]
pub(crate) struct TimerQueue {
    entries: Entries,
    heap: Heap,
    wheel: Option<Box<Wheel>>,
    /// Where the wheel stands: all of its deadlines are later. Never after the present.
    base: u64,
    sequence: u64,
    /// What `fire` has found so far; empty between calls.
    due: Vec<Node>,
    /// How many timers have gone since room was last given back.
    gone: usize,
    is_closed: bool,
}

impl Deadlines for TimerQueue {
    fn count(&self) -> usize {
        self.entries.len()
    }

    /// The earliest deadline, unless that has been cancelled from among many others: then it may be a moment before it, and comes closer
    /// when `fire` has been told of that moment.
    fn next_deadline(&mut self) -> Option<u64> {
        let far = self.wheel.as_mut().and_then(|wheel| wheel.first_deadline());
        match (self.heap.first_deadline(), far) {
            (Some(near), Some(far)) => Some(near.min(far)),
            (near, far) => near.or(far),
        }
    }
}

impl TimerQueue {
    /// Gives the waker back if the queue is closed.
    pub(crate) fn insert(&mut self, deadline: u64, waker: Waker) -> Result<TimerKey, Waker> {
        if self.is_closed {
            return Err(waker);
        }
        let sequence = self.next_sequence();
        let place = Place::in_heap(0);
        let index = self.entries.insert(Entry { sequence, place, waker });
        self.place(Node { deadline, sequence, index });
        Ok(TimerKey { index, sequence })
    }

    /// The waker of a timer that has not fired yet.
    pub(crate) fn waker_mut(&mut self, key: TimerKey) -> Option<&mut Waker> {
        Some(&mut self.entry_mut(key)?.waker)
    }

    /// Takes a timer out. `None` if it has fired. The waker is the caller's to drop, outside of locks.
    pub(crate) fn remove(&mut self, key: TimerKey) -> Option<Waker> {
        let place = self.entry_mut(key)?.place;
        self.take_out(place);
        let waker = self.entries.remove(key.index).waker;
        self.give_back_room(1);
        Some(waker)
    }

    /// Gives a timer that has not fired another deadline, and another name.
    pub(crate) fn reset(&mut self, key: TimerKey, deadline: u64) -> Option<TimerKey> {
        let place = self.entry_mut(key)?.place;
        self.take_out(place);
        let (index, sequence) = (key.index, self.next_sequence());
        self.entries[index].sequence = sequence;
        self.place(Node { deadline, sequence, index });
        Some(TimerKey { index, sequence })
    }

    /// Moves the wakers of all timers due at `now` to `wakers`: earliest first, equal ones in the order of their insertion.
    pub(crate) fn fire(&mut self, now: u64, wakers: &mut Vec<Waker>) {
        let (now, count) = (now.min(NEVER - 1), self.count());
        self.advance(now);
        if self.due.is_empty() {
            while let Some(node) = self.heap.pop_due(now, &mut self.entries) {
                wakers.push(self.entries.remove(node.index).waker);
            }
        } else {
            while let Some(node) = self.heap.pop_due(now, &mut self.entries) {
                self.due.push(node);
            }
            self.due.sort_unstable_by_key(Node::rank);
            wakers.reserve(self.due.len());
            for node in self.due.drain(..) {
                wakers.push(self.entries.remove(node.index).waker);
            }
            self.due.shrink_to(ROOM_KEPT);
        }
        self.give_back_room(count - self.count());
    }

    /// Empties the queue, and takes in nothing any more.
    pub(crate) fn close(&mut self) -> Vec<Waker> {
        let entries = std::mem::take(self).entries;
        self.is_closed = true;
        entries.into_iter().map(|(_, entry)| entry.waker).collect()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    fn entry_mut(&mut self, key: TimerKey) -> Option<&mut Entry> {
        self.entries.get_mut(key.index).filter(|entry| entry.sequence == key.sequence)
    }

    fn place(&mut self, node: Node) {
        if self.heap.len() < HEAP_MAX || !wheel::is_beyond(self.base, node.deadline) {
            self.heap.push(node, &mut self.entries);
        } else {
            let wheel = self.wheel.get_or_insert_with(Wheel::new);
            wheel.insert(self.base, node, &mut self.entries);
        }
    }

    fn take_out(&mut self, place: Place) {
        match (place.slot(), &mut self.wheel) {
            (Some(slot), Some(wheel)) => wheel.remove(slot, place.position(), &mut self.entries),
            _ => self.heap.remove(place.position(), &mut self.entries),
        }
    }

    /// Brings the wheel to `now`: what is due goes to `due`, and what is left of the slot that `now` is in spreads out.
    fn advance(&mut self, now: u64) {
        if now <= self.base {
            return;
        }
        let from = std::mem::replace(&mut self.base, now);
        while let Some(wheel) = &mut self.wheel {
            let Some(first) = wheel.first(from).filter(|first| first.start <= now) else { return };
            let mut nodes = wheel.take(first.slot);
            if first.last <= now {
                self.due.append(&mut nodes);
                wheel.put_back(first.slot, nodes);
                continue;
            }
            for node in nodes.drain(..) {
                if node.deadline <= now { self.due.push(node) } else { self.place(node) }
            }
            if let Some(wheel) = &mut self.wheel {
                wheel.put_back(first.slot, nodes);
            }
            // All other slots begin later.
            return;
        }
    }

    /// `gone` timers have gone. Looking for room takes no longer than they did.
    fn give_back_room(&mut self, gone: usize) {
        let (count, room) = (self.entries.len(), self.entries.capacity());
        if room <= ROOM_KEPT {
            return;
        }
        self.gone += gone;
        if count == 0 {
            self.entries = Entries::new();
            self.heap = Heap::default();
            self.wheel = None;
        } else if count < room / 4 && self.gone > room / 8 {
            // Keys are positions: only the room behind the last timer can go.
            self.entries.shrink_to_fit();
            self.gone = 0;
        }
    }
}
