//! Goal: foreign code in wakers can hurt neither the object nor the others who wait for it (FAULTS R7, R8).
//! Method: every kind of waiting of our own is polled with a waker whose clone, wake and drop use the same object, then with another one,
//! then dropped; and two of 100 wakers panic.

mod support;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use futures_lite::future::block_on;
use smolkit_sync::{Condvar, Notify, SingleFlight, lock, mpsc, oneshot, watch};
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
    within(Duration::from_secs(60), move || {
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

/// The receiver's own waker sends, or drops the sender, at each of the moments at which it can.
#[test]
fn oneshot_ended_by_the_waker() {
    for (moment, is_sent) in [Act::Clone, Act::Drop, Act::Wake]
        .into_iter()
        .flat_map(|moment| [(moment, true), (moment, false)])
    {
        within(Duration::from_secs(30), move || {
            let (sender, mut receiver) = oneshot::channel();
            let sender = Arc::new(std::sync::Mutex::new(Some(sender)));
            let ending = sender.clone();
            let waker = hooked(move |act| {
                let Some(sender) = (act == moment).then(|| ending.lock().unwrap().take()).flatten()
                else {
                    return;
                };
                if is_sent {
                    sender.send(7).unwrap();
                }
            });
            let (other, woken) = counting();
            let poll = |receiver: &mut oneshot::Receiver<i32>, waker| {
                Pin::new(receiver).poll(&mut Context::from_waker(waker))
            };
            let mut polled = poll(&mut receiver, &waker);
            assert_eq!(polled.is_ready(), moment == Act::Clone, "{moment:?} {is_sent}");
            if polled.is_pending() {
                // Here the first waker is dropped.
                polled = poll(&mut receiver, &other);
            }
            if polled.is_pending() && moment == Act::Drop {
                assert_eq!(*woken.lock().unwrap(), 1, "{moment:?} {is_sent}: not woken");
                polled = poll(&mut receiver, &other);
            }
            if moment == Act::Wake {
                // Nothing has woken it.
                assert!(polled.is_pending() && sender.lock().unwrap().is_some());
            } else {
                let result = if is_sent { Ok(7) } else { Err(oneshot::RecvError) };
                assert_eq!(polled, std::task::Poll::Ready(result), "{moment:?}");
            }
        });
    }
}

#[test]
fn mpsc_received_and_sent_and_closed() {
    type Ends = Option<(mpsc::Sender<i32>, mpsc::Receiver<i32>)>;
    // The receiver waits; its waker sends to itself, clones and drops senders.
    let slot = Arc::new(std::sync::Mutex::new(None::<mpsc::Sender<i32>>));
    let (made, touched, sent) = (slot.clone(), slot.clone(), slot);
    reenter(
        "received",
        move || {
            let (sender, mut receiver) = mpsc::bounded(4);
            *made.lock().unwrap() = Some(sender);
            Box::pin(async move {
                receiver.recv().await.unwrap();
            })
        },
        move |act| {
            let Ok(slot) = touched.try_lock() else { return };
            let Some(sender) = slot.as_ref() else { return };
            match act {
                // To send here would end the wait that is being set up.
                Act::Clone => drop((sender.clone(), sender.is_closed())),
                Act::Wake | Act::Drop => drop((sender.try_send(7), sender.clone())),
            }
        },
        move || {
            let sender = sent.lock().unwrap().clone().unwrap();
            sender.try_send(1).unwrap();
        },
    );

    // A sender waits for room; its waker sends, and waits itself.
    let slot = Arc::new(std::sync::Mutex::new(None as Ends));
    let (made, touched, received) = (slot.clone(), slot.clone(), slot);
    reenter(
        "sent",
        move || {
            let (sender, receiver) = mpsc::bounded(1);
            sender.try_send(0).unwrap();
            *made.lock().unwrap() = Some((sender.clone(), receiver));
            Box::pin(async move { sender.send(1).await.unwrap() })
        },
        move |_| {
            let Ok(slot) = touched.try_lock() else { return };
            let Some((sender, receiver)) = slot.as_ref() else { return };
            // Where there is room it would take that of the sender which is woken.
            if !receiver.is_empty() {
                assert!(block_on(futures_lite::future::poll_once(sender.send(7))).is_none());
            }
            drop((sender.clone(), format!("{sender:?}")));
        },
        move || {
            let mut slot = received.lock().unwrap();
            let (_, receiver) = slot.as_mut().unwrap();
            receiver.try_recv().unwrap();
        },
    );

    // A sender waits for the receiver to go.
    let slot = Arc::new(std::sync::Mutex::new(None as Ends));
    let (made, touched, closed) = (slot.clone(), slot.clone(), slot);
    reenter(
        "closed",
        move || {
            let (sender, receiver) = mpsc::unbounded();
            *made.lock().unwrap() = Some((sender.clone(), receiver));
            Box::pin(async move { sender.closed().await })
        },
        move |_| {
            let Ok(slot) = touched.try_lock() else { return };
            let Some((sender, _)) = slot.as_ref() else { return };
            drop((sender.try_send(7).is_ok(), sender.clone()));
        },
        move || {
            let ends = closed.lock().unwrap().take();
            drop(ends);
        },
    );
}

/// A key that looks at the flights whenever it is cloned or dropped.
struct Key(u8, &'static SingleFlight<Key, u8>);

impl Clone for Key {
    fn clone(&self) -> Key {
        self.1.in_flight();
        Key(self.0, self.1)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.1.in_flight();
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.0 == other.0
    }
}

impl Eq for Key {}

impl std::hash::Hash for Key {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[test]
fn keys_of_a_single_flight() {
    within(Duration::from_secs(30), || {
        let flights: &'static SingleFlight<Key, u8> = Box::leak(Box::default());
        let mut first = Box::pin(flights.run(Key(1, flights), std::future::pending));
        assert!(block_on(futures_lite::future::poll_once(first.as_mut())).is_none());
        let mut second = Box::pin(flights.run(Key(1, flights), || async { 7 }));
        assert!(block_on(futures_lite::future::poll_once(second.as_mut())).is_none());
        drop(first);
        assert_eq!(block_on(second), 7);
        assert_eq!(flights.in_flight(), 0);
    });
}

/// Two of 100 who wait have wakers that panic: `wake` passes the first on, after all others were woken.
fn two_panic<F: Future>(wait: impl Fn() -> F, wake: impl FnOnce()) {
    let mut waiting: Vec<_> = (0..100).map(|_| Box::pin(wait())).collect();
    let mut counts = Vec::new();
    for (i, waiting) in waiting.iter_mut().enumerate() {
        let (waker, count) = if [50, 70].contains(&i) {
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
    assert_eq!(woken, 98);
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
    within(Duration::from_secs(60), || {
        let notify = Notify::new();
        two_panic(|| notify.notified(), || notify.notify_all());
        notify.notify_one();
        notify.notified_blocking();

        let condvar = Condvar::new();
        let mutex = lock::Mutex::new(());
        let wait = || async { drop(condvar.wait(mutex.lock().await).await) };
        two_panic(wait, || condvar.notify_all());

        let (sender, receiver) = watch::channel(0);
        let wait = || {
            let mut receiver = receiver.clone();
            async move { receiver.changed().await.unwrap() }
        };
        two_panic(wait, || sender.send(1).unwrap());
        assert_eq!(*receiver.borrow(), 1);
        drop(receiver);

        let receiver = sender.subscribe();
        two_panic(|| sender.closed(), || drop(receiver));
        assert!(sender.is_closed());

        let (sender, mut receiver) = mpsc::bounded(1);
        sender.try_send(1).unwrap();
        let wait = || async { assert!(sender.send(2).await.is_err()) };
        two_panic(wait, || receiver.close());
        assert_eq!(receiver.try_recv(), Ok(1));
        let (sender, receiver) = mpsc::bounded::<u8>(1);
        two_panic(|| sender.closed(), || drop(receiver));

        // The item that was to be received is still there, and so is the room.
        let (sender, mut receiver) = mpsc::bounded(1);
        sender.try_send(1).unwrap();
        let mut waiting = Box::pin(sender.send(2));
        let panicking = hooked(|act| {
            if act == Act::Wake {
                panic!("on purpose");
            }
        });
        assert!(waiting.as_mut().poll(&mut Context::from_waker(&panicking)).is_pending());
        catch_unwind(AssertUnwindSafe(|| receiver.try_recv())).expect_err("it is passed on");
        assert_eq!(receiver.try_recv(), Ok(1));
        block_on(waiting).unwrap();
        assert_eq!(receiver.try_recv(), Ok(2));
        sender.try_send(3).unwrap();
        assert!(sender.try_send(4).is_err());
    });
}
