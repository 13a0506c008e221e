//! Goal: a runtime is what its builder says, several live side by side, and `enter` and handles mean the right one.
//! Method: names, hooks, numbers and threads are looked at from inside; a process of its own for what must not be started.

mod support;

use std::collections::HashSet;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use smolkit_runtime::{Async, Handle, Runtime, Timer, block_on, spawn, unblock};
use support::{STEP_MAX, TEST_MAX, alone, wait_until, within};

async fn thread_name() -> String {
    thread::current().name().unwrap_or_default().into()
}

#[test]
fn side_by_side() {
    within(TEST_MAX, || {
        let make = |name: &str| Runtime::builder().workers(1).thread_name(name).build().unwrap();
        let (one, two) = (make("one"), make("two"));
        assert!(Handle::try_current().is_err());
        let guard = one.enter();
        assert_eq!(block_on(spawn(thread_name())), "one-0");
        {
            let _inner = two.handle().enter();
            assert_eq!(block_on(spawn(thread_name())), "two-0");
            one.block_on(async { assert_eq!(spawn(thread_name()).await, "one-0") });
            assert_eq!(block_on(Handle::current().spawn(thread_name())), "two-0");
        }
        assert_eq!(block_on(spawn(thread_name())), "one-0");
        drop(guard);
        assert!(Handle::try_current().is_err());
        // A task of one runtime uses the other one.
        let handle = two.handle().clone();
        let task = one.spawn(async move {
            assert_eq!(spawn(thread_name()).await, "one-0");
            handle.spawn(thread_name()).await
        });
        assert_eq!(two.block_on(task), "two-0");
    });
}

#[test]
fn a_handle_outlives_its_runtime() {
    within(TEST_MAX, || {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let handle = runtime.handle().clone();
        drop(runtime);
        let task = handle.spawn(async { 1 });
        assert_eq!(block_on(task.fallible()), None);
        assert_eq!(handle.block_on(async { 2 }), 2);
        let _entered = handle.enter();
        assert_eq!(block_on(spawn(async {}).fallible()), None);
    });
}

#[test]
fn hooks() {
    within(TEST_MAX, || {
        let calls: Arc<[AtomicUsize; 4]> = Arc::default();
        let hook = |i: usize| {
            let calls = calls.clone();
            move || {
                calls[i].fetch_add(1, Ordering::SeqCst);
                assert_ne!(thread::current().name(), None);
            }
        };
        let count = |i: usize| calls[i].load(Ordering::SeqCst);
        let builder =
            Runtime::builder().workers(2).on_thread_start(hook(0)).on_thread_stop(hook(1));
        let runtime = builder.on_thread_park(hook(2)).on_thread_unpark(hook(3)).build().unwrap();
        block_on(runtime.spawn(async { Timer::after(Duration::from_millis(1)).await }));
        wait_until("both have started and parked", || count(0) == 2 && count(2) > 0);
        wait_until("one was unparked", || count(3) > 0);
        assert_eq!(count(1), 0);
        drop(runtime);
        assert_eq!(count(1), 2);
        assert_eq!(count(2), count(3));
    });
}

/// A worker that is in its hook is not one that looks for tasks.
#[test]
fn a_hook_that_waits_for_a_task() {
    within(TEST_MAX, || {
        let (sender, receiver) = mpsc::channel();
        let first = Mutex::new(Some(receiver));
        let hook = move || {
            let receiver = first.lock().unwrap().take();
            receiver.into_iter().for_each(|receiver| receiver.recv().unwrap());
        };
        let runtime = Runtime::builder().workers(2).on_thread_unpark(hook).build().unwrap();
        // Mostly both sleep then.
        thread::sleep(Duration::from_millis(100));
        // Wakes one of them, which waits in its hook for the task.
        runtime.spawn(async move { sender.send(()).unwrap() }).detach();
        let next = runtime.spawn(async { 7 });
        assert_eq!(block_on(next), 7);
    });
}

/// A hook that is called before the sleep may spawn: the task is no reason to wake the worker, for it is awake.
#[test]
fn a_hook_that_spawns_before_the_sleep() {
    within(TEST_MAX, || {
        for workers in [1, 2] {
            let done = Arc::new(AtomicUsize::new(0));
            let is_first = AtomicBool::new(true);
            let hook = {
                let done = done.clone();
                move || {
                    if is_first.swap(false, Ordering::SeqCst) {
                        let done = done.clone();
                        spawn(async move { done.fetch_add(1, Ordering::SeqCst) }).detach();
                    }
                }
            };
            let _runtime =
                Runtime::builder().workers(workers).on_thread_park(hook).build().unwrap();
            wait_until("the hook's task runs", || done.load(Ordering::SeqCst) == 1);
        }
    });
}

