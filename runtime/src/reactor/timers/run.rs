//! The deadlines of the slot that the wheel stands in, and those that are due: sorted once, and taken from the front.
//!
//! Nodes come here in bulk, when the wheel enters a slot, and nobody tells their entries. One that is cancelled stays behind as a husk until its turn
//! comes, which is within the width of a slot: whoever takes a node has to look whether its entry is still its own.

use super::node::Node;

/// An empty run keeps room for so many nodes, and gives back the rest.
const ROOM_KEPT: usize = 1024;

#[derive(Default)]
pub(super) struct Run {
    nodes: Vec<Node>,
    /// The first node that has not been taken.
    next: usize,
}

impl Run {
    /// Takes in nodes, all of them later than those that are here.
    pub(super) fn append(&mut self, later: &mut Vec<Node>) {
        later.sort_unstable_by_key(Node::rank);
        debug_assert!(self.nodes.last().is_none_or(|last| {
            later.first().is_none_or(|first| last.deadline < first.deadline)
        }));
        if self.next > self.nodes.len() / 2 {
            self.nodes.drain(..self.next);
            self.next = 0;
        }
        self.nodes.append(later);
    }

    pub(super) fn first(&self) -> Option<Node> {
        self.nodes.get(self.next).copied()
    }

    /// Takes out the first node.
    pub(super) fn skip(&mut self) {
        self.next += 1;
        if self.next == self.nodes.len() {
            self.next = 0;
            self.nodes.clear();
            self.nodes.shrink_to(ROOM_KEPT);
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.nodes.capacity()
    }
}
