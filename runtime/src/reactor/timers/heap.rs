//! The deadlines that are near, or few: a 4-ary heap of nodes.
//!
//! Every node's entry knows its position, so that taking out any of them is a matter of one path in the heap.

use super::node::{Entries, Node, Place};

const ARITY: usize = 4;

#[derive(Default)]
pub(super) struct Heap {
    nodes: Vec<Node>,
}

impl Heap {
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The earliest node.
    pub(super) fn first(&self) -> Option<Node> {
        self.nodes.first().copied()
    }

    #[inline]
    pub(super) fn push(&mut self, node: Node, entries: &mut Entries) {
        let position = self.nodes.len();
        self.nodes.push(node);
        if position > 0 && node.rank() < self.nodes[(position - 1) / ARITY].rank() {
            self.sift_up(position, node, entries);
        } else {
            entries[node.index()].place = Place::in_heap(position);
        }
    }

    #[inline]
    pub(super) fn remove(&mut self, position: usize, entries: &mut Entries) {
        let last = self.nodes.pop().expect("there is a node at the position");
        if position == self.nodes.len() {
            return;
        }
        self.fill(position, last, entries);
    }

    /// The last node fills the gap at `position`, and goes where it belongs from there.
    fn fill(&mut self, position: usize, last: Node, entries: &mut Entries) {
        if position > 0 && last.rank() < self.nodes[(position - 1) / ARITY].rank() {
            self.sift_up(position, last, entries);
        } else {
            self.sift_down(position, last, entries);
        }
    }

    /// Moves the gap at `position` up until `node` fits in.
    fn sift_up(&mut self, mut position: usize, node: Node, entries: &mut Entries) {
        while position > 0 {
            let parent = (position - 1) / ARITY;
            if self.nodes[parent].rank() <= node.rank() {
                break;
            }
            self.put(position, self.nodes[parent], entries);
            position = parent;
        }
        self.put(position, node, entries);
    }

    /// Moves the gap at `position` down until `node` fits in.
    fn sift_down(&mut self, mut position: usize, node: Node, entries: &mut Entries) {
        loop {
            let first = position * ARITY + 1;
            let children = first..(first + ARITY).min(self.nodes.len());
            let Some(least) = children.min_by_key(|&child| self.nodes[child].rank()) else { break };
            if node.rank() <= self.nodes[least].rank() {
                break;
            }
            self.put(position, self.nodes[least], entries);
            position = least;
        }
        self.put(position, node, entries);
    }

    fn put(&mut self, position: usize, node: Node, entries: &mut Entries) {
        self.nodes[position] = node;
        entries[node.index()].place = Place::in_heap(position);
    }
}
