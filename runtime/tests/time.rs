//! Goal: `time` does what its documentation says: nothing early, ready futures for free, missed ticks as chosen, absurd durations never (FAULTS M1).
//! Method: real time on real runtimes; only lower bounds are asserted, and upper ones that any machine keeps. Threads are put to sleep to be late.

mod support;

use std::cell::Cell;
use std::error::Error;
use std::future::{pending, poll_fn, ready};
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::{StreamExt, future};
use smolkit_runtime::time::{
    Elapsed, Interval, MissedTickBehavior, Sleep, Timeout, interval, interval_at, sleep,
    sleep_until, timeout, timeout_at,
};
use smolkit_runtime::{Runtime, Timer, block_on};
use support::{STEP_MAX, TEST_MAX, within};

const MILLI: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// Counts how often it is called.
#[derive(Default)]
struct Calls(AtomicUsize);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn types_can_be_sent_shared_and_moved() {
    fn assert_all<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + std::fmt::Debug>() {}
    assert_all::<Timer>();
    assert_all::<Sleep>();
    assert_all::<Interval>();
    assert_all::<Timeout<Sleep>>();
    assert_all::<Elapsed>();
}

#[test]
fn sleeps_are_never_early_on_workers_and_off() {
    within(TEST_MAX, || {
        async fn check() {
            for micros in [0, 1, 70, 900, 2_500] {
                let (wanted, start) = (Duration::from_micros(micros), Instant::now());
                sleep(wanted).await;
                assert!(start.elapsed() >= wanted);
                let deadline = Instant::now() + wanted;
                sleep_until(deadline).await;
                assert!(Instant::now() >= deadline);
            }
        }
        block_on(check());
        futures_executor::block_on(check());
        let runtime = Runtime::builder().workers(2).build().unwrap();
        block_on(runtime.spawn(check()));
    });
}

#[test]
fn a_sleep_is_used_again_and_again() {
    within(TEST_MAX, || {
        block_on(async {
            let mut nap = sleep(HOUR);
            assert!(future::poll_once(&mut nap).await.is_none());
            assert!(!nap.is_elapsed());
            for _ in 0..20 {
                let start = Instant::now();
                nap.reset(start + MILLI);
                assert_eq!(nap.deadline(), Some(start + MILLI));
                (&mut nap).await;
                assert!(start.elapsed() >= MILLI && nap.is_elapsed());
                // Ready once more, and without waiting.
                (&mut nap).await;
            }
            nap.reset_after(Duration::MAX);
            assert_eq!(nap.deadline(), None);
            assert!(future::poll_once(&mut nap).await.is_none() && !nap.is_elapsed());
        });
    });
}

/// Whoever waits is woken by the new deadline without polling again, whatever the old one was.
#[test]
fn a_reset_moves_the_wake_up() {
    within(TEST_MAX, || {
        for old in [HOUR, Duration::MAX] {
            let (calls, mut nap) = (Arc::new(Calls::default()), sleep(old));
            let waker = Waker::from(calls.clone());
            let mut cx = Context::from_waker(&waker);
            assert!(Pin::new(&mut nap).poll(&mut cx).is_pending());
            nap.reset_after(MILLI);
            block_on(sleep(20 * MILLI));
            support::wait_until("the waiter is woken", || calls.0.load(Ordering::SeqCst) == 1);
            assert!(Pin::new(&mut nap).poll(&mut cx).is_ready());
        }
        // smol's timer keeps its waker over a time in which it never fires.
        let (calls, mut timer) = (Arc::new(Calls::default()), Timer::after(HOUR));
        let waker = Waker::from(calls.clone());
        assert!(Pin::new(&mut timer).poll(&mut Context::from_waker(&waker)).is_pending());
        timer.clear();
        timer.set_after(MILLI);
        block_on(sleep(20 * MILLI));
        support::wait_until("the timer's waiter is woken", || calls.0.load(Ordering::SeqCst) == 1);
    });
}