#[test]
fn metrics() {
    within(TEST_MAX, || {
        let runtime = Runtime::builder().workers(2).build().unwrap();
        let metrics = runtime.metrics();
        assert_eq!(metrics.workers(), 2);
        let tasks: Vec<_> = (0..1_000)
            .map(|_| runtime.spawn(async { Timer::after(Duration::from_millis(1)).await }))
            .collect();
        block_on(async {
            for task in tasks {
                task.await;
            }
        });
        wait_until("polls are published", || metrics.polls() >= 1_000);
        // A worker that has nothing to do parks for good; what it is woken for once more ends that.
        wait_until("a worker has parked, and again", || {
            block_on(runtime.spawn(async { Timer::after(Duration::from_millis(1)).await }));
            metrics.parks() >= 2
        });
        assert_eq!((metrics.injector_depth(), metrics.local_queue_depth()), (0, 0));
        // Tasks that wait behind one that does not end can be seen.
        let (release, stuck) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for _ in 0..2 {
            let (release, stuck) = (release.clone(), stuck.clone());
            runtime
                .spawn(async move {
                    stuck.fetch_add(1, Ordering::SeqCst);
                    wait_until("the release", || release.load(Ordering::SeqCst) > 0);
                })
                .detach();
        }
        wait_until("both workers are stuck", || stuck.load(Ordering::SeqCst) == 2);
        let waiting: Vec<_> = (0..10).map(|_| runtime.spawn(async {})).collect();
        wait_until("ten tasks wait", || {
            metrics.injector_depth() + metrics.local_queue_depth() >= 10
        });
        release.store(1, Ordering::SeqCst);
        block_on(async {
            for task in waiting {
                task.await;
            }
        });
    });
}

#[test]
fn ends_within_its_deadline() {
    struct Gone(Arc<AtomicUsize>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    within(TEST_MAX, || {
        for timeout in [Some(Duration::ZERO), Some(Duration::from_millis(50)), None] {
            let runtime = Runtime::builder().workers(2).build().unwrap();
            let gone = Arc::new(AtomicUsize::new(0));
            let (release, gate) = std::sync::mpsc::channel::<()>();
            let (entered, is_entered) = std::sync::mpsc::channel();
            let guard = Gone(gone.clone());
            runtime
                .spawn(async move {
                    let _guard = guard;
                    entered.send(()).unwrap();
                    let _ = gate.recv();
                    std::future::pending::<()>().await;
                })
                .detach();
            for _ in 0..100 {
                let guard = Gone(gone.clone());
                runtime
                    .spawn(async move {
                        let _guard = guard;
                        Timer::after(Duration::from_secs(3_600)).await;
                    })
                    .detach();
            }
            is_entered.recv().unwrap();
            let start = Instant::now();
            match timeout {
                Some(timeout) => runtime.shutdown_timeout(timeout),
                None => runtime.shutdown_background(),
            }
            assert!(start.elapsed() < STEP_MAX);
            // The other worker may have been in a poll just then.
            wait_until("all that wait are dropped", || gone.load(Ordering::SeqCst) == 100);
            drop(release);
            wait_until("the last one is dropped too", || gone.load(Ordering::SeqCst) == 101);
        }
        Runtime::builder().workers(1).build().unwrap().shutdown_timeout(Duration::MAX);
    });
}

/// `helper_threads(false)`: no thread but the workers, whatever is done; and what needs one says so or does without.
#[cfg(target_os = "linux")]
#[test]
fn no_helper_threads() {
    alone("no_helper_threads", || {
        let ids = || -> HashSet<u32> { support::threads().map(|thread| thread.id()).collect() };
        let before = ids();
        let runtime = Runtime::builder().workers(2).helper_threads(false).build().unwrap();
        // Bound to the common shard: that of threads in `block_on`.
        let (mut one, mut other) = runtime.block_on(async {
            let (mut one, other) = Async::<UnixStream>::pair().unwrap();
            assert!(futures_lite::future::poll_once(one.read(&mut [0])).await.is_none());
            (one, other)
        });
        let error = runtime.block_on(runtime.spawn(async move {
            let error = one.read(&mut [0]).await.expect_err("nobody drives the common shard");
            other.write_all(b"x").await.unwrap();
            drop((one, other));
            error
        }));
        assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("helper_threads(false)"), "{error}");
        for _ in 0..3 {
            runtime.block_on(runtime.spawn(async {
                let caller = thread::current().id();
                assert_eq!(unblock(move || thread::current().id()).await, caller);
                Timer::after(Duration::from_millis(1)).await;
                let (mut one, mut other) = Async::<UnixStream>::pair().unwrap();
                other.write_all(b"x").await.unwrap();
                one.read_exact(&mut [0]).await.unwrap();
                // One worker of two: the other one stands in.
                futures_executor::block_on(Timer::after(Duration::from_millis(5)));
            }));
            runtime.block_on(async {
                Timer::after(Duration::from_millis(1)).await;
                spawn(async { Timer::after(Duration::from_millis(1)).await }).await;
            });
        }
        assert_eq!(ids().difference(&before).count(), 2, "the workers and nobody else");
    });
}

