//! Goal: signals that interrupt the poller change nothing (FAULTS E5), nor does an older kernel.
//! Method: the same traffic under a stream of signals, and under strace, which makes every third wait return EINTR or all of one kind fail.

#![cfg(target_os = "linux")]

mod support;

use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use smolkit_runtime::{Async, Runtime, Timer, block_on};
use support::{TEST_MAX, rounds, wait_until, within};

const CHILD: &str = "SMOLKIT_TEST_CHILD";

fn traffic(rounds: u32) {
    let runtime = Runtime::builder().workers(2).build().unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            runtime.spawn(async move {
                let (mut one, mut other) = Async::<UnixStream>::pair().unwrap();
                for round in 0..rounds {
                    other.write_all(&round.to_ne_bytes()).await.unwrap();
                    let mut bytes = [0; 4];
                    one.read_exact(&mut bytes).await.unwrap();
                    assert_eq!(u32::from_ne_bytes(bytes), round);
                    if round % 16 == 0 {
                        Timer::after(Duration::from_micros(100)).await;
                    }
                }
            })
        })
        .collect();
    block_on(async {
        for task in tasks {
            task.await;
        }
    });
}

#[test]
fn under_a_stream_of_signals() {
    within(TEST_MAX, || {
        let seen = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGUSR1, seen.clone()).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let sender = {
            let stop = stop.clone();
            std::thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let me = rustix::process::getpid();
                    rustix::process::kill_process(me, rustix::process::Signal::USR1).unwrap();
                    std::thread::sleep(Duration::from_millis(1));
                }
            })
        };
        let end = Instant::now() + Duration::from_secs(rounds(0, 60) as u64);
        traffic(2_000);
        while Instant::now() < end {
            traffic(2_000);
        }
        stop.store(true, Ordering::SeqCst);
        sender.join().unwrap();
        wait_until("the last one has come", || seen.load(Ordering::SeqCst));
    });
}

/// Runs the test `name` of this file once more, in a child that strace watches with these options; returns what strace has written.
fn under_strace(name: &str, options: &[&str]) -> String {
    let log = std::env::temp_dir().join(format!("smolkit-strace-{}-{name}", std::process::id()));
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(&log)
        .args(options)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        // A leak checker cannot trace a process that strace traces already.
        .env("ASAN_OPTIONS", "detect_leaks=0")
        .output()
        .expect("this test needs strace: install it (Debian: apt-get install strace)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    text
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

#[test]
fn under_injected_interrupts() {
    if is_child() {
        return within(TEST_MAX, || traffic(200));
    }
    let waits = "epoll_wait,epoll_pwait,epoll_pwait2";
    let inject = format!("inject={waits}:error=EINTR:when=1+3");
    under_strace("under_injected_interrupts", &["-e", &format!("trace={waits}"), "-e", &inject]);
}

/// Kernels before 5.11 have no `epoll_pwait2`, and some containers forbid it.
#[test]
fn without_waits_of_nanoseconds() {
    if is_child() {
        return within(TEST_MAX, || {
            traffic(100);
            for micros in [1, 300, 1_700] {
                let start = std::time::Instant::now();
                block_on(Timer::after(Duration::from_micros(micros)));
                assert!(start.elapsed() >= Duration::from_micros(micros));
            }
            // More milliseconds than that call can be told.
            let far = Timer::after(Duration::from_secs(100 * 24 * 3_600));
            let (one, mut other) = Async::<UnixStream>::pair().unwrap();
            block_on(futures_lite::future::or(
                async {
                    far.await;
                },
                async {
                    Timer::after(Duration::from_millis(3)).await;
                    other.write_all(b"x").await.unwrap();
                    one.readable().await.unwrap();
                },
            ));
        });
    }
    for error in ["ENOSYS", "EPERM"] {
        let inject = format!("inject=epoll_pwait2:error={error}");
        let name = "without_waits_of_nanoseconds";
        let log = under_strace(name, &["-e", "trace=epoll_pwait2", "-e", &inject]);
        if cfg!(not(smolkit_portable)) {
            assert!(log.contains("(INJECTED)"), "nothing was refused: {log}");
        }
    }
}

/// A wait of less than a millisecond is asked for as that: rounded up, a timer of 100 us would take ten times as long.
#[cfg(not(smolkit_portable))]
#[test]
fn with_waits_of_nanoseconds() {
    if is_child() {
        return within(TEST_MAX, || {
            block_on(async {
                for _ in 0..50 {
                    Timer::after(Duration::from_micros(400)).await;
                }
            })
        });
    }
    let log = under_strace(
        "with_waits_of_nanoseconds",
        &["-e", "trace=epoll_pwait2,epoll_pwait,epoll_wait"],
    );
    if !log.contains("ENOSYS") && !log.contains("EPERM") {
        let short = log.lines().filter(|line| line.contains("{tv_sec=0, tv_nsec=")).count();
        assert!(short > 0, "no wait of nanoseconds: {log}");
    }
}