/// The deadline has passed, and no driver has had its turn since: a poll sees it all the same.
#[test]
fn a_poll_after_the_deadline_is_ready() {
    block_on(async {
        // Once more, if this thread was kept from its core until after the deadline.
        let (mut nap, mut timer) = loop {
            let deadline = Instant::now() + 5 * MILLI;
            let (mut nap, mut timer) = (sleep_until(deadline), Timer::at(deadline));
            let polled = future::zip(future::poll_once(&mut nap), future::poll_once(&mut timer));
            let polled = polled.await;
            if Instant::now() < deadline {
                assert!(polled.0.is_none() && polled.1.is_none());
                break (nap, timer);
            }
        };
        thread::sleep(5 * MILLI);
        assert!(future::poll_once(&mut nap).await.is_some());
        assert!(future::poll_once(&mut timer).await.is_some());
        assert!(future::poll_once(sleep(Duration::ZERO)).await.is_some());
        assert!(future::poll_once(sleep_until(Instant::now() - MILLI)).await.is_some());
    });
}

#[test]
fn what_is_ready_is_never_too_late() {
    block_on(async {
        assert_eq!(timeout(Duration::ZERO, ready(1)).await, Ok(1));
        assert_eq!(timeout_at(Instant::now() - MILLI, ready(2)).await, Ok(2));
        // What has become ready by the time the timeout is polled counts, too.
        let mut polls = 0;
        let slow = poll_fn(|cx| {
            polls += 1;
            if polls == 1 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            thread::sleep(3 * MILLI);
            Poll::Ready(polls)
        });
        assert_eq!(timeout(MILLI, slow).await, Ok(2));
    });
}

#[test]
fn what_is_not_ready_ends_in_time() {
    within(TEST_MAX, || {
        let start = Instant::now();
        block_on(async {
            assert!(timeout(Duration::ZERO, pending::<()>()).await.is_err());
            assert!(timeout_at(start, pending::<()>()).await.is_err());
            assert!(timeout(3 * MILLI, pending::<()>()).await.is_err());
            assert!(start.elapsed() >= 3 * MILLI);
            // The one inside ends first, and the one outside goes on.
            let inner = timeout(MILLI, pending::<()>());
            assert!(timeout(HOUR, inner).await.unwrap().is_err());
            // One that is polled over and over for other reasons.
            let busy = timeout(2 * MILLI, async {
                loop {
                    future::yield_now().await;
                }
            });
            busy.await.unwrap_err()
        });
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let busy = runtime.spawn(timeout(2 * MILLI, async {
            loop {
                future::yield_now().await;
            }
        }));
        block_on(busy).map(|(): ()| ()).unwrap_err();
        assert!(start.elapsed() < STEP_MAX);
    });
}

#[test]
fn a_timeout_gives_its_future_back() {
    block_on(async {
        let mut limited = timeout(HOUR, sleep(HOUR));
        limited.get_mut().reset_after(Duration::ZERO);
        assert!(limited.get_ref().is_elapsed());
        limited.into_inner().await;
        // The future outlives the timeout that was put around it.
        let is_open = Cell::new(false);
        let mut slow =
            pin!(poll_fn(|_| if is_open.get() { Poll::Ready(6) } else { Poll::Pending }));
        assert!(timeout(MILLI, &mut slow).await.is_err());
        is_open.set(true);
        assert_eq!(slow.await, 6);
    });
}

#[test]
fn elapsed_is_an_io_error() {
    let elapsed = block_on(timeout(Duration::ZERO, pending::<()>())).unwrap_err();
    let error = io::Error::from(elapsed);
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(error.to_string().contains("time") && elapsed.source().is_none());
}

