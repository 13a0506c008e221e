//! Goal: an executor runs its tasks however it is driven (FAULTS R15, R16, R17, R14).
//! Method: tick from another thread, runners dropped in the middle, executors inside executors, block_on inside everything.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use futures_lite::future;
use smolkit_runtime::{Executor, LocalExecutor, Runtime, Timer, block_on, spawn, unblock};
use support::{TEST_MAX, rounds, within};

#[test]
fn spawned_here_ticked_there() {
    within(TEST_MAX, || {
        let executor = Arc::new(Executor::new());
        let done = Arc::new(AtomicUsize::new(0));
        // Tasks that spawn tasks, from inside a runner that is then gone.
        let spawner = {
            let (executor, done) = (executor.clone(), done.clone());
            async move {
                for _ in 0..1_000 {
                    let done = done.clone();
                    executor.spawn(async move { done.fetch_add(1, Ordering::SeqCst) }).detach();
                }
            }
        };
        block_on(executor.run(spawner));
        let ticker = executor.clone();
        thread::spawn(move || {
            block_on(async {
                while !ticker.is_empty() {
                    ticker.tick().await;
                }
            });
        })
        .join()
        .unwrap();
        assert_eq!(done.load(Ordering::SeqCst), 1_000);
    });
}

#[test]
fn a_cancelled_runner_loses_nothing() {
    within(TEST_MAX, || {
        for _ in 0..50 {
            let done = AtomicUsize::new(0);
            let executor = Executor::new();
            let tasks: Vec<_> = (0..500)
                .map(|_| {
                    executor.spawn(async {
                        future::yield_now().await;
                        done.fetch_add(1, Ordering::SeqCst);
                    })
                })
                .collect();
            {
                let mut run = Box::pin(executor.run(future::pending::<()>()));
                // One poll takes a share into the runner's own queue.
                block_on(async { assert!(future::poll_once(&mut run).await.is_none()) });
            }
            block_on(executor.run(async {
                for task in tasks {
                    task.await;
                }
            }));
            assert_eq!(done.load(Ordering::SeqCst), 500);
        }
    });
}

#[test]
fn several_runners_share_and_finish() {
    within(TEST_MAX, || {
        let executor = Arc::new(Executor::new());
        let (stop, stopped) = mpsc_future();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (executor, stopped) = (executor.clone(), stopped.clone());
                thread::spawn(move || block_on(executor.run(stopped.wait())))
            })
            .collect();
        for _ in 0..rounds(20_000, 1_000_000) {
            let inner = executor.clone();
            let task = executor.spawn(async move { inner.spawn(async { 1 }).await + 1 });
            assert_eq!(block_on(task), 2);
        }
        stop.set();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn executors_inside_executors() {
    within(TEST_MAX, || {
        let outer = Executor::new();
        let answer = block_on(outer.run(async {
            let inner = LocalExecutor::new();
            let task = inner.spawn(async {
                let innermost = Executor::new();
                let task = innermost.spawn(async { 42 });
                innermost.run(task).await
            });
            let other = outer.spawn(async { 1 });
            inner.run(async { task.await + other.await }).await
        }));
        assert_eq!(answer, 43);
    });
}

#[test]
fn block_on_inside_everything() {
    within(TEST_MAX, || {
        let one = Runtime::builder().workers(1).build().unwrap();
        // Inside block_on.
        assert_eq!(block_on(async { block_on(async { block_on(spawn(async { 1 })) }) }), 1);
        // Inside unblock.
        assert_eq!(block_on(unblock(|| block_on(spawn(async { 2 })))), 2);
        // Inside a task, for a task of the same and only worker, and for a timer.
        let task = one.spawn(async {
            let other = spawn(async {
                Timer::after(Duration::from_millis(5)).await;
                3
            });
            block_on(async { other.await + block_on(spawn(async { 0 })) })
        });
        assert_eq!(block_on(task), 3);
        // Woken from a thread outside.
        let task = one.spawn(async { block_on(unblock(|| 4)) });
        assert_eq!(block_on(task), 4);
    });
}

#[test]
fn local_ping_pong_does_not_starve_the_injector() {
    within(TEST_MAX, || {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        runtime
            .spawn(async {
                loop {
                    spawn(future::yield_now()).await;
                }
            })
            .detach();
        for _ in 0..rounds(1_000, 10_000) {
            block_on(runtime.spawn(async {}));
        }
    });
}

#[test]
fn self_wakers_starve_neither_timers_nor_io() {
    within(TEST_MAX, || {
        let runtime = Runtime::builder().workers(2).build().unwrap();
        for _ in 0..4 {
            runtime
                .spawn(async {
                    loop {
                        future::yield_now().await;
                    }
                })
                .detach();
        }
        for _ in 0..100 {
            block_on(runtime.spawn(async { Timer::after(Duration::from_millis(1)).await }));
        }
    });
}

#[test]
fn a_task_behind_one_that_blocks_is_run_by_another_worker() {
    within(TEST_MAX, || {
        let runtime = Runtime::builder().workers(2).build().unwrap();
        let answer = block_on(runtime.spawn(async {
            let (sender, receiver) = std::sync::mpsc::channel();
            spawn(async move { sender.send(7).unwrap() }).detach();
            // Blocks the worker: the child is right behind it.
            receiver.recv().unwrap()
        }));
        assert_eq!(answer, 7);
    });
}

#[test]
fn borrowed_data_and_forgotten_executors() {
    let text = String::from("borrowed");
    let executor = Executor::new();
    let task = executor.spawn(async { text.len() });
    assert_eq!(block_on(executor.run(task)), 8);
    executor.spawn(async { drop(Box::new(1)) }).detach();
}

#[test]
fn large_futures() {
    // Moved to the heap before anything else is done with them.
    let block = [7u8; 64 * 1024];
    let task = spawn(async move {
        future::yield_now().await;
        block.iter().map(|&byte| usize::from(byte)).sum::<usize>()
    });
    assert_eq!(block_on(task), 7 * 64 * 1024);
}

/// A flag that many can wait for.
fn mpsc_future() -> (Flag, Flag) {
    let flag = Flag::default();
    (flag.clone(), flag)
}

#[derive(Clone, Default)]
struct Flag(Arc<std::sync::Mutex<(bool, Vec<std::task::Waker>)>>);

impl Flag {
    fn set(&self) {
        let wakers = {
            let mut state = self.0.lock().unwrap();
            state.0 = true;
            std::mem::take(&mut state.1)
        };
        wakers.into_iter().for_each(std::task::Waker::wake);
    }

    async fn wait(&self) {
        std::future::poll_fn(|cx| {
            let mut state = self.0.lock().unwrap();
            if state.0 {
                return std::task::Poll::Ready(());
            }
            state.1.push(cx.waker().clone());
            std::task::Poll::Pending
        })
        .await;
    }
}
