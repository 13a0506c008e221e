//! What heap, run and wheel sort, and the slab entry behind it.

use std::task::Waker;

use slab::Slab;

/// A deadline in nanoseconds, and whose it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) deadline: u64,
    /// Larger for every later insertion, which orders equal deadlines: those within 2^32 insertions of each other.
    pub(super) sequence: u32,
    /// Of its entry. Below 2^32: more entries than that take more than 100 GiB.
    pub(super) index: u32,
}

impl Node {
    /// Earlier nodes have lower ranks. One number, because it is compared often.
    pub(super) fn rank(&self) -> u128 {
        (u128::from(self.deadline) << 64)
            | (u128::from(self.sequence) << 32)
            | u128::from(self.index)
    }

    pub(super) fn index(&self) -> usize {
        self.index as usize
    }
}

pub(super) type Entries = Slab<Entry>;

pub(super) struct Entry {
    pub(super) sequence: u32,
    pub(super) place: Place,
    pub(super) waker: Waker,
}

/// Where an entry's node is, or was before the wheel entered its slot.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The number of a slot of the wheel, or `HEAP`.
    shelf: u32,
    position: u32,
}

const HEAP: u32 = u32::MAX;

impl Place {
    pub(super) fn in_heap(position: usize) -> Place {
        Place { shelf: HEAP, position: position as u32 }
    }

    pub(super) fn in_slot(slot: usize, position: usize) -> Place {
        Place { shelf: slot as u32, position: position as u32 }
    }

    /// The slot of the wheel; `None`: it is in the heap.
    pub(super) fn slot(self) -> Option<usize> {
        (self.shelf != HEAP).then_some(self.shelf as usize)
    }

    pub(super) fn position(self) -> usize {
        self.position as usize
    }
}
