//! Goal: a runtime's workers lose no task, whatever they do when it comes, and end with all of them.
//! Method: whole runtimes of one to three workers; tasks from outside and from inside, queues that overflow, tasks that block, shutdown in the middle.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_lite::future;
use shuttle::thread;

use crate::sync::{AtomicUsize, Mutex, Ordering, lock};
use crate::{Runtime, block_on, explore, spawn};

fn runtime(workers: usize) -> Runtime {
    Runtime::builder().workers(workers).build().unwrap()
}

/// Tasks that come while workers park, with one and with two.
#[test]
fn tasks_from_outside() {
    for workers in 1..=2 {
        explore(move || {
            let runtime = runtime(workers);
            let other = {
                let handle = runtime.handle().clone();
                thread::spawn(move || block_on(handle.spawn(async { 1 })))
            };
            let sum = block_on(runtime.spawn(async {
                future::yield_now().await;
                spawn(async { 2 }).await
            }));
            assert_eq!(sum + other.join().unwrap(), 3);
        });
    }
}

/// More than the local queue holds, from inside.
#[test]
fn a_crowd_from_inside() {
    explore(|| {
        const TASKS: usize = 9;
        let runtime = runtime(2);
        let sum = block_on(runtime.spawn(async {
            let tasks: Vec<_> = (0..TASKS)
                .map(|_| {
                    spawn(async {
                        future::yield_now().await;
                        1
                    })
                })
                .collect();
            let mut sum = 0;
            for task in tasks {
                sum += task.await;
            }
            sum
        }));
        assert_eq!(sum, TASKS);
    });
}

/// A single task behind one that blocks: nobody is called for it, but the warden takes it.
#[test]
fn a_task_behind_one_that_blocks() {
    explore(|| {
        let runtime = runtime(2);
        block_on(runtime.spawn(async {
            let (sender, receiver) = shuttle::sync::mpsc::channel();
            spawn(async move { sender.send(()).unwrap() }).detach();
            receiver.recv().unwrap();
        }));
    });
}

/// `block_on` in a task: its worker goes on with others.
#[test]
fn block_on_in_a_task() {
    for workers in 1..=2 {
        explore(move || {
            let runtime = runtime(workers);
            let task =
                runtime.spawn(async { block_on(spawn(async { block_on(spawn(async { 1 })) })) });
            assert_eq!(block_on(task), 1);
        });
    }
}

struct Token(Arc<AtomicUsize>);

impl Drop for Token {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The runtime ends while tasks wait, run, are woken and are spawned: all of them are dropped.
#[test]
fn the_end_among_tasks() {
    explore(|| {
        let runtime = runtime(2);
        let live = Arc::new(AtomicUsize::new(0));
        let token = || {
            live.fetch_add(1, Ordering::SeqCst);
            Token(live.clone())
        };
        for number in 0..3 {
            let token = token();
            let task = async move {
                let _token = token;
                match number {
                    0 => std::future::pending().await,
                    1 => spawn(std::future::pending()).await,
                    _ => loop {
                        // For schedulers that are not fair.
                        thread::yield_now();
                        future::yield_now().await;
                    },
                }
            };
            runtime.spawn(task).detach();
        }
        let spawning = {
            let (handle, token) = (runtime.handle().clone(), token());
            thread::spawn(move || {
                let task = handle.spawn(async move {
                    let _token = token;
                    std::future::pending::<()>().await;
                });
                task.detach();
            })
        };
        drop(runtime);
        spawning.join().unwrap();
        assert_eq!(live.load(Ordering::SeqCst), 0);
    });
}

/// A runtime that does not wait for a poll: its task goes when that ends.
#[test]
fn the_end_without_waiting() {
    explore(|| {
        let runtime = runtime(2);
        // Keeps what the workers share.
        let _handle = runtime.handle().clone();
        let live = Arc::new(AtomicUsize::new(1));
        let (sender, receiver) = shuttle::sync::mpsc::channel::<()>();
        let (gone, is_gone) = shuttle::sync::mpsc::channel::<()>();
        // In this order they are dropped, by a task that has not begun as well.
        let end = (Token(live.clone()), gone);
        let task = async move {
            let _end = end;
            let _ = receiver.recv();
            std::future::pending::<()>().await;
        };
        runtime.spawn(task).detach();
        runtime.shutdown_timeout(Duration::ZERO);
        drop(sender);
        assert!(is_gone.recv().is_err());
        assert_eq!(live.load(Ordering::SeqCst), 0);
    });
}

/// The same among threads that wake and spawn tasks: what they are about to push goes, too.
#[test]
fn the_end_without_waiting_among_wakers() {
    explore(|| {
        let runtime = runtime(1);
        // Keeps what the workers share, as long as this lasts.
        let handle = runtime.handle().clone();
        let live = Arc::new(AtomicUsize::new(2));
        let waker = Arc::<Mutex<Option<Waker>>>::default();
        let waits = {
            let (token, waker) = (Token(live.clone()), waker.clone());
            async move {
                let _token = token;
                poll_fn(|cx| {
                    *lock(&waker) = Some(cx.waker().clone());
                    Poll::<()>::Pending
                })
                .await;
            }
        };
        runtime.spawn(waits).detach();
        let waking = thread::spawn(move || {
            let taken = lock(&waker).take();
            taken.into_iter().for_each(Waker::wake);
        });
        let spawning = {
            let (handle, token) = (handle.clone(), Token(live.clone()));
            thread::spawn(move || {
                let pends = async move {
                    let _token = token;
                    std::future::pending::<()>().await;
                };
                handle.spawn(pends).detach();
            })
        };
        runtime.shutdown_timeout(Duration::ZERO);
        waking.join().unwrap();
        spawning.join().unwrap();
        while live.load(Ordering::SeqCst) > 0 {
            thread::yield_now();
        }
    });
}
