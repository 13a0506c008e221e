//! A channel from many to one, with or without a limit.
//!
//! ```
//! use smolkit_sync::mpsc;
//!
//! # smolkit_runtime::block_on(async {
//! let (sender, mut receiver) = mpsc::bounded(16);
//! for i in 0..4 {
//!     let sender = sender.clone();
//!     smolkit_runtime::spawn(async move { sender.send(i).await }).detach();
//! }
//! drop(sender);
//! let mut sum = 0;
//! while let Ok(i) = receiver.recv().await {
//!     sum += i;
//! }
//! assert_eq!(sum, 6);
//! # });
//! ```
//!
//! # This one or the other
//!
//! Take this one where one task receives and the messages are many or small; take [`channel`](crate::channel) (async-channel) where several
//! receive, where the receiver is shared, or where a program for smol should stay one. The errors are the same types, so that one can take the place of the other.
//!
//! | | `mpsc` | `channel` |
//! |---|---|---|
//! | receivers | one, and `recv` takes `&mut` | any number, cloned |
//! | a message, 1 → 1 and 4 → 1, 128 places | 16 ns | 36 to 38 ns (Tokio's mpsc: 50) |
//! | the same without limit | 15 ns | 39 ns (25 to 36) |
//! | the same with one place, where each message is a wake-up or two | 111 to 123 ns | 188 to 258 ns (140 to 148) |
//! | wakers | none is called under a lock | called under event-listener's lock |
//! | room | the first place of those that the receiver finds comes back at once, the others by halves | comes back with each message |
//! | turns | a sender that comes by may be faster than one that was called | the same |
//!
//! (Processor time, one and two workers on two virtual cores, `channels` in `benches/`: compare the columns, not machines.) It is a queue behind a mutex, without unsafe code; what makes it
//! cheap is that the receiver takes over all that is there at once, and then needs no lock for each.

mod receiver;
mod sender;

use std::collections::VecDeque;
use std::task::Waker;

use async_channel::TrySendError;

pub use self::receiver::Receiver;
pub use self::sender::Sender;
use crate::crowd::Crowd;
use crate::primitives::{Arc, Mutex, MutexGuard, lock};
use crate::wait_queue::{Calls, WaitQueue};

/// Makes a channel that holds at most `capacity` items: more senders wait.
///
/// # Panics
///
/// If `capacity` is 0.
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "a channel must have room for one item");
    channel(capacity)
}

/// Makes a channel that holds what memory holds: senders never wait.
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    channel(usize::MAX)
}

fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let state = State {
        queue: VecDeque::new(),
        taken: 0,
        senders: 1,
        room: WaitQueue::new(),
        is_closed: false,
        waker: None,
    };
    let shared = Arc::new(Shared { capacity, state: Mutex::new(state), closed: Crowd::new() });
    (Sender::new(shared.clone()), Receiver::new(shared))
}

struct Shared<T> {
    capacity: usize,
    state: Mutex<State<T>>,
    /// Senders that wait for the receiver to go.
    closed: Crowd,
}

struct State<T> {
    queue: VecDeque<T>,
    /// Places of items that the receiver has taken over, and not given back yet.
    taken: usize,
    senders: usize,
    /// Senders that wait for room. Under the same lock, so that to look and to wait are one step.
    room: WaitQueue,
    /// By the receiver: nothing comes in any more.
    is_closed: bool,
    /// The receiver's, while it waits.
    waker: Option<Waker>,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        lock(&self.state)
    }

    fn is_full(&self, state: &State<T>) -> bool {
        // Each of the two is at most the capacity.
        self.capacity != usize::MAX && state.queue.len() + state.taken >= self.capacity
    }

    /// Puts the item into the queue if there is room.
    fn push(&self, item: T, mut state: MutexGuard<'_, State<T>>) -> Result<(), TrySendError<T>> {
        if state.is_closed {
            return Err(TrySendError::Closed(item));
        }
        if self.is_full(&state) {
            return Err(TrySendError::Full(item));
        }
        state.queue.push_back(item);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Gives the places of items that are handed out back.
    fn release(&self, count: usize, mut state: MutexGuard<'_, State<T>>) {
        // Less than that only after a panic, when the place of an item that had stayed was given back twice.
        state.taken = state.taken.saturating_sub(count);
        let mut calls = Calls::default();
        for _ in 0..count {
            let Some((_, waker)) = state.room.call() else { break };
            calls.add(waker);
        }
        drop(state);
        calls.wake();
    }

    /// Nothing comes in any more: all who wait hear of it, even if a waker panics.
    fn close(&self, mut state: MutexGuard<'_, State<T>>) {
        state.is_closed = true;
        let mut senders = Calls::default();
        state.room.dismiss(&mut senders, |_| {});
        drop(state);
        let last = WakeOnDrop(&self.closed);
        senders.wake();
        drop(last);
    }
}

struct WakeOnDrop<'w>(&'w Crowd);

impl Drop for WakeOnDrop<'_> {
    fn drop(&mut self) {
        self.0.wake_all();
    }
}
