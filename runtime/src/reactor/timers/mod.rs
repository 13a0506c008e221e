//! The deadlines of one shard, to the nanosecond: a small heap and a wheel over a slab of wakers.
//!
//! Pure: the present moment is an argument, and time is a number of nanoseconds since a moment of the caller's.
//!
//! A few timers live in the heap, which knows their order to the nanosecond. Where there are more, the others go to the wheel, whose operations take the
//! same time however many there are, and spread to finer slots as their time comes. When the wheel enters a finest slot, its nodes are sorted and become
//! the run, from whose front they are taken; timers that are inserted into that slot later go to the heap. Cancelling takes a node out at
//! once, unless it is in the run, where it is left for the short time until its turn comes.

mod heap;
mod node;
mod run;
#[cfg(test)]
mod tests;
mod wheel;

use std::task::Waker;

use self::heap::Heap;
use self::node::{Entries, Entry, Node, Place};
use self::run::Run;
use self::wheel::Wheel;
use super::alarm::Deadlines;

/// A deadline that never comes.
pub(crate) const NEVER: u64 = u64::MAX;

/// Beyond so many in the heap, timers go to the wheel. A heap of this size is three levels deep.
const HEAP_MAX: usize = 32;
/// An empty queue keeps room for so many timers, and gives back the rest.
const ROOM_KEPT: usize = 256;

/// Names one inserted timer until that has fired, and no other one meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TimerKey {
    deadline: u64,
    sequence: u32,
    index: u32,
}

impl TimerKey {
    /// When it fires: not before, and not later than the moment up to which all have fired.
    pub(crate) fn deadline(self) -> u64 {
        self.deadline
    }

    fn index(self) -> usize {
        self.index as usize
    }
}

#[derive(Default)]
pub(crate) struct TimerQueue {
    /// Set with the first timer.
    driving: Option<&'static Driving>,
    entries: Entries,
    heap: Heap,
    /// Earlier than all in the wheel.
    run: Run,
    wheel: Option<Box<Wheel>>,
    /// Where the wheel stands: all of its deadlines are later. Never after the present.
    base: u64,
    /// All timers of deadlines up to here have fired, and none that waits has such a deadline.
    fired: u64,
    sequence: u32,
    /// How many timers have gone since room was last given back.
    gone: usize,
    is_closed: bool,
}

/// What a driver does with timers. Known to the insertion of timers alone: a program that has none, but drivers all the same, is linked without this code.
struct Driving {
    next_deadline: fn(&mut TimerQueue) -> Option<u64>,
    fire: fn(&mut TimerQueue, u64, usize, &mut Vec<Waker>),
}

static DRIVING: Driving =
    Driving { next_deadline: TimerQueue::earliest, fire: TimerQueue::fire_due };

impl Deadlines for TimerQueue {
    fn count(&self) -> usize {
        self.entries.len()
    }

    /// The earliest deadline, unless that has been cancelled from among many others: then it may be a moment before it, and comes closer
    /// when `fire` has been told of that moment.
    fn next_deadline(&mut self) -> Option<u64> {
        self.driving.and_then(|driving| (driving.next_deadline)(self))
    }
}

impl TimerQueue {
    fn earliest(&mut self) -> Option<u64> {
        let near = self.heap.first().map(|node| node.deadline);
        let far = match self.first_of_run() {
            Some(node) => Some(node.deadline),
            None => self.wheel.as_mut().and_then(|wheel| wheel.first_deadline()),
        };
        match (near, far) {
            (Some(near), Some(far)) => Some(near.min(far)),
            (near, far) => near.or(far),
        }
    }

    /// Gives the waker back if the queue is closed.
    pub(crate) fn insert(&mut self, deadline: u64, waker: Waker) -> Result<TimerKey, Waker> {
        if self.is_closed {
            return Err(waker);
        }
        self.driving = Some(&DRIVING);
        let sequence = self.next_sequence();
        let place = Place::in_heap(0);
        let index = self.entries.insert(Entry { sequence, place, waker });
        let index = u32::try_from(index).expect("memory has no room for 2^32 timers");
        Ok(self.place(deadline, sequence, index))
    }

    /// The waker of a timer that has not fired yet.
    pub(crate) fn waker_mut(&mut self, key: TimerKey) -> Option<&mut Waker> {
        Some(&mut self.entry_mut(key)?.waker)
    }

    /// Takes a timer out. `None` if it has fired. The waker is the caller's to drop, outside of locks.
    pub(crate) fn remove(&mut self, key: TimerKey) -> Option<Waker> {
        let place = self.entry_mut(key)?.place;
        self.take_out(place, key.index);
        let waker = self.entries.remove(key.index()).waker;
        self.give_back_room(1);
        Some(waker)
    }

    /// Gives a timer that has not fired another deadline, and another name.
    pub(crate) fn reset(&mut self, key: TimerKey, deadline: u64) -> Option<TimerKey> {
        let place = self.entry_mut(key)?.place;
        self.take_out(place, key.index);
        let sequence = self.next_sequence();
        self.entries[key.index()].sequence = sequence;
        Some(self.place(deadline, sequence, key.index))
    }

