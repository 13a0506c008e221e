//! Goal: the types of this crate do what their documentation says, cancelled waits included.
//! Method: futures polled by hand, one case each.

mod support;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future::{self, block_on, poll_once};
use futures_lite::pin;
use smolkit_sync::channel::{RecvError, TryRecvError, TrySendError};
use smolkit_sync::{Condvar, Notify, RateLimiter, SingleFlight, lock::Mutex, mpsc, oneshot, watch};
use support::within;

#[test]
fn notify_remembers_one() {
    block_on(async {
        let notify = Notify::new();
        notify.notify_one();
        notify.notify_one();
        notify.notified().await;
        assert!(poll_once(notify.notified()).await.is_none(), "two calls are remembered as one");
        notify.notify_all();
        assert!(poll_once(notify.notified()).await.is_none(), "notify_all is not remembered");
    });
}

#[test]
fn notify_wakes_in_order_and_passes_on() {
    block_on(async {
        let notify = Notify::new();
        let (first, second) = (notify.notified(), notify.notified());
        pin!(second);
        notify.notify_one();
        assert!(poll_once(second.as_mut()).await.is_none(), "the first was there before");
        drop(first);
        second.await;

        // Nobody is left to take it: it stays for who comes next.
        let last = notify.notified();
        notify.notify_one();
        drop(last);
        notify.notified().await;

        // The same with a permit that was taken and not used.
        notify.notify_one();
        drop(notify.notified());
        notify.notified().await;

        // What `notify_all` said is not passed on.
        let told = notify.notified();
        notify.notify_all();
        drop(told);
        assert!(poll_once(notify.notified()).await.is_none());
    });
}

#[test]
fn condvar_passes_on_what_was_cancelled() {
    block_on(async {
        let (mutex, condvar) = (Mutex::new(0), Condvar::new());
        let first = condvar.wait(mutex.lock().await);
        let mut first = Box::pin(first);
        assert!(poll_once(first.as_mut()).await.is_none());
        let second = async { drop(condvar.wait(mutex.lock().await).await) };
        pin!(second);
        assert!(poll_once(second.as_mut()).await.is_none());
        // The first is told, waits for the lock, and is cancelled there.
        let held = mutex.lock().await;
        condvar.notify_one();
        assert!(poll_once(first.as_mut()).await.is_none());
        drop(first);
        drop(held);
        second.await;
    });
}

#[test]
fn condvar_on_threads() {
    within(Duration::from_secs(60), || {
        let pair = Arc::new((Mutex::new(0), Condvar::new()));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let pair = pair.clone();
                thread::spawn(move || {
                    let mut count = pair.0.lock_blocking();
                    *count += 1;
                    pair.1.notify_all();
                    while *count < 4 {
                        count = pair.1.wait_blocking(count);
                    }
                    *count += 1;
                    pair.1.notify_all();
                    drop(pair.1.wait_while_blocking(count, |count| *count < 8));
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*pair.0.lock_blocking(), 8);
    });
}

#[test]
fn watch_on_threads() {
    within(Duration::from_secs(30), || {
        let (sender, mut receiver) = watch::channel(0);
        let waiting = thread::spawn(move || {
            assert_eq!(*receiver.wait_for_blocking(|value| *value >= 3).unwrap(), 3);
            receiver.wait_for_blocking(|value| *value == 9).map(|_| ())
        });
        for value in 1..=3 {
            sender.send(value).unwrap();
        }
        drop(sender);
        assert_eq!(waiting.join().unwrap(), Err(watch::RecvError));
    });
}

#[test]
fn oneshot_ends() {
    block_on(async {
        let (sender, mut receiver) = oneshot::channel::<u8>();
        assert_eq!(receiver.try_recv(), Err(oneshot::TryRecvError::Empty));
        drop(sender);
        assert_eq!(receiver.try_recv(), Err(oneshot::TryRecvError::Closed));
        assert_eq!(receiver.await, Err(oneshot::RecvError));

        let (sender, receiver) = oneshot::channel();
        drop(receiver);
        sender.closed().await;
        assert_eq!(sender.send(7), Err(oneshot::SendError(7)));

        // Sent before it was closed, so still received.
        let (sender, mut receiver) = oneshot::channel();
        sender.send(7).unwrap();
        receiver.close();
        assert_eq!((&mut receiver).await, Ok(7));
        assert_eq!(receiver.await, Err(oneshot::RecvError));

        let (sender, mut receiver) = oneshot::channel();
        receiver.close();
        assert!(sender.is_closed());
        assert_eq!(sender.send(7), Err(oneshot::SendError(7)));
    });
}

#[test]
fn watch_sees_the_latest() {
    block_on(async {
        let (sender, mut receiver) = watch::channel(0);
        assert_eq!(receiver.has_changed(), Ok(false));
        sender.send(1).unwrap();
        sender.send(2).unwrap();
        receiver.changed().await.unwrap();
        assert_eq!(*receiver.borrow(), 2);
        assert!(poll_once(receiver.changed()).await.is_none());
        assert!(!sender.send_if_modified(|_| false));
        assert!(poll_once(receiver.changed()).await.is_none());

        let mut late = sender.subscribe();
        assert_eq!(late.has_changed(), Ok(false));
        late.mark_changed();
        late.changed().await.unwrap();

        assert_eq!(*receiver.wait_for(|value| *value == 2).await.unwrap(), 2);
        let waited = future::zip(receiver.wait_for(|value| *value > 3), async {
            sender.send(3).unwrap();
            future::yield_now().await;
            sender.send(4).unwrap();
        });
        assert_eq!(*waited.await.0.unwrap(), 4);

        sender.send(5).unwrap();
        drop(sender);
        receiver.changed().await.expect("the last change is seen");
        assert_eq!(receiver.changed().await, Err(watch::RecvError));
        assert!(receiver.wait_for(|value| *value == 6).await.is_err());
        assert_eq!(*receiver.wait_for(|value| *value == 5).await.unwrap(), 5);
    });
}

#[test]
fn watch_outlives_a_panic() {
    let (sender, mut receiver) = watch::channel(0);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        sender.send_modify(|value| {
            *value = 1;
            std::panic::resume_unwind(Box::new("on purpose"));
        });
    }));
    assert!(panicked.is_err());
    receiver.changed_blocking().unwrap();
    assert_eq!(*receiver.borrow(), 1);
    sender.send(2).unwrap();
    assert_eq!(*receiver.borrow(), 2);
}