/// Whatever a stack's size is said to be, the runtime works or is refused with an error.
#[test]
fn stacks_of_every_size() {
    within(TEST_MAX, || {
        for bytes in [0, 1, 4096, 64 << 10, (64 << 10) + 1, 8 << 20] {
            let runtime = Runtime::builder().workers(1).thread_stack_size(bytes).build().unwrap();
            let text = block_on(runtime.spawn(async {
                Timer::after(Duration::from_millis(1)).await;
                let (mut one, mut other) = Async::<UnixStream>::pair().unwrap();
                other.write_all(b"x").await.unwrap();
                one.read_exact(&mut [0]).await.unwrap();
                format!("{:?}", thread::current().name())
            }));
            assert!(text.contains("smolkit-worker-0"), "{bytes}");
        }
        for bytes in [usize::MAX, usize::MAX / 2, 1 << 60] {
            let builder = Runtime::builder().workers(2).thread_stack_size(bytes);
            assert!(builder.build().is_err(), "{bytes}");
        }
    });
}

#[test]
fn names_of_every_length() {
    within(TEST_MAX, || {
        for name in ["", "a-name-that-is-longer-than-the-kernel-keeps", "Größe"] {
            let runtime = Runtime::builder().workers(1).thread_name(name).build().unwrap();
            assert_eq!(block_on(runtime.spawn(thread_name())), format!("{name}-0"));
        }
    });
}

#[test]
#[should_panic(expected = "thread_name: \"a\\0b\" has a zero byte in it")]
fn a_name_with_a_zero_byte() {
    let _ = Runtime::builder().thread_name("a\0b");
}

/// Hooks may do what tasks may: spawn, wait, and end the runtime.
#[test]
fn hooks_that_use_the_runtime() {
    within(TEST_MAX, || {
        for workers in [1, 2] {
            let waited = Arc::new(AtomicUsize::new(0));
            let hook = || {
                let waited = waited.clone();
                let is_inside = AtomicBool::new(false);
                move || {
                    if is_inside.swap(true, Ordering::SeqCst) {
                        return;
                    }
                    if waited.load(Ordering::SeqCst) < 100 {
                        block_on(spawn(async { Timer::after(Duration::from_micros(10)).await }));
                        waited.fetch_add(1, Ordering::SeqCst);
                    }
                    is_inside.store(false, Ordering::SeqCst);
                }
            };
            let builder = Runtime::builder().workers(workers).on_thread_start(hook());
            let builder = builder.on_thread_park(hook()).on_thread_unpark(hook());
            let runtime = builder.on_thread_stop(|| spawn(async {}).detach()).build().unwrap();
            while waited.load(Ordering::SeqCst) < 100 {
                block_on(runtime.spawn(Timer::after(Duration::from_micros(50))));
            }
        }
    });
}

#[test]
fn a_hook_that_drops_the_runtime() {
    within(TEST_MAX, || {
        for workers in [1, 2] {
            for at_park in [true, false] {
                let (sender, runtimes) = std::sync::mpsc::channel::<Runtime>();
                let runtimes = Mutex::new(runtimes);
                let (done, is_done) = std::sync::mpsc::channel();
                let hook = move || {
                    if let Ok(runtime) = runtimes.lock().unwrap().try_recv() {
                        drop(runtime);
                        done.send(()).unwrap();
                    }
                };
                let builder = Runtime::builder().workers(workers);
                let builder = if at_park {
                    builder.on_thread_park(hook)
                } else {
                    builder.on_thread_unpark(hook)
                };
                let runtime = builder.build().unwrap();
                let handle = runtime.handle().clone();
                let pending = handle.spawn(std::future::pending::<()>());
                sender.send(runtime).unwrap();
                while is_done.try_recv().is_err() {
                    let _ = block_on(handle.spawn(async {}).fallible());
                }
                assert_eq!(block_on(pending.fallible()), None);
            }
        }
    });
}
