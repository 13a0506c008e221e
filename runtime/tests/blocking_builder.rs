//! Goal: a runtime's builder limits the blocking pool of the process.
//! Method: more jobs that wait than threads are allowed; the threads are counted, and go when they have been idle for the time that was set.

mod support;

use std::sync::mpsc;
use std::time::Duration;

use smolkit_runtime::{Runtime, blocking, unblock};
use support::{TEST_MAX, wait_until, within};

#[test]
fn limits_of_a_builder() {
    within(TEST_MAX, || {
        let builder = Runtime::builder().workers(1);
        let builder = builder.max_blocking_threads(3).thread_keep_alive(Duration::from_millis(20));
        let runtime = builder.build().unwrap();
        let (sender, receiver) = mpsc::channel::<()>();
        let receiver = std::sync::Arc::new(std::sync::Mutex::new(receiver));
        let jobs: Vec<_> = (0..10)
            .map(|_| {
                let receiver = receiver.clone();
                unblock(move || {
                    let _ = receiver.lock().unwrap().recv();
                })
            })
            .collect();
        wait_until("three threads are there", || blocking::metrics().threads == 3);
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(blocking::metrics().threads, 3);
        drop(sender);
        runtime.block_on(async {
            for job in jobs {
                job.await;
            }
        });
        wait_until("they have left", || blocking::metrics().threads == 0);
    });
}

#[test]
#[should_panic(expected = "max_blocking_threads: 0 is not in 1..=10000")]
fn no_threads_at_all() {
    let _ = Runtime::builder().max_blocking_threads(0);
}