#[test]
fn rate_limiter_keeps_its_schedule() {
    let count = |count| NonZeroU32::new(count).unwrap();
    let limiter = RateLimiter::new(count(10), Duration::from_secs(1), count(3));
    let tenth = Duration::from_millis(100);
    // Later than its making, however long that took.
    let start = Instant::now();
    for _ in 0..3 {
        limiter.try_acquire_at(start).unwrap();
    }
    assert_eq!(limiter.try_acquire_at(start), Err(tenth));
    assert_eq!(limiter.try_acquire_at(start + tenth / 2), Err(tenth / 2));
    limiter.try_acquire_at(start + tenth).unwrap();
    assert_eq!(limiter.reserve_at(start + tenth), tenth);
    assert_eq!(limiter.reserve_at(start + tenth), 2 * tenth);
    // A long pause fills the burst again, and no more than that.
    let later = start + Duration::from_secs(60);
    let at_once = (0..10).filter(|_| limiter.try_acquire_at(later).is_ok()).count();
    assert_eq!(at_once, 3);
    // No overflow at the end of time.
    let slow = RateLimiter::new(count(1), Duration::MAX, count(u32::MAX));
    slow.try_acquire_at(start).unwrap();
    slow.reserve_at(start);
}

#[test]
fn rate_limiter_never_lets_more_through() {
    let count = |count| NonZeroU32::new(count).unwrap();
    // 3 in 5 ns are not one in each.
    let limiter = RateLimiter::new(count(3), Duration::from_nanos(5), count(1));
    let start = Instant::now();
    let delays: Vec<_> = (0..4).map(|_| limiter.reserve_at(start).as_nanos()).collect();
    assert_eq!(delays, [0, 2, 4, 6]);
    let refused = || RateLimiter::new(count(6), Duration::from_nanos(5), count(1));
    assert!(std::panic::catch_unwind(refused).is_err());
}

#[test]
fn rate_limiter_takes_back_what_was_cancelled() {
    block_on(async {
        let count = |count| NonZeroU32::new(count).unwrap();
        let hour = Duration::from_secs(3600);
        let limiter = RateLimiter::new(count(1), hour, count(1));
        limiter.acquire(|_| future::pending()).await;
        for _ in 0..100 {
            assert!(poll_once(limiter.acquire(|_| future::pending())).await.is_none());
        }
        // They are gone, and nobody has to wait for them.
        assert!(limiter.try_acquire().unwrap_err() <= hour);
        // With somebody behind it a place is used up, and that one gets no other time.
        let mut first = Box::pin(limiter.acquire(|_| future::pending()));
        assert!(poll_once(first.as_mut()).await.is_none());
        assert!(limiter.reserve() > hour);
        drop(first);
        let delay = limiter.try_acquire().unwrap_err();
        assert!(delay > 2 * hour, "{delay:?}");

        // Neither here: what is due at the end of time is not before it.
        let slow = RateLimiter::new(count(1), Duration::MAX, count(1));
        slow.acquire(|_| future::pending()).await;
        assert!(poll_once(slow.acquire(|_| future::pending())).await.is_none());
        assert!(slow.try_acquire().is_err());
    });
}

