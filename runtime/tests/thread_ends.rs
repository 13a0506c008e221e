//! Goal: everything works in the destructors of a thread's locals, or says that it does not; nothing is left behind by a thread that ends.
//! Method: thread-locals that are made before and after the runtime's own, whose destructors wait, spawn, run executors and wake tasks.

mod support;

use std::cell::RefCell;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use futures_lite::{FutureExt, future};
use smolkit_runtime::{Executor, LocalExecutor, Runtime, Timer, block_on, spawn, unblock};
use support::{TEST_MAX, within};

/// Does `all_kinds` when it is dropped.
struct AtEnd(Sender<usize>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        self.0.send(all_kinds()).unwrap();
    }
}

thread_local! {
    static EARLY: RefCell<Option<AtEnd>> = const { RefCell::new(None) };
    static LATE: RefCell<Option<AtEnd>> = const { RefCell::new(None) };
    static KEPT: RefCell<Option<LocalExecutor<'static>>> = const { RefCell::new(None) };
}

fn all_kinds() -> usize {
    let mut done = 0;
    block_on(async {
        Timer::after(Duration::from_millis(1)).await;
        done += spawn(async {
            future::yield_now().await;
            1
        })
        .await;
        done += unblock(|| 1).await;
        let executor = Executor::new();
        let task = executor.spawn(async {
            Timer::after(Duration::from_millis(1)).await;
            1
        });
        done += executor.run(task).await;
        let executor = LocalExecutor::new();
        let task = executor.spawn(async { block_on(async { 1 }) });
        done += executor.run(task).await;
    });
    done
}

#[test]
fn in_destructors_of_locals() {
    within(TEST_MAX, || {
        let (sender, receiver) = channel();
        thread::spawn(move || {
            EARLY.with(|early| *early.borrow_mut() = Some(AtEnd(sender.clone())));
            assert_eq!(all_kinds(), 4);
            LATE.with(|late| *late.borrow_mut() = Some(AtEnd(sender)));
        })
        .join()
        .unwrap();
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [4, 4]);
    });
}

/// On a worker: its runner and its shard are gone when its locals go.
#[test]
fn in_destructors_of_a_worker() {
    within(TEST_MAX, || {
        let (sender, receiver) = channel();
        let runtime = Runtime::builder().workers(1).build().unwrap();
        block_on(runtime.spawn(async move {
            EARLY.with(|early| *early.borrow_mut() = Some(AtEnd(sender)));
        }));
        drop(runtime);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [4]);
    });
}

/// A local executor that ends with its thread, while another one wakes its task.
#[test]
fn a_local_executor_ends_with_its_thread() {
    within(TEST_MAX, || {
        for _ in 0..100 {
            let (sender, receiver) = channel();
            let thread = thread::spawn(move || {
                let executor = LocalExecutor::new();
                executor
                    .spawn(future::poll_fn(move |cx| {
                        sender.send(cx.waker().clone()).unwrap();
                        std::task::Poll::<()>::Pending
                    }))
                    .detach();
                block_on(executor.run(future::yield_now().or(future::yield_now())));
                KEPT.with(|kept| *kept.borrow_mut() = Some(executor));
            });
            if let Ok(waker) = receiver.recv() {
                for _ in 0..100 {
                    waker.wake_by_ref();
                }
            }
            thread.join().unwrap();
        }
    });
}
