//! Goal: a thread that slept in `block_on` before there was anything to drive takes over when it has to.
//! Method: another thread makes the common poller, leaves a timer in it, and leaves. One test in this file: the poller is made once in a process.

mod support;

use std::future::poll_fn;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use futures_lite::future;
use smolkit_runtime::{Executor, Timer, block_on};
use support::{TEST_MAX, within};

#[test]
fn who_slept_before_takes_over() {
    static EXECUTOR: Executor<'static> = Executor::new();
    within(TEST_MAX, || {
        let done: Arc<Mutex<(bool, Option<Waker>)>> = Arc::default();
        let (polled, is_polled) = mpsc::channel();
        let sleeper = {
            let done = done.clone();
            thread::spawn(move || {
                block_on(EXECUTOR.run(poll_fn(move |cx| {
                    let mut done = done.lock().unwrap();
                    done.1 = Some(cx.waker().clone());
                    let _ = polled.send(());
                    if done.0 { Poll::Ready(()) } else { Poll::Pending }
                })));
            })
        };
        is_polled.recv().unwrap();
        block_on(EXECUTOR.run(async {
            let (entered, mut is_entered) = (Arc::new(Mutex::new(false)), false);
            let flag = entered.clone();
            EXECUTOR
                .spawn(async move {
                    let mut timer = Timer::after(Duration::from_secs(3_600));
                    assert!(future::poll_once(&mut timer).await.is_none());
                    timer.set_after(Duration::from_millis(100));
                    *flag.lock().unwrap() = true;
                    timer.await;
                    let waker = {
                        let mut done = done.lock().unwrap();
                        done.0 = true;
                        done.1.take()
                    };
                    waker.into_iter().for_each(Waker::wake);
                })
                .detach();
            while !is_entered {
                future::yield_now().await;
                is_entered = *entered.lock().unwrap();
            }
        }));
        sleeper.join().unwrap();
    });
}