#[test]
fn single_flight_survives_its_leader() {
    block_on(async {
        let flights = SingleFlight::<&str, u32>::new();
        let begun = AtomicUsize::new(0);
        let work = |result| {
            let begun = &begun;
            move || async move {
                begun.fetch_add(1, Ordering::SeqCst);
                future::yield_now().await;
                result
            }
        };
        let mut leader = Box::pin(flights.run("key", work(1)));
        assert!(poll_once(leader.as_mut()).await.is_none());
        let mut second = Box::pin(flights.run("key", work(2)));
        assert!(poll_once(second.as_mut()).await.is_none());
        let third = flights.run("key", work(3));
        assert_eq!((begun.load(Ordering::SeqCst), flights.in_flight()), (1, 1));
        drop(leader);
        assert_eq!(future::zip(second, third).await, (2, 2));
        assert_eq!((begun.load(Ordering::SeqCst), flights.in_flight()), (2, 0));

        // Nothing is left when all who waited are gone.
        let mut leader = Box::pin(flights.run("key", work(1)));
        assert!(poll_once(leader.as_mut()).await.is_none());
        drop(leader);
        assert_eq!(flights.in_flight(), 0);
        // And nothing is kept.
        assert_eq!(flights.run_blocking("key", work(4)), 4);
        assert_eq!(flights.run("key", work(5)).await, 5);
    });
}

#[test]
fn mpsc_keeps_its_limit_and_its_order() {
    block_on(async {
        let (sender, mut receiver) = mpsc::bounded(4);
        assert_eq!((sender.capacity(), mpsc::unbounded::<u8>().0.capacity()), (Some(4), None));
        (0..4).for_each(|number| sender.try_send(number).unwrap());
        assert!(matches!(sender.try_send(9), Err(TrySendError::Full(9))));
        // The first place comes back at once, the others by halves; the limit holds all the time.
        let mut next = 4;
        for number in 0..100 {
            assert_eq!(receiver.try_recv(), Ok(number));
            while sender.try_send(next).is_ok() {
                next += 1;
            }
            assert!(receiver.len() <= 4 && !receiver.is_empty(), "{} items", receiver.len());
            assert_eq!(next, number + 1 + receiver.len());
        }
        drop(sender);
        while let Ok(number) = receiver.recv().await {
            assert!(number >= 100 && number < next);
        }
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
        assert_eq!(receiver.recv().await, Err(RecvError));
    });
}

#[test]
fn mpsc_ends() {
    block_on(async {
        let (sender, mut receiver) = mpsc::bounded(1);
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        sender.send(1).await.unwrap();
        let late = sender.send(2);
        pin!(late);
        assert!(poll_once(late.as_mut()).await.is_none());
        receiver.close();
        assert_eq!(late.await.unwrap_err().0, 2);
        assert!(sender.is_closed());
        sender.closed().await;
        assert!(matches!(sender.try_send(3), Err(TrySendError::Closed(3))));
        assert_eq!(receiver.recv().await, Ok(1));
        assert_eq!(receiver.recv().await, Err(RecvError));

        let (sender, receiver) = mpsc::unbounded();
        let sent: Vec<_> = (0..10_000).map(|number| sender.try_send(number)).collect();
        assert!(sent.iter().all(Result::is_ok));
        drop(sender);
        let received: Vec<i32> = futures_lite::StreamExt::collect(receiver).await;
        assert!(received.into_iter().eq(0..10_000));
    });
}

/// One who is called and gives up leaves the room to the next.
#[test]
fn mpsc_senders_take_turns() {
    block_on(async {
        let (sender, mut receiver) = mpsc::bounded(1);
        sender.try_send(0).unwrap();
        let mut waiting: Vec<_> = (1..4).map(|number| Box::pin(sender.send(number))).collect();
        for waiting in &mut waiting {
            assert!(poll_once(waiting.as_mut()).await.is_none());
        }
        let last = waiting.pop().unwrap();
        assert_eq!(receiver.try_recv(), Ok(0));
        // The first has been called.
        drop(waiting);
        last.await.unwrap();
        assert_eq!(receiver.try_recv(), Ok(3));
    });
}
