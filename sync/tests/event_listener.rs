//! Goal: what the types on event-listener bear of wakers and of those who wait, and what the documentation says of the rest (FAULTS R7, R8).
//! Method: every kind of waiting is polled with wakers whose clone, wake and drop use another object of the same type, to the full; and one of
//! those who wait panics when its turn comes.

mod support;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use futures_lite::FutureExt;
use futures_lite::future::{block_on, poll_once, yield_now};
use smolkit_sync::{OnceCell, SingleFlight, broadcast, channel, event, lock};
use support::{hooked, within};

type Waiting = Pin<Box<dyn Future<Output = ()>>>;

/// What is waited for, and what ends the wait.
struct Case {
    wait: Waiting,
    end: Box<dyn FnOnce()>,
}

/// Waits on one object, with wakers that go through a whole wait on another one, from its beginning to its end and given up.
fn beside(name: &'static str, make: fn() -> Case) {
    within(Duration::from_secs(60), move || {
        for is_dropped in [false, true] {
            let Case { mut wait, end } = make();
            let [a, b] = [(), ()].map(|()| {
                hooked(move |_| {
                    let Case { mut wait, end } = make();
                    assert!(block_on(poll_once(&mut wait)).is_none(), "{name}");
                    end();
                    block_on(wait);
                    let Case { mut wait, end: _kept } = make();
                    assert!(block_on(poll_once(&mut wait)).is_none(), "{name}");
                })
            });
            for waker in [&a, &b, &b, &a] {
                assert!(wait.as_mut().poll(&mut Context::from_waker(waker)).is_pending(), "{name}");
            }
            if !is_dropped {
                end();
                let polled = wait.as_mut().poll(&mut Context::from_waker(&a));
                assert!(polled.is_ready(), "{name}: not woken");
            }
        }
    });
}

fn case(wait: impl Future<Output = ()> + 'static, end: impl FnOnce() + 'static) -> Case {
    Case { wait: Box::pin(wait), end: Box::new(end) }
}

#[test]
fn wakers_that_use_another_object() {
    beside("event", || {
        let event = Arc::new(event::Event::new());
        let listener = event.listen();
        case(listener, move || assert_eq!(event.notify(1), 1))
    });
    beside("received", || {
        let (sender, receiver) = channel::bounded(1);
        case(async move { receiver.recv().await.unwrap() }, move || sender.try_send(()).unwrap())
    });
    beside("sent", || {
        let (sender, receiver) = channel::bounded(1);
        sender.try_send(1).unwrap();
        case(async move { sender.send(2).await.unwrap() }, move || {
            assert_eq!(receiver.try_recv(), Ok(1));
            // Kept, or sending would be an error.
            std::mem::forget(receiver);
        })
    });
    beside("broadcast", || {
        let (sender, mut receiver) = broadcast::broadcast(1);
        case(async move { receiver.recv().await.unwrap() }, move || {
            sender.try_broadcast(()).unwrap();
        })
    });
    beside("locked", || {
        let mutex = Arc::new(lock::Mutex::new(()));
        let guard = mutex.try_lock_arc().unwrap();
        case(async move { drop(mutex.lock().await) }, move || drop(guard))
    });
    beside("read", || {
        let lock = Arc::new(lock::RwLock::new(()));
        let guard = lock.try_write_arc().unwrap();
        case(async move { drop(lock.read().await) }, move || drop(guard))
    });
    beside("written", || {
        let lock = Arc::new(lock::RwLock::new(()));
        let guard = lock.try_read_arc().unwrap();
        case(async move { drop(lock.write().await) }, move || drop(guard))
    });
    beside("acquired", || {
        let semaphore = Arc::new(lock::Semaphore::new(0));
        let other = semaphore.clone();
        case(async move { drop(semaphore.acquire().await) }, move || other.add_permits(1))
    });
    beside("met", || {
        let barrier = Arc::new(lock::Barrier::new(2));
        let other = barrier.clone();
        case(async move { assert!(!barrier.wait().await.is_leader()) }, move || {
            assert!(other.wait_blocking().is_leader());
        })
    });
    beside("set once", || {
        let cell = Arc::new(OnceCell::new());
        let other = cell.clone();
        case(async move { assert_eq!(cell.wait().await, &1) }, move || {
            other.set_blocking(1).unwrap();
        })
    });
    beside("single flight", || {
        let flights = Arc::new(SingleFlight::new());
        let (done, work) = channel::bounded(1);
        let mut first = Box::pin({
            let flights = flights.clone();
            async move { flights.run(1, || async move { work.recv().await.unwrap() }).await }
        });
        assert!(block_on(poll_once(&mut first)).is_none());
        let second = async move { assert_eq!(flights.run(1, std::future::pending).await, 7) };
        case(second, move || {
            done.try_send(7).unwrap();
            assert_eq!(block_on(first), 7);
        })
    });
}

