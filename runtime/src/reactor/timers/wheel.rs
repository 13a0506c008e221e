//! The deadlines that are far and many: a hierarchy of slots, each level 64 times as coarse as the one below.
//!
//! A deadline is a number of finest slots with six bits to a digit. It stands on the level of the highest digit in which it differs from the
//! moment where the wheel stands (`base`), in the slot of that digit:
//!
//! ```text
//!   level 7 … 2          1         0      within a finest slot (262 µs): not in the wheel
//!   ........ ...... | 6 bits | 6 bits | 18 bits
//! ```
//!
//! All deadlines are later than the base, so a slot's number is above the base's digit, and no level ever wraps around. The earliest nodes are in the
//! first occupied slot of the lowest occupied level. When the base enters a slot, its nodes spread over the levels below.

use super::node::{Entries, Node, Place};

/// A finest slot is 2^18 ns (262 µs) wide. Most of a million timers within a second so move once between levels, each to a place far from
/// the last one's; sorting the 262 nodes of a slot when it is entered takes less than moving them once more.
const FINEST_BITS: u32 = 18;
const DIGIT_BITS: u32 = 6;
const SLOTS: usize = 1 << DIGIT_BITS;
/// Enough for 64 bits of nanoseconds.
const LEVELS: usize = (u64::BITS - FINEST_BITS).div_ceil(DIGIT_BITS) as usize;

/// An empty slot keeps room for so many nodes, and gives back the rest.
const ROOM_KEPT: usize = 64;
/// The earliest of so many is looked for again when it has been taken out.
const SEARCH_MAX: usize = 256;

pub(super) struct Wheel {
    /// One bit for each slot that has nodes.
    occupied: [u64; LEVELS],
    slots: [Slot; LEVELS * SLOTS],
}

#[derive(Default)]
struct Slot {
    nodes: Vec<Node>,
    /// No node is earlier.
    least: u64,
    /// The node that was the earliest is gone: `least` is a bound and no more.
    is_stale: bool,
}

/// The first nodes of the wheel.
pub(super) struct First {
    pub(super) slot: usize,
    /// When the slot begins.
    pub(super) start: u64,
    /// When it is over, less a nanosecond.
    pub(super) last: u64,
}

/// Whether a deadline can be in a wheel that stands at `base`.
pub(super) fn is_beyond(base: u64, deadline: u64) -> bool {
    deadline >> FINEST_BITS > base >> FINEST_BITS
}

impl Wheel {
    pub(super) fn new() -> Box<Wheel> {
        let slots = std::array::from_fn(|_| Slot::default());
        Box::new(Wheel { occupied: [0; LEVELS], slots })
    }

    /// `node` must be beyond `base`.
    pub(super) fn insert(&mut self, base: u64, node: Node, entries: &mut Entries) {
        let level = ((base ^ node.deadline) >> FINEST_BITS).ilog2() / DIGIT_BITS;
        let digit = (node.deadline >> shift(level)) as usize % SLOTS;
        let number = level as usize * SLOTS + digit;
        self.occupied[level as usize] |= 1 << digit;
        let slot = &mut self.slots[number];
        if slot.nodes.is_empty() || node.deadline <= slot.least {
            slot.least = node.deadline;
            slot.is_stale = false;
        }
        entries[node.index()].place = Place::in_slot(number, slot.nodes.len());
        slot.nodes.push(node);
    }

    /// Takes a node out, if it is still in that place.
    pub(super) fn remove(
        &mut self,
        number: usize,
        position: usize,
        index: u32,
        entries: &mut Entries,
    ) {
        let slot = &mut self.slots[number];
        if slot.nodes.get(position).is_none_or(|node| node.index != index) {
            return;
        }
        let removed = slot.nodes.swap_remove(position);
        if let Some(moved) = slot.nodes.get(position) {
            entries[moved.index()].place = Place::in_slot(number, position);
        }
        slot.is_stale |= removed.deadline == slot.least;
        if slot.nodes.is_empty() {
            self.occupied[number / SLOTS] &= !(1 << (number % SLOTS));
        }
        slot.give_back_room();
    }

    /// A moment up to which nothing is due: the earliest deadline, or, where finding that would take long, one before it.
    pub(super) fn first_deadline(&mut self) -> Option<u64> {
        let number = self.first_slot()?;
        let slot = &mut self.slots[number];
        if slot.is_stale && slot.nodes.len() <= SEARCH_MAX {
            slot.least = slot.nodes.iter().map(|node| node.deadline).min()?;
            slot.is_stale = false;
        }
        Some(slot.least)
    }

    /// The slot with the earliest nodes, in a wheel that stands at `base`.
    pub(super) fn first(&self, base: u64) -> Option<First> {
        let slot = self.first_slot()?;
        let level = (slot / SLOTS) as u32;
        // The digits above are those of the base. Above the highest level there are none.
        let above = u64::MAX.checked_shl(shift(level + 1)).unwrap_or(0);
        let start = (base & above) | ((slot % SLOTS) as u64) << shift(level);
        Some(First { slot, start, last: start | !(u64::MAX << shift(level)) })
    }

    /// Takes all nodes of a slot. The vector is to be brought back with `put_back`.
    pub(super) fn take(&mut self, number: usize) -> Vec<Node> {
        self.occupied[number / SLOTS] &= !(1 << (number % SLOTS));
        std::mem::take(&mut self.slots[number].nodes)
    }

    /// Gives a vector that was taken, and is empty now, back to its slot.
    pub(super) fn put_back(&mut self, number: usize, nodes: Vec<Node>) {
        let slot = &mut self.slots[number];
        slot.nodes = nodes;
        slot.give_back_room();
    }

    fn first_slot(&self) -> Option<usize> {
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        Some(level * SLOTS + self.occupied[level].trailing_zeros() as usize)
    }
}

impl Slot {
    fn give_back_room(&mut self) {
        let capacity = self.nodes.capacity();
        if capacity > ROOM_KEPT && self.nodes.len() < capacity / 4 {
            self.nodes.shrink_to(ROOM_KEPT.max(capacity / 2));
        }
    }
}

/// Where a level's digit begins in a deadline.
fn shift(level: u32) -> u32 {
    FINEST_BITS + level * DIGIT_BITS
}
