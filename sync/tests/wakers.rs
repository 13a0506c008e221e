//! Goal: foreign code in wakers can hurt neither the object nor the others who wait for it (FAULTS R7, R8).
//! Method: every kind of waiting of our own is polled with a waker whose clone, wake and drop use the same object, then with another one,
//! then dropped; and one of 100 wakers panics.

mod support;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use futures_lite::future::block_on;
use smolkit_sync::{Condvar, Notify, lock, oneshot, watch};
use support::{Act, counting, hooked, within};

type Waiting = Pin<Box<dyn Future<Output = ()>>>;

/// Polls what `wait` makes with waker A, then with B; then lets `act` happen, or drops it.
fn reenter(
    name: &str,
    wait: impl Fn() -> Waiting + Send + 'static,
    touch: impl Fn(Act) + Send + Sync + 'static,
    act: impl Fn() + Send + 'static,
) {
    let touch = Arc::new(touch);
    let name = name.to_owned();
    within(Duration::from_secs(20), move || {
        for is_dropped in [false, true] {
            let touching = |touch: &Arc<_>| {
                let touch: Arc<dyn Fn(Act) + Send + Sync> = Arc::clone(touch) as _;
                hooked(move |act| touch(act))
            };
            let (a, b) = (touching(&touch), touching(&touch));
            let mut waiting = wait();
            // The hook may end the wait when a waker is replaced and dropped.
            let is_over = [&a, &b, &b, &a]
                .into_iter()
                .any(|waker| waiting.as_mut().poll(&mut Context::from_waker(waker)).is_ready());
            if is_dropped || is_over {
                drop(waiting);
            } else {
                act();
                let polled = waiting.as_mut().poll(&mut Context::from_waker(&a));
                assert!(polled.is_ready(), "{name}: not woken");
            }
        }
    });
}

#[test]
fn notify() {
    for all in [false, true] {
        let notify: &'static Notify = Box::leak(Box::default());
        let tell = move || if all { notify.notify_all() } else { notify.notify_one() };
        reenter(
            "notify",
            move || Box::pin(notify.notified()),
            move |act| match act {
                // A `notify_one` here would end the wait that is being set up.
                Act::Clone => drop(notify.notified()),
                Act::Wake | Act::Drop => drop((notify.notified(), format!("{notify:?}"))),
            },
            tell,
        );
    }
}

#[test]
fn condvar() {
    let mutex: &'static lock::Mutex<u8> = Box::leak(Box::default());
    let condvar: &'static Condvar = Box::leak(Box::default());
    reenter(
        "condvar",
        move || Box::pin(async move { drop(condvar.wait(mutex.lock().await).await) }),
        move |act| match act {
            Act::Clone => drop(format!("{condvar:?}")),
            Act::Wake | Act::Drop => condvar.notify_all(),
        },
        move || condvar.notify_one(),
    );
}

#[test]
fn watch_changed_and_closed() {
    let (sender, receiver) = watch::channel(0);
    let sender: &'static watch::Sender<i32> = Box::leak(Box::new(sender));
    let other = receiver.clone();
    reenter(
        "changed",
        move || {
            let mut receiver = receiver.clone();
            receiver.mark_unchanged();
            Box::pin(async move { receiver.changed().await.unwrap() })
        },
        move |act| match act {
            Act::Clone => drop((other.has_changed(), sender.borrow())),
            Act::Wake | Act::Drop => sender.send(1).unwrap(),
        },
        move || sender.send(2).unwrap(),
    );

    let (sender, receiver) = watch::channel(0);
    let sender: &'static watch::Sender<i32> = Box::leak(Box::new(sender));
    let receiver = Arc::new(std::sync::Mutex::new(Some(receiver)));
    let taken = receiver.clone();
    reenter(
        "closed",
        move || {
            taken.lock().unwrap().get_or_insert_with(|| sender.subscribe());
            Box::pin(sender.closed())
        },
        move |_| {
            sender.receiver_count();
            // Nobody may be watching by now.
            let _ = sender.send(1);
        },
        move || drop(receiver.lock().unwrap().take()),
    );
}

#[test]
fn oneshot_received_and_closed() {
    // The waker holds the sender, and uses and drops it while it is woken.
    type Slot = Arc<std::sync::Mutex<Option<oneshot::Sender<i32>>>>;
    let slot = Slot::default();
    let (made, touched, sent) = (slot.clone(), slot.clone(), slot);
    reenter(
        "received",
        move || {
            let (sender, receiver) = oneshot::channel();
            *made.lock().unwrap() = Some(sender);
            Box::pin(async move {
                let _ = receiver.await;
            })
        },
        move |_| {
            if let Ok(slot) = touched.try_lock() {
                let _ = slot.as_ref().map(oneshot::Sender::is_closed);
            }
        },
        move || {
            let sender = sent.lock().unwrap().take().unwrap();
            let _ = sender.send(1);
        },
    );

    type Ends = (Arc<oneshot::Sender<i32>>, Option<oneshot::Receiver<i32>>);
    let ends = Arc::new(std::sync::Mutex::new(None::<Ends>));
    let (made, touched, closed) = (ends.clone(), ends.clone(), ends);
    reenter(
        "closed",
        move || {
            let (sender, receiver) = oneshot::channel();
            let sender = Arc::new(sender);
            *made.lock().unwrap() = Some((sender.clone(), Some(receiver)));
            Box::pin(async move { sender.closed().await })
        },
        move |_| {
            if let Ok(ends) = touched.try_lock() {
                let _ = ends.as_ref().map(|ends| ends.0.is_closed());
            }
        },
        move || {
            let receiver = closed.lock().unwrap().as_mut().unwrap().1.take();
            drop(receiver);
        },
    );
}

/// One of 100 who wait has a waker that panics: `wake` passes that on, after all others were woken.
fn one_panics<F: Future>(wait: impl Fn() -> F, wake: impl FnOnce()) {
    let mut waiting: Vec<_> = (0..100).map(|_| Box::pin(wait())).collect();
    let mut counts = Vec::new();
    for (i, waiting) in waiting.iter_mut().enumerate() {
        let (waker, count) = if i == 50 {
            let panicking = hooked(|act| {
                if act == Act::Wake {
                    panic!("on purpose");
                }
            });
            (panicking, Arc::default())
        } else {
            counting()
        };
        assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        counts.push(count);
    }
    let payload = catch_unwind(AssertUnwindSafe(wake)).expect_err("the panic is passed on");
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"on purpose"));
    let woken = counts.iter().filter(|count| *count.lock().unwrap() == 1).count();
    assert_eq!(woken, 99);
    for waiting in waiting {
        block_on(waiting);
    }
}

#[test]
fn a_waker_that_panics_hurts_nobody_else() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&"on purpose") {
            default(info);
        }
    }));
    within(Duration::from_secs(20), || {
        let notify = Notify::new();
        one_panics(|| notify.notified(), || notify.notify_all());
        notify.notify_one();
        notify.notified_blocking();

        let condvar = Condvar::new();
        let mutex = lock::Mutex::new(());
        let wait = || async { drop(condvar.wait(mutex.lock().await).await) };
        one_panics(wait, || condvar.notify_all());

        let (sender, receiver) = watch::channel(0);
        let wait = || {
            let mut receiver = receiver.clone();
            async move { receiver.changed().await.unwrap() }
        };
        one_panics(wait, || sender.send(1).unwrap());
        assert_eq!(*receiver.borrow(), 1);
        drop(receiver);

        let receiver = sender.subscribe();
        one_panics(|| sender.closed(), || drop(receiver));
        assert!(sender.is_closed());
    });
}
