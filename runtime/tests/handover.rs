//! Goal: the threads in `block_on` never leave their common poller without a driver.
//! Method: three threads with timers, of which the one that is called to drive has nothing left to wait for; many rounds.

mod support;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use smolkit_runtime::{Timer, block_on};
use support::{TEST_MAX, within};

#[test]
fn one_who_is_called_and_leaves_calls_the_next() {
    within(TEST_MAX, || {
        for _ in 0..30 {
            let start = Instant::now();
            let threads: Vec<_> = [40, 90, 40]
                .into_iter()
                .map(|millis| {
                    let (begun, has_begun) = mpsc::channel();
                    let thread = thread::spawn(move || {
                        block_on(async move {
                            begun.send(()).unwrap();
                            Timer::at(start + Duration::from_millis(millis)).await;
                        });
                    });
                    has_begun.recv().unwrap();
                    thread
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
    });
}