/// Ticks taken on time, then two and a half periods too late, then on time.
async fn ticks_around_a_pause(behavior: MissedTickBehavior, period: Duration) -> Vec<Duration> {
    // Once more, if this thread was kept from its core and took the first one late.
    let (start, mut ticks) = loop {
        let start = Instant::now();
        let mut ticks = interval_at(start, period);
        ticks.set_missed_tick_behavior(behavior);
        assert_eq!((ticks.missed_tick_behavior(), ticks.period()), (behavior, period));
        assert_eq!(ticks.tick().await, start);
        if start.elapsed() < period / 2 {
            break (start, ticks);
        }
    };
    let mut taken = vec![Duration::ZERO];
    for number in 1..6 {
        if number == 1 {
            thread::sleep((start + period * 7 / 2).saturating_duration_since(Instant::now()));
        }
        let scheduled = ticks.tick().await;
        assert!(Instant::now() >= scheduled, "a tick is early");
        taken.push(scheduled - start);
    }
    taken
}

#[test]
fn missed_ticks_come_as_chosen() {
    within(TEST_MAX, || {
        let period = Duration::from_millis(40);
        let multiple = |taken: &[Duration]| -> Vec<u32> {
            taken.iter().map(|at| (at.as_nanos() / period.as_nanos()) as u32).collect()
        };
        let is_on_schedule = |at: &Duration| at.as_nanos() % period.as_nanos() == 0;

        let burst = block_on(ticks_around_a_pause(MissedTickBehavior::Burst, period));
        assert_eq!(multiple(&burst), [0, 1, 2, 3, 4, 5]);
        assert!(burst.iter().all(is_on_schedule));

        let skip = block_on(ticks_around_a_pause(MissedTickBehavior::Skip, period));
        assert!(skip.iter().all(is_on_schedule));
        // Of three missed ones one came; a loaded machine may have missed more.
        assert_eq!(multiple(&skip)[..2], [0, 1]);
        assert!(multiple(&skip)[2] >= 4, "{skip:?}");

        let delay = block_on(ticks_around_a_pause(MissedTickBehavior::Delay, period));
        assert_eq!(multiple(&delay)[..2], [0, 1]);
        assert!(delay[2] >= period * 9 / 2, "one period after the late one: {delay:?}");
        assert!(delay.windows(2).skip(2).all(|pair| pair[1] - pair[0] >= period));
    });
}

#[test]
fn an_interval_is_a_stream_and_can_be_reset() {
    within(TEST_MAX, || {
        block_on(async {
            let mut ticks = interval(HOUR);
            // The first at once, the next one in an hour.
            ticks.next().await.unwrap();
            assert!(future::poll_once(ticks.tick()).await.is_none());
            ticks.reset_immediately();
            ticks.tick().await;
            let start = Instant::now();
            ticks.reset_after(MILLI);
            assert!(ticks.tick().await >= start + MILLI);
            ticks.reset_at(start + 3 * MILLI);
            assert_eq!(ticks.tick().await, start + 3 * MILLI);
            ticks.reset();
            assert!(future::poll_once(ticks.tick()).await.is_none());
        });
    });
}

#[test]
#[should_panic(expected = "period cannot be zero")]
fn an_interval_of_nothing_is_refused() {
    let _ = interval(Duration::ZERO);
}

#[test]
fn durations_that_overflow_mean_never() {
    block_on(async {
        for duration in [Duration::MAX, Duration::from_secs(u64::MAX / 4)] {
            assert!(future::poll_once(sleep(duration)).await.is_none());
            assert!(future::poll_once(timeout(duration, pending::<()>())).await.is_none());
            for behavior in
                [MissedTickBehavior::Burst, MissedTickBehavior::Delay, MissedTickBehavior::Skip]
            {
                let mut ticks = interval(duration);
                ticks.set_missed_tick_behavior(behavior);
                ticks.tick().await;
                assert!(future::poll_once(ticks.tick()).await.is_none());
                ticks.reset();
                ticks.reset_after(duration);
                assert!(future::poll_once(ticks.tick()).await.is_none());
            }
            // Beside one that comes.
            assert!(timeout(MILLI, sleep(duration)).await.is_err());
        }
        if let Some(last) =
            Instant::now().checked_add(Duration::from_secs(i64::MAX as u64 - (1 << 40)))
        {
            assert!(future::poll_once(sleep_until(last)).await.is_none());
            assert!(future::poll_once(timeout_at(last, pending::<()>())).await.is_none());
        }
    });
}
