//! Goal: nothing here needs our runtime.
//! Method: each kind of waiting once on Tokio's, with tasks on two workers.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use smolkit_sync::{
    Condvar, Notify, OnceCell, RateLimiter, SingleFlight, broadcast, channel, lock::Mutex, mpsc,
    oneshot, watch,
};

#[test]
fn all_kinds() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), run()).await.expect("no wait without end");
    });
}

async fn run() {
    let (sender, receiver) = channel::bounded(1);
    let (answer, answered) = oneshot::channel();
    tokio::spawn(async move {
        let mut sum = 0;
        while let Ok(item) = receiver.recv().await {
            sum += item;
        }
        answer.send(sum).unwrap();
    });
    for i in 0..100 {
        sender.send(i).await.unwrap();
    }
    drop(sender);
    assert_eq!(answered.await, Ok(4950));

    let (sender, mut receiver) = mpsc::bounded(1);
    let (unwanted, unread) = oneshot::channel::<u8>();
    let cell = Arc::new(OnceCell::new());
    tokio::spawn({
        let cell = cell.clone();
        async move {
            for i in 0..100 {
                sender.send(i).await.unwrap();
            }
            cell.set(unread).await.unwrap();
            sender.closed().await;
        }
    });
    for i in 0..100 {
        assert_eq!(receiver.recv().await, Ok(i));
    }
    cell.wait().await;
    // The last one who has it is the other task, which is to end.
    drop((cell, receiver));
    unwanted.closed().await;

    let (setter, mut watched) = watch::channel(0);
    let (broadcaster, mut heard) = broadcast::broadcast(1);
    let notify = Arc::new(Notify::new());
    let pair = Arc::new((Mutex::new(0), Condvar::new()));
    tokio::spawn({
        let (notify, pair) = (notify.clone(), pair.clone());
        async move {
            for i in 1..=100 {
                setter.send(i).unwrap();
                broadcaster.broadcast(i).await.unwrap();
                *pair.0.lock().await = i;
                pair.1.notify_one();
            }
            notify.notify_one();
        }
    });
    for i in 1..=100 {
        assert_eq!(heard.recv().await, Ok(i));
    }
    assert_eq!(*watched.wait_for(|value| *value == 100).await.unwrap(), 100);
    drop(pair.1.wait_while(pair.0.lock().await, |value| *value < 100).await);
    notify.notified().await;

    let flights = Arc::new(SingleFlight::new());
    let callers: Vec<_> = (0..10)
        .map(|i| {
            let flights = flights.clone();
            tokio::spawn(async move {
                let work = || async {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    i
                };
                flights.run("key", work).await
            })
        })
        .collect();
    for caller in callers {
        assert!(caller.await.unwrap() < 10);
    }

    let one = NonZeroU32::MIN;
    let limiter = RateLimiter::new(one, Duration::from_millis(2), one);
    let start = tokio::time::Instant::now();
    for _ in 0..5 {
        limiter.acquire(tokio::time::sleep).await;
    }
    assert!(start.elapsed() >= Duration::from_millis(8));
}
