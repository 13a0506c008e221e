//! Goal: `block_on` works wherever it is called, ours and those of others, in all combinations (FAULTS R17).
//! Method: each nesting waits for timers and sockets, with one worker and with two, under a deadline.

mod support;

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use smolkit_runtime::{
    Async, Executor, Handle, LocalExecutor, Runtime, Timer, block_on, spawn, unblock,
};
use support::{TEST_MAX, within};

/// Timers and sockets, several one after the other: not only the first may be served.
async fn wait_a_little() {
    for _ in 0..3 {
        Timer::after(Duration::from_millis(3)).await;
        let (mut one, mut other) = Async::<UnixStream>::pair().unwrap();
        let reader = async {
            one.read_exact(&mut [0]).await.unwrap();
        };
        let writer = async {
            Timer::after(Duration::from_millis(1)).await;
            other.write_all(b"x").await.unwrap();
        };
        future::zip(reader, writer).await;
    }
}

fn foreign() {
    futures_executor::block_on(wait_a_little());
}

fn runtime(workers: usize) -> Runtime {
    Runtime::builder().workers(workers).build().unwrap()
}

#[test]
fn foreign_in_ours() {
    within(TEST_MAX, || block_on(async { foreign() }));
}

#[test]
fn foreign_in_ours_while_another_thread_drives() {
    within(TEST_MAX, || {
        let (stop, is_stopped) = mpsc::channel::<()>();
        let other = thread::spawn(move || {
            block_on(async {
                while is_stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
                    Timer::after(Duration::from_millis(2)).await;
                }
            });
        });
        block_on(async {
            for _ in 0..10 {
                foreign();
                wait_a_little().await;
            }
        });
        drop(stop);
        other.join().unwrap();
    });
}

/// One thread sleeps in a foreign `block_on` inside ours, and the one that drove meanwhile computes for long.
#[test]
fn foreign_in_ours_while_the_driver_is_busy() {
    within(TEST_MAX, || {
        let (release, gate) = mpsc::channel::<()>();
        let (busy, is_busy) = mpsc::channel();
        let driver = thread::spawn(move || {
            block_on(async {
                Timer::after(Duration::from_millis(20)).await;
                busy.send(()).unwrap();
                let _ = gate.recv();
            });
        });
        block_on(async {
            futures_executor::block_on(async {
                Timer::after(Duration::from_millis(1)).await;
                is_busy.recv().unwrap();
                wait_a_little().await;
            });
        });
        drop(release);
        driver.join().unwrap();
    });
}

#[test]
fn ours_in_foreign_in_ours() {
    within(TEST_MAX, || {
        block_on(async {
            futures_executor::block_on(async { block_on(wait_a_little()) });
            wait_a_little().await;
        });
    });
}

#[test]
fn ours_in_ours() {
    within(TEST_MAX, || {
        block_on(async {
            block_on(async { block_on(wait_a_little()) });
            wait_a_little().await;
        });
    });
}

#[test]
fn foreign_in_every_worker() {
    for workers in [1, 2] {
        within(TEST_MAX, move || {
            let runtime = runtime(workers);
            let tasks: Vec<_> =
                (0..workers * 4).map(|_| runtime.spawn(async { foreign() })).collect();
            futures_executor::block_on(async {
                for task in tasks {
                    task.await;
                }
            });
        });
    }
}

/// The foreign `block_on` runs an executor of ours, whose tasks have wakers of ours.
#[test]
fn our_executor_in_a_foreign_block_on() {
    fn run_one() {
        let executor = Executor::new();
        let task = executor.spawn(wait_a_little());
        futures_executor::block_on(executor.run(task));
        let local = LocalExecutor::new();
        let task = local.spawn(wait_a_little());
        futures_executor::block_on(local.run(task));
    }
    within(TEST_MAX, || {
        run_one();
        block_on(async { run_one() });
        let runtime = runtime(1);
        block_on(runtime.spawn(async { run_one() }));
    });
}