/// 100 wait in turn, and the one in the middle panics when it has what it has waited for: the others get it all the same.
fn one_panics<F: Future<Output = ()>>(name: &str, wait: impl Fn(bool) -> F, begin: impl FnOnce()) {
    let mut waiting: Vec<_> = (0..100).map(|i| Some(Box::pin(wait(i == 50)))).collect();
    block_on(async {
        for wait in &mut waiting {
            assert!(poll_once(wait.as_mut().unwrap()).await.is_none(), "{name}");
        }
        begin();
        let mut panics = 0;
        while waiting.iter().any(Option::is_some) {
            for slot in &mut waiting {
                let Some(wait) = slot else { continue };
                match AssertUnwindSafe(poll_once(wait)).catch_unwind().await {
                    Ok(None) => {}
                    Ok(Some(())) => *slot = None,
                    Err(payload) => {
                        assert_eq!(payload.downcast_ref::<&str>(), Some(&"on purpose"), "{name}");
                        panics += 1;
                        *slot = None;
                    }
                }
            }
            yield_now().await;
        }
        assert_eq!(panics, 1, "{name}");
    });
}

fn panic_if(it_must: bool) {
    assert!(!it_must, "on purpose");
}

#[test]
fn one_who_panics_when_its_turn_comes() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&"on purpose") {
            default(info);
        }
    }));
    within(Duration::from_secs(60), || {
        let mutex = lock::Mutex::new(());
        let guard = mutex.try_lock().unwrap();
        let wait = |panics| {
            let mutex = &mutex;
            async move {
                let _guard = mutex.lock().await;
                panic_if(panics);
            }
        };
        one_panics("mutex", wait, || drop(guard));
        assert!(mutex.try_lock().is_some());

        let lock = lock::RwLock::new(());
        let guard = lock.try_read().unwrap();
        let wait = |panics| {
            let lock = &lock;
            async move {
                let _guard = lock.write().await;
                panic_if(panics);
            }
        };
        one_panics("write lock", wait, || drop(guard));
        assert!(lock.try_write().is_some());

        let semaphore = lock::Semaphore::new(0);
        let wait = |panics| {
            let semaphore = &semaphore;
            async move {
                let _permit = semaphore.acquire().await;
                panic_if(panics);
            }
        };
        one_panics("semaphore", wait, || semaphore.add_permits(1));
        assert!(semaphore.try_acquire().is_some());

        let (sender, receiver) = channel::bounded(100);
        let wait = |panics| {
            let receiver = &receiver;
            async move {
                receiver.recv().await.unwrap();
                panic_if(panics);
            }
        };
        one_panics("channel", wait, || (0..100).for_each(|i| sender.try_send(i).unwrap()));
        assert!(receiver.is_empty());

        // Its work is lost, and done by the next one.
        let cell = OnceCell::new();
        for panics in [true, false] {
            let work = || async move {
                panic_if(panics);
                5
            };
            let result = catch_unwind(AssertUnwindSafe(|| block_on(cell.get_or_init(work))));
            assert_eq!(result.is_err(), panics);
        }
        assert_eq!(cell.get(), Some(&5));
    });
}
