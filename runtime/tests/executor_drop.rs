//! Goal: dropping an executor races with nothing: no use after free, no task left behind (FAULTS R2, R3).
//! Method: a waker is called, cloned and dropped on another thread while the executor is dropped; the memory checkers run this file.

mod support;

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Barrier, Mutex};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use smolkit_runtime::{Executor, LocalExecutor, Runtime};
use support::{TEST_MAX, rounds, within};

struct CountDrop(Arc<AtomicUsize>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_wake_races_with_the_drop() {
    within(Duration::from_secs(1_000), || {
        let count = rounds(5_000, 200_000);
        let drops = Arc::new(AtomicUsize::new(0));
        let barrier = Arc::new(Barrier::new(2));
        let (sender, receiver) = mpsc::channel::<std::task::Waker>();
        let waking = {
            let barrier = barrier.clone();
            thread::spawn(move || {
                for waker in receiver {
                    barrier.wait();
                    waker.wake_by_ref();
                    let clone = waker.clone();
                    clone.wake();
                }
            })
        };
        for _ in 0..count {
            let executor = Executor::new();
            let guard = CountDrop(drops.clone());
            let sender = sender.clone();
            executor
                .spawn(poll_fn(move |cx| {
                    let _ = &guard;
                    sender.send(cx.waker().clone()).unwrap();
                    Poll::<()>::Pending
                }))
                .detach();
            assert!(executor.try_tick());
            barrier.wait();
            drop(executor);
        }
        drop(sender);
        waking.join().unwrap();
        assert_eq!(
            drops.load(Ordering::SeqCst),
            count,
            "every future was dropped with its executor"
        );
    });
}

#[test]
fn wakers_outlive_the_executor() {
    let executor = Executor::new();
    let (sender, receiver) = mpsc::channel();
    let task = executor.spawn(poll_fn(move |cx| {
        sender.send(cx.waker().clone()).unwrap();
        Poll::<()>::Pending
    }));
    assert!(executor.try_tick());
    task.detach();
    let waker = receiver.recv().unwrap();
    drop(executor);
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let waker = waker.clone();
            thread::spawn(move || {
                for _ in 0..rounds(10_000, 1_000_000) {
                    let clone = waker.clone();
                    clone.wake();
                    waker.wake_by_ref();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_local_task_is_dropped_at_home() {
    // FAULTS R4: its handle is cancelled on another thread.
    struct AtHome(thread::ThreadId);
    impl Drop for AtHome {
        fn drop(&mut self) {
            assert_eq!(thread::current().id(), self.0);
        }
    }
    let executor = LocalExecutor::new();
    let guard = AtHome(thread::current().id());
    let task = executor.spawn(async move {
        let _guard = guard;
        std::future::pending::<()>().await;
    });
    executor.try_tick();
    thread::spawn(move || drop(task)).join().unwrap();
    while executor.try_tick() {}
    assert!(executor.is_empty());
}

#[test]
fn destructors_that_wake_their_siblings() {
    // FAULTS R6: each of a hundred tasks wakes all the others when it is dropped.
    struct WakeAll(Arc<Mutex<Vec<std::task::Waker>>>);
    impl Drop for WakeAll {
        fn drop(&mut self) {
            let wakers = self.0.lock().unwrap().clone();
            wakers.into_iter().for_each(std::task::Waker::wake);
        }
    }
    within(TEST_MAX, || {
        let runtime = smolkit_runtime::Runtime::builder().workers(2).build().unwrap();
        let wakers = Arc::new(Mutex::new(Vec::new()));
        let (started, all_started) = mpsc::channel();
        for _ in 0..100 {
            let (guard, started) = (WakeAll(wakers.clone()), started.clone());
            let mut is_first = true;
            runtime
                .spawn(poll_fn(move |cx| {
                    if std::mem::take(&mut is_first) {
                        guard.0.lock().unwrap().push(cx.waker().clone());
                        started.send(()).unwrap();
                    }
                    Poll::<()>::Pending
                }))
                .detach();
        }
        (0..100).for_each(|_| all_started.recv().unwrap());
        drop(runtime);
        wakers.lock().unwrap().clear();
    });
}

/// Goal: a task that nobody will ever wake is dropped with its executor, even if nobody holds it any more.
/// Method: detached tasks that wait without keeping a waker, on every kind of executor; their destructors are counted.
#[test]
fn a_task_that_nobody_wakes_is_dropped_with_its_executor() {
    struct Note(Arc<AtomicUsize>);
    impl Drop for Note {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    const TASKS: usize = 100;
    let dropped = Arc::new(AtomicUsize::new(0));
    let forgotten = || {
        let note = Note(dropped.clone());
        async move {
            let _note = note;
            std::future::pending::<()>().await;
        }
    };

    let ex = Executor::new();
    (0..TASKS).for_each(|_| ex.spawn(forgotten()).detach());
    while ex.try_tick() {}
    assert!(!ex.is_empty());
    drop(ex);
    assert_eq!(dropped.load(Ordering::SeqCst), TASKS);

    let ex = LocalExecutor::new();
    (0..TASKS).for_each(|_| ex.spawn(forgotten()).detach());
    while ex.try_tick() {}
    assert!(!ex.is_empty());
    drop(ex);
    assert_eq!(dropped.load(Ordering::SeqCst), 2 * TASKS);

    let runtime = Runtime::builder().workers(2).build().unwrap();
    (0..TASKS).for_each(|_| runtime.spawn(forgotten()).detach());
    drop(runtime);
    assert_eq!(dropped.load(Ordering::SeqCst), 3 * TASKS);
}
