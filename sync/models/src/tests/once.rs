//! The channel for one value: a value that is sent is received or dropped, once, whatever the receiver does meanwhile (RUSTSEC-2021-0124).

use std::pin::Pin;
use std::task::{Context, Wake, Waker};

use loom::thread;

use super::{Drops, explore};
use crate::oneshot;
use crate::primitives::block_on;

#[test]
fn sent_and_received() {
    explore(3, || {
        let (sender, receiver) = oneshot::channel();
        let sending = thread::spawn(move || sender.send(7).is_ok());
        assert_eq!(block_on(receiver), Ok(7));
        assert!(sending.join().unwrap());
    });
}

#[test]
fn dropped_instead_of_sent() {
    explore(3, || {
        let (sender, receiver) = oneshot::channel::<u8>();
        let dropping = thread::spawn(move || drop(sender));
        assert!(block_on(receiver).is_err());
        dropping.join().unwrap();
    });
}

#[test]
fn sent_against_closed() {
    explore(3, || {
        let drops = Drops::new();
        let (sender, mut receiver) = oneshot::channel();
        let item = drops.item();
        let sending = thread::spawn(move || sender.send(item).is_ok());
        receiver.close();
        let is_received = receiver.try_recv().is_ok();
        assert_eq!(sending.join().unwrap(), is_received);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn sent_against_dropped() {
    explore(3, || {
        let drops = Drops::new();
        let (sender, receiver) = oneshot::channel();
        let item = drops.item();
        let sending = thread::spawn(move || drop(sender.send(item)));
        drop(receiver);
        sending.join().unwrap();
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn waiting_for_the_receiver_to_go() {
    explore(3, || {
        let (sender, receiver) = oneshot::channel::<u8>();
        let dropping = thread::spawn(move || drop(receiver));
        block_on(sender.closed());
        dropping.join().unwrap();
    });
}

/// Counts itself by its references, as a task does.
struct Counted;

impl Wake for Counted {
    fn wake(self: std::sync::Arc<Self>) {}
}

/// A waker, and whether all copies of it are gone.
fn counted() -> (Waker, impl Fn() -> bool) {
    let counted = std::sync::Arc::new(Counted);
    (counted.clone().into(), move || std::sync::Arc::strong_count(&counted) == 1)
}

fn is_pending<T>(receiver: &mut oneshot::Receiver<T>, waker: &Waker) -> bool {
    Pin::new(receiver).poll(&mut Context::from_waker(waker)).is_pending()
}

/// The former waker is replaced while the sender may be taking it.
#[test]
fn sent_against_another_waker() {
    explore(3, || {
        let (waker, is_gone) = counted();
        let drops = Drops::new();
        let (sender, mut receiver) = oneshot::channel();
        assert!(is_pending(&mut receiver, &waker));
        let item = drops.item();
        let sending = thread::spawn(move || sender.send(item).is_ok());
        drop(block_on(receiver).ok().unwrap());
        assert!(sending.join().unwrap());
        drop(waker);
        assert!(is_gone());
        assert_eq!(drops.count(), 1);
    });
}

/// Polled twice with the same waker, which the sender may be taking meanwhile.
#[test]
fn sent_against_the_same_waker() {
    explore(3, || {
        let (waker, is_gone) = counted();
        let (sender, mut receiver) = oneshot::channel();
        let sending = thread::spawn(move || sender.send(7).is_ok());
        let is_pending = is_pending(&mut receiver, &waker) && is_pending(&mut receiver, &waker);
        assert!(sending.join().unwrap());
        assert_eq!(receiver.try_recv().is_ok(), is_pending);
        drop((waker, receiver));
        assert!(is_gone());
    });
}

/// Waits, and gives up while the sender sends, or goes.
#[test]
fn ended_against_given_up() {
    for is_sent in [true, false] {
        explore(3, move || {
            let (waker, is_gone) = counted();
            let drops = Drops::new();
            let (sender, mut receiver) = oneshot::channel();
            let item = drops.item();
            let sending = thread::spawn(move || match is_sent {
                true => drop(sender.send(item)),
                false => drop((sender, item)),
            });
            let _ = is_pending(&mut receiver, &waker);
            drop(receiver);
            sending.join().unwrap();
            drop(waker);
            assert!(is_gone());
            assert_eq!(drops.count(), 1);
        });
    }
}

/// Waits, and closes while the sender sends: the value is received, or given back.
#[test]
fn sent_against_closed_while_waiting() {
    explore(3, || {
        let (waker, is_gone) = counted();
        let drops = Drops::new();
        let (sender, mut receiver) = oneshot::channel();
        assert!(is_pending(&mut receiver, &waker));
        let item = drops.item();
        let sending = thread::spawn(move || sender.send(item).is_ok());
        receiver.close();
        drop(waker);
        let is_received = block_on(&mut receiver).is_ok();
        assert_eq!(sending.join().unwrap(), is_received);
        drop(receiver);
        assert!(is_gone());
        assert_eq!(drops.count(), 1);
    });
}

/// Two wait for the receiver to go, one of them with a waker that nobody hears: both see it.
#[test]
fn two_wait_for_the_receiver_to_go() {
    explore(2, || {
        let (sender, mut receiver) = oneshot::channel::<u8>();
        let dropping = thread::spawn(move || receiver.close());
        let mut first = Box::pin(sender.closed());
        let mut context = Context::from_waker(Waker::noop());
        let is_over = first.as_mut().poll(&mut context).is_ready();
        block_on(sender.closed());
        assert!(is_over || first.as_mut().poll(&mut context).is_ready());
        dropping.join().unwrap();
    });
}
