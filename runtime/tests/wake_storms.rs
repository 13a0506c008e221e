//! Goal: any number of wake-ups is taken without an error, and few of them cost a switch (FAULTS E12, E13).
//! Method: a waker is called a million times while its thread is busy; context switches are counted per event.

mod support;

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use smolkit_runtime::{Runtime, Timer, block_on};
use support::{TEST_MAX, within};

const STORM: usize = 1 << 20;
/// So many wake-ups of it have to be seen by a thread that goes back to sleep after each.
const POLLS_MIN: usize = 100;

/// Waits in `poll` until another thread has called the waker often enough; then once more for a wake-up of its own.
async fn stormed() {
    let mut is_over = false;
    poll_fn(|cx| {
        if is_over {
            return Poll::Ready(());
        }
        is_over = true;
        let waker = cx.waker().clone();
        let (sender, receiver) = channel();
        thread::spawn(move || {
            for _ in 0..STORM {
                waker.wake_by_ref();
            }
            sender.send(()).unwrap();
        });
        receiver.recv().unwrap();
        Poll::Pending
    })
    .await;
    // The reactor still works.
    Timer::after(Duration::from_micros(100)).await;
}

/// E12: nobody reads what the wake-ups write meanwhile.
#[test]
fn while_the_thread_is_busy() {
    within(TEST_MAX, || {
        block_on(stormed());
        let runtime = Runtime::builder().workers(1).build().unwrap();
        block_on(runtime.spawn(stormed()));
        // While the worker is busy, others give it work.
        let barrier = Arc::new(Barrier::new(2));
        let busy = {
            let barrier = barrier.clone();
            runtime.spawn(async move {
                barrier.wait();
                barrier.wait();
            })
        };
        barrier.wait();
        let last = (0..STORM / 16).map(|_| runtime.spawn(async {})).last();
        barrier.wait();
        block_on(async {
            busy.await;
            last.unwrap().await;
        });
    });
}

/// E12: the same for a thread that sleeps in the reactor and is called by several.
#[test]
fn while_the_thread_sleeps() {
    within(TEST_MAX, || {
        let stop = Arc::new(AtomicBool::new(false));
        let mut callers = Vec::new();
        let polls = Arc::new(AtomicUsize::new(0));
        block_on(poll_fn(|cx| {
            polls.fetch_add(1, Ordering::SeqCst);
            if callers.is_empty() {
                for _ in 0..4 {
                    let (waker, stop, polls) = (cx.waker().clone(), stop.clone(), polls.clone());
                    callers.push(thread::spawn(move || {
                        // Often enough, and until it has been back to sleep a few times, however the threads take turns.
                        let mut calls = 0;
                        while calls < STORM / 4 || polls.load(Ordering::SeqCst) < POLLS_MIN {
                            waker.wake_by_ref();
                            calls += 1;
                        }
                        stop.store(true, Ordering::SeqCst);
                        waker.wake();
                    }));
                }
            }
            if stop.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        }));
        for caller in callers {
            caller.join().unwrap();
        }
    });
}

/// E13: one event, and one of eight idle workers gets up for it.
#[cfg(target_os = "linux")]
#[test]
fn one_event_wakes_one_worker() {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    use smolkit_runtime::Async;
    use support::{rounds, threads};

    /// How often the workers have gone to sleep.
    fn switches() -> u64 {
        let workers = threads().filter(|thread| thread.name().starts_with("herd"));
        workers.map(|worker| worker.voluntary_switches()).sum()
    }

    within(TEST_MAX, || {
        let runtime =
            Runtime::builder().workers(8).thread_name("herd".to_string()).build().unwrap();
        let (one, mut other) = UnixStream::pair().unwrap();
        let echo = runtime.spawn(async move {
            let mut one = Async::new(one).unwrap();
            let mut byte = [0];
            while one.read(&mut byte).await.unwrap() == 1 {
                one.write_all(&byte).await.unwrap();
            }
        });
        let mut byte = [0];
        let mut events = |count| {
            for _ in 0..count {
                other.write_all(b"x").unwrap();
                other.read_exact(&mut byte).unwrap();
            }
        };
        events(100);
        // The warden's looks go by the clock, one in 2 ms: on a machine that is busy with other things there are more of them for each event.
        let count = rounds(1_000, 10_000);
        let mut seen = Vec::new();
        for _ in 0..3 {
            let (before, start) = (switches(), Instant::now());
            events(count);
            let looks = start.elapsed().as_millis() as u64 / 2;
            seen.push((switches() - before, looks));
        }
        let is_little = |(switches, looks): &(u64, u64)| *switches <= 3 * count as u64 + looks;
        assert!(seen.iter().any(is_little), "switches and looks for {count} events: {seen:?}");
        drop(other);
        block_on(echo);
    });
}
