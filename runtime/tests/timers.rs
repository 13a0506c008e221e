//! Goal: timers are never early, interrupt a sleeping poller, and survive absurd durations (FAULTS R12, M1, M2, M6, M7, M8).
//! Method: real time on real runtimes; only lower bounds are asserted, and upper ones that any machine keeps.

mod support;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_lite::{FutureExt, StreamExt, future};
use smolkit_runtime::{Runtime, Timer, block_on};
use support::{Random, STEP_MAX, TEST_MAX, rounds, within};

#[test]
fn a_new_timer_interrupts_a_parked_worker() {
    within(Duration::from_secs(600), || {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        runtime.spawn(async { Timer::after(Duration::from_secs(3_600)).await }).detach();
        for _ in 0..rounds(1_000, 100_000) {
            let start = Instant::now();
            block_on(runtime.spawn(async { Timer::after(Duration::from_millis(1)).await }));
            assert!(start.elapsed() >= Duration::from_millis(1));
            assert!(start.elapsed() < STEP_MAX);
        }
    });
}

#[test]
fn a_timer_made_elsewhere_interrupts_a_parked_block_on() {
    within(TEST_MAX, || {
        // One thread sleeps in the shared poller for long; timers come from another one.
        let (stop, stopped) = async_pair();
        let sleeper = std::thread::spawn(move || {
            block_on(stopped.or(async {
                Timer::after(Duration::from_secs(3_600)).await;
            }));
        });
        for _ in 0..200 {
            block_on(Timer::after(Duration::from_millis(1)));
        }
        stop();
        sleeper.join().unwrap();
    });
}

fn async_pair() -> (impl FnOnce(), impl Future<Output = ()> + Send + Unpin) {
    use std::sync::{Arc, Mutex};
    let shared = Arc::new(Mutex::new((false, None::<std::task::Waker>)));
    let theirs = shared.clone();
    let stop = move || {
        let mut shared = shared.lock().unwrap();
        shared.0 = true;
        let waker = shared.1.take();
        drop(shared);
        if let Some(waker) = waker {
            waker.wake();
        }
    };
    let stopped = poll_fn(move |cx| {
        let mut shared = theirs.lock().unwrap();
        if shared.0 {
            return Poll::Ready(());
        }
        shared.1 = Some(cx.waker().clone());
        Poll::Pending
    });
    (stop, stopped)
}

#[test]
fn never_early() {
    within(TEST_MAX, || {
        let runtime = Runtime::builder().workers(2).build().unwrap();
        let mut random = Random(1);
        let sleeps: Vec<_> = (0..rounds(5_000, 100_000))
            .map(|_| {
                let wanted = Duration::from_nanos(random.below(50_000_000) as u64);
                runtime.spawn(async move {
                    let start = Instant::now();
                    Timer::after(wanted).await;
                    assert!(start.elapsed() >= wanted, "{:?} < {wanted:?}", start.elapsed());
                })
            })
            .collect();
        block_on(async {
            for sleep in sleeps {
                sleep.await;
            }
        });
    });
}

/// A poller that counts in whole milliseconds is never this quick, and one that does not is now and then, even on a busy machine.
#[test]
fn a_wait_is_no_multiple_of_a_millisecond() {
    within(TEST_MAX, || {
        async fn is_ever_quick() {
            let begin = Instant::now();
            let mut least = Duration::MAX;
            while least >= Duration::from_micros(900) {
                assert!(begin.elapsed() < STEP_MAX, "the quickest took {least:?}");
                let start = Instant::now();
                Timer::after(Duration::from_micros(100)).await;
                least = least.min(start.elapsed());
            }
        }
        block_on(is_ever_quick());
        let runtime = Runtime::builder().workers(1).build().unwrap();
        block_on(runtime.spawn(is_ever_quick()));
    });
}

#[test]
fn very_short_and_past_deadlines() {
    within(TEST_MAX, || {
        block_on(async {
            for _ in 0..rounds(1_000, 34_000) {
                Timer::after(Duration::ZERO).await;
                Timer::after(Duration::from_nanos(1)).await;
                Timer::at(Instant::now() - Duration::from_secs(1)).await;
            }
        });
    });
}

#[test]
fn durations_that_overflow_mean_never() {
    block_on(async {
        let timers = [
            Timer::after(Duration::MAX),
            Timer::interval(Duration::MAX),
            Timer::never(),
            Timer::after(Duration::from_secs(u64::MAX / 4)),
        ];
        for mut timer in timers {
            assert!(future::poll_once(&mut timer).await.is_none());
        }
        let mut timer = Timer::interval_at(Instant::now(), Duration::MAX);
        assert!(timer.next().await.is_some());
        assert!(future::poll_once(timer.next()).await.is_none());
        assert!(!timer.will_fire());
    });
    let runtime = Runtime::builder().workers(1).build().unwrap();
    runtime.shutdown_timeout(Duration::MAX);
}

#[test]
fn an_interval_ticks_and_can_be_reset() {
    within(TEST_MAX, || {
        block_on(async {
            let start = Instant::now();
            let mut timer = Timer::interval(Duration::from_millis(2));
            for _ in 0..5 {
                timer.next().await;
            }
            assert!(start.elapsed() >= Duration::from_millis(10));
            timer.set_after(Duration::from_secs(3_600));
            assert!(future::poll_once(&mut timer).await.is_none());
            // Whoever waits is woken by the new deadline, without another poll.
            timer.set_after(Duration::from_millis(1));
            timer.await;
        });
    });
}

#[test]
fn the_last_poller_is_woken() {
    within(TEST_MAX, || {
        let runtime = Runtime::builder().workers(2).build().unwrap();
        let mut timer = Timer::after(Duration::from_secs(3_600));
        block_on(async { assert!(future::poll_once(&mut timer).await.is_none()) });
        // Not before: it must not have come when it is polled here.
        timer.set_after(Duration::from_millis(20));
        block_on(runtime.spawn(timer));
    });
}

#[cfg(target_os = "linux")]
#[test]
fn cancelled_timers_leave_nothing() {
    fn resident_kib() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
    // The memory is the process's.
    support::alone("cancelled_timers_leave_nothing", || {
        block_on(async {
            let make = |count| async move {
                for _ in 0..count {
                    let mut timer = pin!(Timer::after(Duration::from_secs(3_600)));
                    assert!(future::poll_once(&mut timer).await.is_none());
                }
            };
            make(10_000).await;
            let before = resident_kib();
            make(1_000_000).await;
            // A retained timer takes more than 50 bytes: a million of them would show.
            assert!(
                resident_kib() < before + 20_000,
                "{before} KiB before, {} after",
                resident_kib()
            );
        });
    });
}

#[test]
fn a_poller_waits_for_a_far_deadline() {
    within(TEST_MAX, || {
        // Longer than a poller's wait in milliseconds can be, which are 24.8 days.
        let far = || Timer::after(Duration::from_secs(100 * 24 * 3_600));
        let runtime = Runtime::builder().workers(1).build().unwrap();
        runtime.spawn(far()).detach();
        let thread = std::thread::spawn(|| std::thread::sleep(Duration::from_millis(20)));
        block_on(future::or(far(), async {
            smolkit_runtime::unblock(move || thread.join().unwrap()).await;
            Instant::now()
        }));
        assert_eq!(block_on(runtime.spawn(async { 7 })), 7);
    });
}