    /// Moves the wakers of timers due at `now` to `wakers`, no more than `limit` of them: earliest first, equal ones in the order of their insertion.
    pub(crate) fn fire(&mut self, now: u64, limit: usize, wakers: &mut Vec<Waker>) {
        match self.driving {
            Some(driving) => (driving.fire)(self, now, limit, wakers),
            None => self.fired = self.fired.max(now.min(NEVER - 1)),
        }
    }

    fn fire_due(&mut self, now: u64, limit: usize, wakers: &mut Vec<Waker>) {
        let (now, count) = (now.min(NEVER - 1), self.count());
        self.advance(now);
        let next = loop {
            let next = self.first_due(now);
            let Some(node) = next.filter(|_| count - self.count() < limit) else { break next };
            self.take_first(node);
            wakers.push(self.entries.remove(node.index()).waker);
        };
        // Those that are due, but beyond the limit, are told apart from the others.
        self.fired = self.fired.max(next.map_or(now, |next| next.deadline - 1));
        self.give_back_room(count - self.count());
    }

    /// All timers of deadlines up to here have fired.
    pub(crate) fn fired(&self) -> u64 {
        self.fired
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

    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    fn entry_mut(&mut self, key: TimerKey) -> Option<&mut Entry> {
        self.entries.get_mut(key.index()).filter(|entry| entry.sequence == key.sequence)
    }

    fn place(&mut self, deadline: u64, sequence: u32, index: u32) -> TimerKey {
        // What is too late for that fires the next time.
        let deadline = deadline.max(self.fired + 1);
        let node = Node { deadline, sequence, index };
        if self.heap.len() < HEAP_MAX || !wheel::is_beyond(self.base, deadline) {
            self.heap.push(node, &mut self.entries);
        } else {
            let wheel = self.wheel.get_or_insert_with(Wheel::new);
            wheel.insert(self.base, node, &mut self.entries);
        }
        TimerKey { deadline, sequence, index }
    }

    fn take_out(&mut self, place: Place, index: u32) {
        match (place.slot(), &mut self.wheel) {
            (Some(slot), Some(wheel)) => {
                wheel.remove(slot, place.position(), index, &mut self.entries);
            }
            (None, _) => self.heap.remove(place.position(), &mut self.entries),
            (Some(_), None) => {}
        }
    }

    /// Brings the wheel to `now`: nodes of slots that are over, and of the finest one that `now` is in, go to the run, and what is left of a coarse
    /// one that `now` is in spreads out.
    fn advance(&mut self, now: u64) {
        if now <= self.base {
            return;
        }
        let from = std::mem::replace(&mut self.base, now);
        let Some(wheel) = &mut self.wheel else { return };
        while let Some(first) = wheel.first(from).filter(|first| first.start <= now) {
            let mut nodes = wheel.take(first.slot);
            let is_entered = first.last > now;
            if is_entered {
                nodes.retain(|&node| {
                    let is_beyond = wheel::is_beyond(now, node.deadline);
                    if is_beyond {
                        wheel.insert(now, node, &mut self.entries);
                    }
                    !is_beyond
                });
            }
            self.run.append(&mut nodes);
            wheel.put_back(first.slot, nodes);
            if is_entered {
                // All other slots begin later.
                return;
            }
        }
    }

    /// The first node that is due.
    fn first_due(&mut self, now: u64) -> Option<Node> {
        let near = self.heap.first();
        let first = match (near, self.first_of_run()) {
            (Some(near), Some(far)) if near.rank() < far.rank() => near,
            (near, far) => far.or(near)?,
        };
        (first.deadline <= now).then_some(first)
    }

    /// Takes out what `first_due` has found.
    fn take_first(&mut self, node: Node) {
        if self.run.first() == Some(node) {
            self.run.skip()
        } else {
            self.heap.remove(0, &mut self.entries)
        }
    }

    /// The first of the run that has not been cancelled.
    fn first_of_run(&mut self) -> Option<Node> {
        loop {
            let node = self.run.first()?;
            let entry = self.entries.get(node.index());
            if entry.is_some_and(|entry| entry.sequence == node.sequence) {
                return Some(node);
            }
            self.run.skip();
        }
    }

    /// `gone` timers have gone. Looking for room takes no longer than they did.
    #[inline]
    fn give_back_room(&mut self, gone: usize) {
        if self.entries.capacity() > ROOM_KEPT {
            self.look_for_room(gone);
        }
    }

    fn look_for_room(&mut self, gone: usize) {
        let (count, room) = (self.entries.len(), self.entries.capacity());
        self.gone += gone;
        if count == 0 {
            self.entries = Entries::new();
            self.heap = Heap::default();
            self.run = Run::default();
            self.wheel = None;
        } else if count < room / 4 && self.gone > room / 8 {
            // Keys are positions: only the room behind the last timer can go.
            self.entries.shrink_to_fit();
            self.gone = 0;
        }
    }
}
