//! Goal: what may be sent and shared can be (FAULTS R21; the other half, what must not compile, is in `src/must_not_compile.rs`).
//! Method: the compiler.

use std::cell::Cell;
use std::panic::{RefUnwindSafe, UnwindSafe};

use smolkit_sync::{
    Condvar, Notified, Notify, OnceCell, RateLimiter, SingleFlight, broadcast, channel, event,
    lock, mpsc, oneshot, watch,
};

fn sent_and_shared<T: Send + Sync>() {}
fn sent<T: Send>() {}
fn unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}

#[test]
fn what_may_be_sent_and_shared() {
    sent_and_shared::<channel::Sender<u8>>();
    sent_and_shared::<channel::Receiver<Cell<u8>>>();
    sent_and_shared::<mpsc::Sender<Cell<u8>>>();
    sent::<mpsc::Receiver<Cell<u8>>>();
    sent_and_shared::<oneshot::Sender<Cell<u8>>>();
    sent_and_shared::<oneshot::Receiver<Cell<u8>>>();
    sent_and_shared::<watch::Sender<u8>>();
    sent_and_shared::<watch::Receiver<u8>>();
    sent_and_shared::<broadcast::Sender<u8>>();
    sent_and_shared::<broadcast::Receiver<u8>>();
    sent_and_shared::<lock::Mutex<Cell<u8>>>();
    sent_and_shared::<lock::RwLock<u8>>();
    sent_and_shared::<lock::MutexGuard<'static, u8>>();
    sent_and_shared::<OnceCell<u8>>();
    sent_and_shared::<Notify>();
    sent_and_shared::<Notified<'static>>();
    sent_and_shared::<Condvar>();
    sent_and_shared::<RateLimiter>();
    sent_and_shared::<SingleFlight<u8, u8>>();
    sent_and_shared::<event::Event<u8>>();
    sent::<event::EventListener<u8>>();
    unwind_safe::<Notify>();
    unwind_safe::<Condvar>();
    unwind_safe::<oneshot::Sender<Cell<u8>>>();
    unwind_safe::<oneshot::Receiver<Cell<u8>>>();
}

#[test]
fn futures_may_be_sent() {
    fn check<T: Send>(_: T) {}
    let (sender, mut receiver) = watch::channel(1);
    check(sender.closed());
    check(receiver.changed());
    check(receiver.wait_for(|value| *value == 1));
    let (sender, receiver) = oneshot::channel::<u8>();
    check(sender.closed());
    check(receiver);
    fn moved<T: Unpin>() {}
    moved::<oneshot::Receiver<std::marker::PhantomPinned>>();
    moved::<Notified<'static>>();
    check(SingleFlight::<u8, u8>::new().run(1, || async { 1 }));
    let (sender, mut receiver) = mpsc::bounded::<u8>(1);
    check(sender.send(1));
    check(sender.closed());
    check(receiver.recv());
    let mutex = lock::Mutex::new(1);
    check(Condvar::new().wait(mutex.lock_blocking()));
}
