//! Goal: signals that interrupt the poller change nothing (FAULTS E5).
//! Method: the same traffic under a stream of signals, and under strace, which makes every third wait return EINTR.

#![cfg(target_os = "linux")]

mod support;

use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use smolkit_runtime::{Async, Runtime, Timer, block_on};
use support::within;

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
    within(Duration::from_secs(60), || {
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
        traffic(2_000);
        stop.store(true, Ordering::SeqCst);
        sender.join().unwrap();
        assert!(seen.load(Ordering::SeqCst));
    });
}

#[test]
fn under_injected_interrupts() {
    if std::env::var_os(CHILD).is_some() {
        return within(Duration::from_secs(60), || traffic(200));
    }
    let waits = "epoll_wait,epoll_pwait,epoll_pwait2";
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null"])
        .args(["-e", &format!("trace={waits}")])
        .args(["-e", &format!("inject={waits}:error=EINTR:when=1+3")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "under_injected_interrupts", "--nocapture"])
        .env(CHILD, "1")
        // A leak checker cannot trace a process that strace traces already.
        .env("ASAN_OPTIONS", "detect_leaks=0")
        .output()
        .expect("this test needs strace: install it (Debian: apt-get install strace)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
