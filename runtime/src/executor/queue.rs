//! A runner's local queue: a bounded ring that its owner fills and empties, and from which others steal, plus one
//! slot for the task woken last.
//!
//! `head` and `tail` only ever grow; an item lives at `position % CAPACITY`. The owner alone moves `tail`; whoever takes
//! items moves `head` by compare-exchange, *after* it has copied them: a slot that was overwritten meanwhile means
//! that `head` has moved, so the exchange fails and the copies are thrown away. The counters do not wrap
//! within the life of a process, so the exchange cannot be fooled.

use std::ptr::{self, NonNull};

/// How many tasks wait here before half of them become a bale.
pub(crate) use crate::sync::QUEUE_CAPACITY as CAPACITY;
use crate::sync::{AtomicPtr, AtomicUsize, Ordering};

/// What the queue holds: a pointer that stands for one task and must be taken out exactly once.
pub(crate) type Item = NonNull<()>;

pub(crate) struct LocalQueue {
    head: Padded<AtomicUsize>,
    tail: Padded<AtomicUsize>,
    newest: AtomicPtr<()>,
    slots: Box<[AtomicPtr<()>]>,
}

/// Keeps what thieves write off the cache line that the owner writes.
#[repr(align(64))]
struct Padded<T>(T);

impl LocalQueue {
    pub(crate) fn new() -> LocalQueue {
        LocalQueue {
            head: Padded(AtomicUsize::new(0)),
            tail: Padded(AtomicUsize::new(0)),
            newest: AtomicPtr::new(ptr::null_mut()),
            slots: (0..CAPACITY).map(|_| AtomicPtr::new(ptr::null_mut())).collect(),
        }
    }

    /// How many tasks wait, the newest not counted. A guess unless the owner asks.
    pub(crate) fn len(&self) -> usize {
        // Head first: it can only grow, so the difference is never below zero.
        let head = self.head.0.load(Ordering::SeqCst);
        self.tail.0.load(Ordering::SeqCst) - head
    }

    pub(crate) fn has_newest(&self) -> bool {
        !self.newest.load(Ordering::SeqCst).is_null()
    }

    /// Owner only: puts a task into the slot for the newest, and gives back the one that was there.
    pub(crate) fn replace_newest(&self, item: Item) -> Option<Item> {
        // Relaxed: nobody else fills the slot, so it stays empty if it is.
        if self.newest.load(Ordering::Relaxed).is_null() {
            // Release: as below.
            self.newest.store(item.as_ptr(), Ordering::Release);
            return None;
        }
        // Release: the thief that takes the item sees the task. No Acquire: what we get is what we have put there.
        NonNull::new(self.newest.swap(item.as_ptr(), Ordering::Release))
    }

    /// Takes the newest task. For the owner, and for thieves that found nothing else.
    pub(crate) fn take_newest(&self) -> Option<Item> {
        // A plain look first: the slot is mostly empty, and a swap would take the line away from its owner.
        if self.newest.load(Ordering::Relaxed).is_null() {
            return None;
        }
        NonNull::new(self.newest.swap(ptr::null_mut(), Ordering::AcqRel))
    }

    /// Owner only: appends a task and says how many wait now, or gives it back if the ring is full.
    pub(crate) fn push(&self, item: Item) -> Result<usize, Item> {
        // Relaxed: only the owner writes `tail`.
        let tail = self.tail.0.load(Ordering::Relaxed);
        // Acquire: pairs with the thieves' exchange, so that they have read the slot we are about to write.
        let head = self.head.0.load(Ordering::Acquire);
        if tail - head >= CAPACITY {
            return Err(item);
        }
        // Relaxed: published by `tail`.
        self.slots[tail % CAPACITY].store(item.as_ptr(), Ordering::Relaxed);
        // Release: whoever sees the new tail sees the slot and the task behind it.
        self.tail.0.store(tail + 1, Ordering::Release);
        Ok(tail + 1 - head)
    }

    /// Takes the oldest task. Any thread may.
    pub(crate) fn pop(&self) -> Option<Item> {
        let mut head = self.head.0.load(Ordering::Acquire);
        loop {
            // Acquire: pairs with `push`.
            if self.tail.0.load(Ordering::Acquire) == head {
                return None;
            }
            let item = self.slots[head % CAPACITY].load(Ordering::Relaxed);
            // Release: the owner may write the slot again once it sees the new head. Acquire: as the first load.
            match self.head.0.compare_exchange_weak(
                head,
                head + 1,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return NonNull::new(item),
                Err(now) => head = now,
            }
        }
    }

    /// Moves half of this queue, rounded up, to `into`, whose owner the caller is and which must be empty.
    /// Returns how many. Nothing moves if fewer than `least` are there.
    pub(crate) fn steal_half(&self, into: &LocalQueue, least: usize) -> usize {
        let start = into.tail.0.load(Ordering::Relaxed);
        let count = self.take_half(least, |offset, item| {
            into.slots[(start + offset) % CAPACITY].store(item, Ordering::Relaxed);
        });
        if count > 0 {
            // Release: as in `push`.
            into.tail.0.store(start + count, Ordering::Release);
        }
        count
    }

    /// Moves the older half of this queue, rounded up, to `into`, which has room for half a queue. Returns how many.
    pub(crate) fn unload_half(&self, into: &mut [*mut ()]) -> usize {
        self.take_half(1, |offset, item| into[offset] = item)
    }

    /// Owner only: appends as many as there is room for, and says how many.
    pub(crate) fn extend(&self, items: &[*mut ()]) -> usize {
        let tail = self.tail.0.load(Ordering::Relaxed);
        // Orderings: as in `push`.
        let head = self.head.0.load(Ordering::Acquire);
        let count = items.len().min(CAPACITY - (tail - head));
        for (offset, &item) in items[..count].iter().enumerate() {
            self.slots[(tail + offset) % CAPACITY].store(item, Ordering::Relaxed);
        }
        self.tail.0.store(tail + count, Ordering::Release);
        count
    }

    /// Takes the older half, rounded up, if at least `least` are there, and says how many that were.
    ///
    /// `copy` gets each with its place among them, from 0 on again after a failed attempt: until this returns
    /// they are not the caller's.
    fn take_half(&self, least: usize, mut copy: impl FnMut(usize, *mut ())) -> usize {
        let mut head = self.head.0.load(Ordering::Acquire);
        loop {
            // Acquire: pairs with `push`.
            let tail = self.tail.0.load(Ordering::Acquire);
            let len = tail.wrapping_sub(head);
            if len == 0 || len < least {
                return 0;
            }
            if len > CAPACITY {
                // `head` is out of date: others have taken meanwhile, and the owner has pushed.
                head = self.head.0.load(Ordering::Acquire);
                continue;
            }
            let count = len - len / 2;
            for offset in 0..count {
                copy(offset, self.slots[(head + offset) % CAPACITY].load(Ordering::Relaxed));
            }
            match self.head.0.compare_exchange(
                head,
                head + count,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return count,
                Err(now) => head = now,
            }
        }
    }
}