#[test]
fn ours_in_a_task() {
    for workers in [1, 2] {
        within(TEST_MAX, move || {
            let runtime = runtime(workers);
            let tasks: Vec<_> =
                (0..20).map(|_| runtime.spawn(async { block_on(wait_a_little()) })).collect();
            runtime.block_on(async {
                for task in tasks {
                    task.await;
                }
            });
        });
    }
}

#[test]
fn many_on_one_worker() {
    within(TEST_MAX, || {
        let runtime = runtime(1);
        let done = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..500)
            .map(|_| {
                let done = done.clone();
                runtime.spawn(async move {
                    block_on(async { Timer::after(Duration::from_millis(20)).await });
                    done.fetch_add(1, Ordering::SeqCst);
                })
            })
            .collect();
        block_on(async {
            for task in tasks {
                task.await;
            }
        });
        assert_eq!(done.load(Ordering::SeqCst), 500);
    });
}

#[test]
fn ours_and_foreign_in_unblock() {
    within(TEST_MAX, || {
        block_on(unblock(|| {
            block_on(wait_a_little());
            foreign();
        }));
        let runtime = runtime(1);
        block_on(runtime.spawn(async {
            block_on(unblock(|| block_on(wait_a_little())));
        }));
    });
}

#[test]
fn ours_in_a_local_executor_in_a_task() {
    within(TEST_MAX, || {
        let runtime = runtime(1);
        block_on(runtime.spawn(async {
            block_on(async {
                let local = LocalExecutor::new();
                let task = local.spawn(async {
                    block_on(wait_a_little());
                    foreign();
                });
                local.run(task).await;
            });
        }));
    });
}

#[test]
fn a_runtime_in_another_ones_worker() {
    within(TEST_MAX, || {
        let outer = runtime(1);
        block_on(outer.spawn(async {
            let inner = runtime(1);
            inner.block_on(async {
                spawn(wait_a_little()).await;
                wait_a_little().await;
            });
            let task = inner.spawn(async { foreign() });
            futures_executor::block_on(task);
        }));
    });
}

/// A task of one runtime waits in the `block_on` of another one; the tasks that its worker runs on top of it still are the first one's.
#[test]
fn tasks_on_top_spawn_where_they_belong() {
    within(TEST_MAX, || {
        let one = Runtime::builder().workers(1).thread_name("one").build().unwrap();
        let (entered, is_entered) = mpsc::channel();
        let is_done = Arc::new(AtomicBool::new(false));
        let waiting = {
            let is_done = is_done.clone();
            one.spawn(async move {
                let other = Runtime::builder().workers(1).thread_name("other").build().unwrap();
                entered.send(()).unwrap();
                other.block_on(async {
                    while !is_done.load(Ordering::SeqCst) {
                        Timer::after(Duration::from_millis(1)).await;
                    }
                    let name = spawn(async { thread::current().name().map(String::from) }).await;
                    assert_eq!(name.as_deref(), Some("other-0"));
                });
                let name = spawn(async { thread::current().name().map(String::from) }).await;
                assert_eq!(name.as_deref(), Some("one-0"));
            })
        };
        is_entered.recv().unwrap();
        let task = one.spawn(async move {
            let name = spawn(async { thread::current().name().map(String::from) }).await;
            is_done.store(true, Ordering::SeqCst);
            name
        });
        block_on(async {
            assert_eq!(task.await.as_deref(), Some("one-0"));
            waiting.await;
        });
    });
}

/// A guard of `enter` outlives the `block_on` in which it was made: that must be noticed, and harm nobody.
#[test]
fn a_guard_out_of_order() {
    within(TEST_MAX, || {
        let one = runtime(1);
        let late = one.handle().clone();
        // What the late guard keeps alive for ever is no leak as long as somebody can name it.
        static KEPT: OnceLock<Handle> = OnceLock::new();
        KEPT.get_or_init(|| late.clone());
        let two = runtime(1);
        let guard = two.block_on(async { late.enter() });
        assert!(Handle::try_current().is_err());
        drop(two);
        let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(guard)));
        assert!(dropped.is_err());
        assert!(Handle::try_current().is_err());
        let entered = one.enter();
        assert!(Handle::try_current().is_ok());
        drop(entered);
        assert!(Handle::try_current().is_err());
    });
}
