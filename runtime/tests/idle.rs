//! Goal: who waits uses no CPU, and wakes for nothing (FAULTS R23).
//! Method: every kind of waiter is parked in a child process; its CPU time and its context switches are counted.

#![cfg(target_os = "linux")]

mod support;

use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt, StreamExt};
use smolkit_runtime::blocking::{Limits, set_limits};
use smolkit_runtime::{Async, Executor, Runtime, Timer, block_on, unblock};
use support::{STEP_MAX, alone, rounds, threads};

/// CPU time of this process, and how often its threads went to sleep.
fn used() -> (Duration, u64) {
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let switches = threads().map(|thread| thread.voluntary_switches()).sum();
    (Duration::new(cpu.tv_sec as u64, cpu.tv_nsec as u32), switches)
}

/// What this process uses while it only waits.
fn used_during(time: Duration) -> (Duration, u64) {
    let before = used();
    thread::sleep(time);
    let after = used();
    (after.0 - before.0, after.1 - before.1)
}

/// While a worker is kept from its core in the middle of something, for seconds if it comes to that, the warden looks again and again.
const WINDOWS_MAX: usize = 30;

/// The least of several: what other programs do to this one's time comes and goes, what it does itself comes each time.
fn least_used_during(
    time: Duration,
    is_little: impl Fn((Duration, u64)) -> bool,
) -> (Duration, u64) {
    let mut used = used_during(time);
    for _ in 1..WINDOWS_MAX {
        if is_little(used) {
            break;
        }
        used = used_during(time);
    }
    used
}

/// As who only waits: hardly any CPU time, hardly a switch.
fn assert_idle_for(time: Duration) {
    let is_little = |(cpu, switches)| cpu < Duration::from_millis(10) && switches < 20;
    let (cpu, switches) = least_used_during(time, is_little);
    assert!(
        is_little((cpu, switches)),
        "{cpu:?} of CPU time, somebody woke {switches} times in {time:?}"
    );
}

/// Waits until nothing has gone to sleep any more for a while: starting is over.
fn settle() {
    let start = Instant::now();
    while used_during(Duration::from_millis(50)).1 > 2 {
        assert!(start.elapsed() < STEP_MAX, "it never comes to rest");
    }
}

#[test]
fn every_kind_of_waiter() {
    alone("every_kind_of_waiter", || {
        let runtime: &'static Runtime =
            Box::leak(Box::new(Runtime::builder().workers(2).build().unwrap()));
        let read = || async {
            let (mut one, _other) = Async::<UnixStream>::pair().unwrap();
            let _ = one.read(&mut [0]).await;
        };
        let hour = Duration::from_secs(3_600);
        // No thread ends meanwhile: it would take its count of switches with it.
        let mut limits = Limits::default();
        limits.keep_alive = hour;
        set_limits(limits);
        // Tasks of a runtime: I/O, a timer, nothing at all; and a `block_on` inside of one.
        runtime.spawn(read()).detach();
        runtime
            .spawn(async move {
                Timer::after(hour).await;
            })
            .detach();
        runtime.spawn(std::future::pending::<()>()).detach();
        runtime.spawn(async move { block_on(read()) }).detach();
        // A blocking job that has ended: its thread waits for the next one.
        block_on(unblock(|| {}));
        // Threads in `block_on`, in a foreign one, and in a foreign one inside of ours.
        thread::spawn(move || block_on(read()));
        thread::spawn(move || {
            block_on(async move {
                Timer::after(hour).await;
            })
        });
        thread::spawn(|| block_on(std::future::pending::<()>()));
        thread::spawn(move || futures_executor::block_on(read()));
        thread::spawn(move || block_on(async move { futures_executor::block_on(read()) }));
        thread::spawn(|| block_on(Executor::new().run(std::future::pending::<()>())));
        settle();
        assert_idle_for(Duration::from_secs(rounds(1, 5) as u64));
    });
}

/// A foreign `block_on` on the only worker, or the only thread in `block_on`, is served by the helper: which sleeps meanwhile, too.
#[test]
fn the_helper_sleeps_as_well() {
    alone("the_helper_sleeps_as_well", || {
        let runtime: &'static Runtime =
            Box::leak(Box::new(Runtime::builder().workers(1).build().unwrap()));
        runtime
            .spawn(async {
                futures_executor::block_on(Timer::after(Duration::from_secs(3_600)));
            })
            .detach();
        settle();
        assert_idle_for(Duration::from_secs(1));
    });
}

/// A hook that has waited in a foreign `block_on` has come back: the helper has nobody to look after.
#[test]
fn after_a_hook_that_waits() {
    alone("after_a_hook_that_waits", || {
        let wait = || futures_executor::block_on(Timer::after(Duration::from_millis(1)));
        let builder = Runtime::builder().workers(1).on_thread_start(move || {
            wait();
        });
        let runtime = builder
            .on_thread_park(move || {
                wait();
            })
            .build()
            .unwrap();
        block_on(runtime.spawn(async {}));
        settle();
        assert_idle_for(Duration::from_secs(1));
    });
}

/// A task that ticks now and then costs a few wake-ups a tick.
#[test]
fn a_slow_ticker() {
    alone("a_slow_ticker", || {
        let runtime = Runtime::builder().workers(2).build().unwrap();
        runtime
            .spawn(async {
                let mut timer = Timer::interval(Duration::from_millis(50));
                while timer.next().await.is_some() {}
            })
            .detach();
        thread::sleep(Duration::from_millis(100));
        // 40 ticks of 3: the ticker's, and the warden's two. A worker that is kept from its core in the middle of one is looked at more often.
        let is_little = |(_, switches)| switches < 40 * 6;
        let (cpu, switches) = least_used_during(Duration::from_secs(2), is_little);
        assert!(is_little((cpu, switches)), "{switches} times somebody woke for 40 ticks");
    });
}
