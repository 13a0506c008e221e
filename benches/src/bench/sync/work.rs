//! What is done with them: each gives the number of its operations, and checks that every value came.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::kinds::{Broadcast, Notify, Oneshot, Watch};

pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How a task is started.
pub trait Spawn: Fn(Task) + Send + Sync {}

impl<S: Fn(Task) + Send + Sync> Spawn for S {}

/// As many pairs are made before they are used.
const PAIRS: u64 = 100;

/// A value that is there already. An operation: a channel, sent, received.
pub async fn sent(ends: impl Oneshot, times: u64) -> u64 {
    for number in 0..times {
        assert_eq!(sent_and_received(ends, number).await, number);
    }
    times
}

async fn sent_and_received<O: Oneshot>(ends: O, number: u64) -> u64 {
    let (sender, receiver) = ends.channel();
    O::send(sender, number);
    O::receive(receiver).await
}

/// Two tasks answer each other, each time through a new channel; both wait. An operation: a channel, sent, received.
pub async fn across<O: Oneshot>(ends: O, times: u64, spawn: &impl Spawn) -> u64 {
    let batches = times.div_ceil(2 * PAIRS);
    for _ in 0..batches {
        let (mut here, mut there) = (Vec::new(), Vec::new());
        for _ in 0..PAIRS {
            let ((ask, asked), (answer, answered)) = (ends.channel(), ends.channel());
            here.push((ask, answered));
            there.push((asked, answer));
        }
        spawn(Box::pin(async move {
            for (asked, answer) in there {
                let number = O::receive(asked).await;
                O::send(answer, number + 1);
            }
        }));
        let mut number = 0;
        for (ask, answered) in here {
            O::send(ask, number);
            number = O::receive(answered).await;
        }
        assert_eq!(number, PAIRS);
    }
    batches * 2 * PAIRS
}

/// Somebody was told before anybody waits. An operation: told, and not waited.
pub async fn permit<N: Notify>(times: u64) -> u64 {
    let notify = N::default();
    for _ in 0..times {
        notify.tell_one();
        notify.told().await;
    }
    times
}

/// Two tasks tell each other in turn. An operation: told, and waited.
pub async fn ping_pong<N: Notify>(times: u64, spawn: &impl Spawn) -> u64 {
    let turns = times.div_ceil(2);
    let both = Arc::new((N::default(), N::default()));
    let other = both.clone();
    spawn(Box::pin(async move {
        for _ in 0..turns {
            other.0.told().await;
            other.1.tell_one();
        }
    }));
    for _ in 0..turns {
        both.0.tell_one();
        both.1.told().await;
    }
    2 * turns
}

/// All of those who wait are told at once, and the last of them tells who has told them. An operation: one who was told.
pub async fn crowd<N: Notify>(times: u64, waiters: usize, spawn: &impl Spawn) -> u64 {
    let turns = times.div_ceil(waiters as u64 + 1);
    let both = Arc::new((N::default(), N::default()));
    let left = Arc::new(AtomicUsize::new(0));
    let ready = Arc::new(AtomicUsize::new(waiters));
    for _ in 0..waiters {
        let (both, left, ready) = (both.clone(), left.clone(), ready.clone());
        spawn(Box::pin(async move {
            let mut told = Box::pin(both.0.told());
            if ready.fetch_sub(1, Ordering::SeqCst) == 1 {
                both.1.tell_one();
            }
            for _ in 0..turns {
                told.as_mut().await;
                // The place for the next turn, before this one can end.
                told.set(both.0.told());
                if left.fetch_sub(1, Ordering::SeqCst) == 1 {
                    both.1.tell_one();
                }
            }
        }));
    }
    both.1.told().await;
    for _ in 0..turns {
        left.store(waiters, Ordering::SeqCst);
        both.0.tell_all();
        both.1.told().await;
    }
    turns * (waiters as u64 + 1)
}

/// All who watch see each value; the last of them answers through a channel of the same kind. An operation: a value that one has seen.
pub async fn watched<W: Watch>(ends: W, times: u64, watchers: usize, spawn: &impl Spawn) -> u64 {
    let turns = times.div_ceil(watchers as u64 + 1);
    let (sender, receiver) = ends.channel();
    let (answer, mut answered) = ends.channel();
    let last = Arc::new((AtomicUsize::new(0), std::sync::Mutex::new(answer)));
    for _ in 0..watchers {
        let (mut receiver, last) = (receiver.clone(), last.clone());
        spawn(Box::pin(async move {
            for turn in 1..=turns {
                assert_eq!(W::next(&mut receiver).await, turn);
                if last.0.fetch_sub(1, Ordering::SeqCst) == 1 {
                    W::set(&last.1.lock().expect("nothing panics under it"), turn);
                }
            }
        }));
    }
    drop(receiver);
    for turn in 1..=turns {
        last.0.store(watchers, Ordering::SeqCst);
        W::set(&sender, turn);
        assert_eq!(W::next(&mut answered).await, turn);
    }
    turns * (watchers as u64 + 1)
}

/// So many items at once to all who listen; who gets the last one answers through a channel of the same kind. An operation: an item that one has received.
pub async fn broadcast<B: Broadcast>(
    ends: B,
    times: u64,
    listeners: usize,
    burst: u64,
    spawn: &impl Spawn,
) -> u64 {
    let each = listeners as u64 * burst + 1;
    let turns = times.div_ceil(each);
    let (sender, receivers) = ends.channel(burst as usize, listeners);
    let (answer, mut answered) = ends.channel(1, 1);
    let last = Arc::new((AtomicUsize::new(0), answer));
    for mut receiver in receivers {
        let last = last.clone();
        spawn(Box::pin(async move {
            for turn in 1..=turns {
                for number in 0..burst {
                    assert_eq!(B::receive(&mut receiver).await, turn * burst + number);
                }
                if last.0.fetch_sub(1, Ordering::SeqCst) == 1 {
                    B::send(&last.1, turn).await;
                }
            }
        }));
    }
    for turn in 1..=turns {
        last.0.store(listeners, Ordering::SeqCst);
        for number in 0..burst {
            B::send(&sender, turn * burst + number).await;
        }
        assert_eq!(B::receive(&mut answered[0]).await, turn);
    }
    turns * each
}
