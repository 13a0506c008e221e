//! Goal: whoever drives an executor, and however, its tasks all run.
//! Method: runners and ticks on several threads, a queue that overflows, runners that leave in the middle. A task that is left behind while
//! somebody sleeps is a deadlock.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Poll, Waker};

use futures_lite::future;
use shuttle::thread;

use crate::sync::{AtomicBool, AtomicUsize, Mutex, Ordering, lock};
use crate::{Executor, explore};

/// Something that tasks wait for.
#[derive(Default)]
struct Gate {
    is_open: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
}

impl Gate {
    fn open(&self) {
        self.is_open.store(true, Ordering::SeqCst);
        let wakers = std::mem::take(&mut *lock(&self.wakers));
        wakers.into_iter().for_each(Waker::wake);
    }

    fn wait(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        let gate = self.clone();
        poll_fn(move |cx| {
            lock(&gate.wakers).push(cx.waker().clone());
            if gate.is_open.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
    }
}

/// Opens a gate when so many have come.
struct Count {
    left: AtomicUsize,
    gate: Arc<Gate>,
}

impl Count {
    fn new(left: usize) -> Arc<Count> {
        Arc::new(Count { left: AtomicUsize::new(left), gate: Arc::default() })
    }

    fn come(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.gate.open();
        }
    }
}

fn run(executor: &Arc<Executor<'static>>, until: &Arc<Gate>) -> thread::JoinHandle<()> {
    let (executor, until) = (executor.clone(), until.clone());
    thread::spawn(move || shuttle::future::block_on(executor.run(until.wait())))
}

/// Tasks from outside, which wait for each other, on two runners.
#[test]
fn two_runners() {
    explore(|| {
        let executor: Arc<Executor<'static>> = Arc::default();
        let count = Count::new(3);
        let runners = [run(&executor, &count.gate), run(&executor, &count.gate)];
        let gate = Arc::<Gate>::default();
        for number in 0..3 {
            let (count, gate) = (count.clone(), gate.clone());
            let task = async move {
                if number == 2 {
                    gate.open();
                } else {
                    gate.wait().await;
                    future::yield_now().await;
                }
                count.come();
            };
            executor.spawn(task).detach();
        }
        runners.into_iter().for_each(|runner| runner.join().unwrap());
        assert!(executor.is_empty());
    });
}

/// A runner's queue overflows into bales, and somebody takes single tasks: whoever sleeps is called for what that leaves.
#[test]
fn a_tick_that_leaves_the_rest_of_a_bale() {
    explore(|| {
        const TASKS: usize = 7;
        let executor: Arc<Executor<'static>> = Arc::default();
        let count = Count::new(TASKS);
        {
            // A bale, and nobody who runs.
            let (inner, count) = (executor.clone(), count.clone());
            let spawner = async move {
                for _ in 0..TASKS {
                    let count = count.clone();
                    inner.spawn(async move { count.come() }).detach();
                }
            };
            let mut run = Box::pin(executor.run(spawner));
            let mut cx = std::task::Context::from_waker(Waker::noop());
            assert!(run.as_mut().poll(&mut cx).is_ready());
        }
        let ticking = {
            let executor = executor.clone();
            thread::spawn(move || executor.try_tick())
        };
        let runner = run(&executor, &count.gate);
        ticking.join().unwrap();
        runner.join().unwrap();
    });
}

/// A task waits, on its thread, for one that was spawned after it: another runner has to take that.
#[test]
fn a_task_that_blocks_its_runner() {
    explore(|| {
        const TASKS: usize = 7;
        let executor: Arc<Executor<'static>> = Arc::default();
        let end = Arc::<Gate>::default();
        let runners = [run(&executor, &end), run(&executor, &end)];
        let inner = executor.clone();
        let outer = async move {
            let (sender, receiver) = shuttle::sync::mpsc::channel();
            for _ in 0..TASKS {
                let sender = sender.clone();
                inner.spawn(async move { sender.send(()).unwrap() }).detach();
            }
            (0..TASKS).for_each(|_| receiver.recv().unwrap());
        };
        shuttle::future::block_on(executor.spawn(outer));
        end.open();
        runners.into_iter().for_each(|runner| runner.join().unwrap());
    });
}

/// The same with tasks from outside, of which a runner takes several at once.
#[test]
fn a_task_that_blocks_the_rest_of_its_batch() {
    explore(|| {
        const TASKS: usize = 4;
        let executor: Arc<Executor<'static>> = Arc::default();
        let end = Arc::<Gate>::default();
        let runners = [run(&executor, &end), run(&executor, &end)];
        let (sender, receiver) = shuttle::sync::mpsc::channel();
        let blocks = executor.spawn(async move {
            (0..TASKS).for_each(|_| receiver.recv().unwrap());
        });
        for _ in 0..TASKS {
            let sender = sender.clone();
            executor.spawn(async move { sender.send(()).unwrap() }).detach();
        }
        shuttle::future::block_on(blocks);
        end.open();
        runners.into_iter().for_each(|runner| runner.join().unwrap());
    });
}

/// A runner that has been called for a task, or has some, leaves.
#[test]
fn a_runner_that_leaves() {
    explore(|| {
        let executor: Arc<Executor<'static>> = Arc::default();
        let count = Count::new(4);
        let early = Arc::<Gate>::default();
        let runners = [run(&executor, &early), run(&executor, &count.gate)];
        for _ in 0..2 {
            let (inner, count) = (executor.clone(), count.clone());
            let task = async move {
                let child = count.clone();
                inner.spawn(async move { child.come() }).detach();
                future::yield_now().await;
                count.come();
            };
            executor.spawn(task).detach();
        }
        early.open();
        runners.into_iter().for_each(|runner| runner.join().unwrap());
    });
}

/// Ticks that wait, on two threads, and one of them gives up.
#[test]
fn ticks_on_two_threads() {
    explore(|| {
        let executor: Arc<Executor<'static>> = Arc::default();
        let count = Count::new(3);
        let tick = |until: &Arc<Gate>| {
            let (executor, until) = (executor.clone(), until.clone());
            thread::spawn(move || {
                shuttle::future::block_on(future::or(until.wait(), async {
                    loop {
                        executor.tick().await;
                    }
                }));
            })
        };
        let early = Arc::<Gate>::default();
        let tickers = [tick(&early), tick(&count.gate)];
        for _ in 0..3 {
            let count = count.clone();
            executor.spawn(async move { count.come() }).detach();
        }
        early.open();
        tickers.into_iter().for_each(|ticker| ticker.join().unwrap());
    });
}

/// Wakers on other threads while the executor is dropped: each future is dropped once, and nothing is touched after its end.
#[test]
fn a_drop_among_wakes() {
    explore(|| {
        struct Token(Arc<AtomicUsize>);
        impl Drop for Token {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let dropped = Arc::new(AtomicUsize::new(0));
        let executor = Executor::new();
        let gate = Arc::<Gate>::default();
        for is_woken in [true, true, false] {
            let (token, gate) = (Token(dropped.clone()), gate.clone());
            let task = async move {
                let _token = token;
                if is_woken {
                    gate.wait().await;
                }
                std::future::pending::<()>().await;
            };
            executor.spawn(task).detach();
        }
        (0..2).for_each(|_| assert!(executor.try_tick()));
        // The one that nobody wakes waits, too, or has not begun.
        thread::yield_now();
        executor.try_tick();
        let waking = {
            let gate = gate.clone();
            thread::spawn(move || gate.open())
        };
        drop(executor);
        assert_eq!(dropped.load(Ordering::SeqCst), 3);
        waking.join().unwrap();
    });
}
