//! Goal: sockets and timers work where nobody is in our `block_on`, and nothing is started that is not needed.
//! Method: another executor drives them; threads are counted in processes of their own.

mod support;

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use smolkit_runtime::{Async, Timer, block_on, spawn};
use support::{TEST_MAX, within};

#[test]
fn on_a_foreign_executor() {
    within(TEST_MAX, || {
        futures_executor::block_on(async {
            let start = Instant::now();
            Timer::after(Duration::from_millis(5)).await;
            assert!(start.elapsed() >= Duration::from_millis(5));
            for _ in 0..200 {
                let (mut one, mut other) = Async::<UnixStream>::pair().unwrap();
                let task = spawn(async move {
                    Timer::after(Duration::from_micros(200)).await;
                    other.write_all(b"x").await.unwrap();
                });
                one.read_exact(&mut [0]).await.unwrap();
                task.await;
            }
        });
    });
}

/// Two threads in our `block_on` and one outside wait on the same poller, one after the other and at once.
#[test]
fn beside_our_own_block_on() {
    within(TEST_MAX, || {
        let threads: Vec<_> = (0..6)
            .map(|i| {
                std::thread::spawn(move || {
                    let ping_pong = async {
                        let (mut one, mut other) = Async::<UnixStream>::pair().unwrap();
                        for _ in 0..500 {
                            other.write_all(b"x").await.unwrap();
                            one.read_exact(&mut [0]).await.unwrap();
                            Timer::after(Duration::from_micros(50)).await;
                        }
                    };
                    if i % 3 == 0 {
                        futures_executor::block_on(ping_pong)
                    } else {
                        block_on(ping_pong)
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// A thread in `block_on` computes for long; who depends on the same poller must not wait for it.
#[test]
fn a_busy_block_on_does_not_hold_up_others() {
    within(TEST_MAX, || {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let (busy, is_busy) = std::sync::mpsc::channel();
        let blocker = std::thread::spawn(move || {
            block_on(async {
                // It has driven, and then does not come back for a while.
                Timer::after(Duration::from_millis(1)).await;
                busy.send(()).unwrap();
                let _ = stopped.recv();
            });
        });
        is_busy.recv().unwrap();
        futures_executor::block_on(Timer::after(Duration::from_millis(1)));
        drop(stop);
        blocker.join().unwrap();
    });
}

#[cfg(target_os = "linux")]
#[test]
fn block_on_starts_no_thread() {
    support::alone("block_on_starts_no_thread", || {
        // The test runner's own threads are there before.
        let before = support::threads().count();
        block_on(async {
            Timer::after(Duration::from_millis(1)).await;
            let (mut one, mut other) = Async::<UnixStream>::pair().unwrap();
            other.write_all(b"x").await.unwrap();
            one.read_exact(&mut [0]).await.unwrap();
        });
        assert_eq!(support::threads().count(), before);
    });
}
