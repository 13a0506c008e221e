//! Goal: who waits uses no CPU, and wakes for nothing (FAULTS R23).
//! Method: every kind of waiter is parked in a child process; its CPU time and its context switches are counted.

#![cfg(target_os = "linux")]

mod support;

use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;
use std::time::Duration;

use futures_lite::{AsyncReadExt, StreamExt};
use smolkit_runtime::{Async, Executor, Runtime, Timer, block_on, unblock};
use support::rounds;

const CHILD: &str = "SMOLKIT_TEST_CHILD";

/// Runs a test again in a process of its own, where nothing else is counted.
fn alone(name: &str, test: impl FnOnce()) {
    if std::env::var_os(CHILD).is_some() {
        return test();
    }
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        // Who waits for ever is left behind on purpose.
        .env("ASAN_OPTIONS", "detect_leaks=0")
        .status()
        .unwrap();
    assert!(status.success());
}

/// CPU time of this process, and how often its threads went to sleep.
fn used() -> (Duration, u64) {
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let mut switches = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let Ok(status) = std::fs::read_to_string(task.path().join("status")) else { continue };
        let line = status.lines().find(|line| line.starts_with("voluntary")).unwrap_or("0");
        switches += line.split_whitespace().last().unwrap().parse::<u64>().unwrap_or(0);
    }
    (Duration::new(cpu.tv_sec as u64, cpu.tv_nsec as u32), switches)
}

/// What this process uses while it only waits.
fn used_during(time: Duration) -> (Duration, u64) {
    let before = used();
    thread::sleep(time);
    let after = used();
    (after.0 - before.0, after.1 - before.1)
}

/// Waits until nothing has gone to sleep any more for a while: starting is over.
fn settle() {
    for _ in 0..200 {
        if used_during(Duration::from_millis(50)).1 <= 2 {
            return;
        }
    }
    panic!("it never comes to rest");
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
        let seconds = rounds(1, 5) as u32;
        let (cpu, switches) = used_during(Duration::from_secs(1) * seconds);
        assert!(cpu < Duration::from_millis(10) * seconds, "{cpu:?} of CPU time");
        assert!(switches < 20, "{switches} times somebody woke");
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
        let (cpu, switches) = used_during(Duration::from_secs(1));
        assert!(cpu < Duration::from_millis(10), "{cpu:?} of CPU time");
        assert!(switches < 20, "{switches} times somebody woke");
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
        let (_, switches) = used_during(Duration::from_secs(2));
        // 40 ticks of 3: the ticker's, and the warden's two.
        assert!(switches < 40 * 6, "{switches} times somebody woke for 40 ticks");
    });
}
