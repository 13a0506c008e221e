//! Goal: of completing, cancelling and waking a task at the same moment comes one outcome (FAULTS R18); an executor that is forgotten
//! does no harm (R20).
//! Method: three threads meet at a barrier round after round; what is made and what is dropped is counted.

mod support;

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use smolkit_runtime::{Executor, LocalExecutor, Task, block_on};
use support::{forget_reachable, rounds, within};

/// Counts how many of it there are.
struct Token(Arc<AtomicUsize>);

impl Token {
    fn new(live: &Arc<AtomicUsize>) -> Token {
        live.fetch_add(1, Ordering::SeqCst);
        Token(live.clone())
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What the three threads share in a round.
#[derive(Default)]
struct Round {
    is_set: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Round {
    async fn wait(&self) {
        poll_fn(|cx| {
            *self.waker.lock().unwrap() = Some(cx.waker().clone());
            if self.is_set.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn set(&self) {
        self.is_set.store(true, Ordering::SeqCst);
        let waker = self.waker.lock().unwrap().take();
        waker.into_iter().for_each(Waker::wake);
    }
}

#[test]
fn cancel_complete_and_wake() {
    let rounds = rounds(5_000, 1_000_000);
    within(Duration::from_secs(if rounds > 5_000 { 1_800 } else { 120 }), move || {
        let executor = Arc::new(Executor::new());
        let barrier = Arc::new(Barrier::new(3));
        let (to_waker, for_waker) = mpsc::channel::<Arc<Round>>();
        let (to_canceller, for_canceller) = mpsc::channel::<Task<Token>>();
        let waker = {
            let barrier = barrier.clone();
            thread::spawn(move || {
                for round in for_waker {
                    barrier.wait();
                    round.set();
                    barrier.wait();
                }
            })
        };
        let canceller = {
            let barrier = barrier.clone();
            thread::spawn(move || {
                let mut completed = 0;
                for task in for_canceller {
                    barrier.wait();
                    // Waits until the task has ended either way.
                    completed += usize::from(block_on(task.cancel()).is_some());
                    barrier.wait();
                }
                completed
            })
        };
        let (futures, outputs) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for number in 0..rounds {
            let round = Arc::new(Round::default());
            let task = {
                let (round, inside, outputs) =
                    (round.clone(), Token::new(&futures), outputs.clone());
                executor.spawn(async move {
                    round.wait().await;
                    drop(inside);
                    Token::new(&outputs)
                })
            };
            // Half of the rounds begin with a task that waits, half with one that has not begun.
            if number % 2 == 0 {
                executor.try_tick();
            }
            to_waker.send(round).unwrap();
            to_canceller.send(task).unwrap();
            barrier.wait();
            while !executor.is_empty() {
                executor.try_tick();
            }
            barrier.wait();
            assert_eq!(futures.load(Ordering::SeqCst), 0, "the future was not dropped once");
            assert_eq!(outputs.load(Ordering::SeqCst), 0, "the output was not dropped once");
        }
        drop((to_waker, to_canceller));
        waker.join().unwrap();
        assert!(canceller.join().unwrap() <= rounds);
    });
}

#[test]
fn forgotten_executors() {
    let live = Arc::new(AtomicUsize::new(0));
    let waiting = |live: &Arc<AtomicUsize>| {
        let token = Token::new(live);
        async move {
            let _token = token;
            std::future::pending::<()>().await;
        }
    };
    {
        // What the tasks borrow is gone before they are: they must never run again.
        let borrowed = AtomicUsize::new(0);
        let executor = Executor::new();
        let local = LocalExecutor::new();
        for _ in 0..100 {
            executor.spawn(async { borrowed.fetch_add(1, Ordering::SeqCst) }).detach();
            local.spawn(async { borrowed.fetch_add(1, Ordering::SeqCst) }).detach();
            executor.spawn(waiting(&live)).detach();
            local.spawn(waiting(&live)).detach();
        }
        for _ in 0..50 {
            assert!(executor.try_tick() && local.try_tick());
        }
        assert!(borrowed.load(Ordering::SeqCst) > 0);
        forget_reachable(executor);
        forget_reachable(local);
    }
    assert_eq!(live.load(Ordering::SeqCst), 200, "leaked, and not dropped");
}
