//! The watched value: the last one is seen, and so is the end.

use loom::thread;

use super::{explore, poll_once};
use crate::primitives::block_on;
use crate::watch;

#[test]
fn the_last_value_and_the_end() {
    explore(2, || {
        let (sender, mut receiver) = watch::channel(0);
        let sending = thread::spawn(move || {
            sender.send(1).unwrap();
            sender.send(2).unwrap();
        });
        let mut last = 0;
        while block_on(receiver.changed()).is_ok() {
            let next = *receiver.borrow_and_update();
            assert!(next > last, "{next} after {last}");
            last = next;
        }
        assert_eq!(last, 2);
        sending.join().unwrap();
    });
}

#[test]
fn two_receivers() {
    explore(2, || {
        let (sender, mut first) = watch::channel(0);
        let mut second = first.clone();
        let waiting = thread::spawn(move || {
            block_on(second.changed()).unwrap();
            assert_eq!(*second.borrow(), 1);
        });
        sender.send(1).unwrap();
        block_on(first.changed()).unwrap();
        waiting.join().unwrap();
    });
}

#[test]
fn nobody_watches_any_more() {
    explore(3, || {
        let (sender, receiver) = watch::channel(0);
        let dropping = thread::spawn(move || drop(receiver));
        block_on(sender.closed());
        assert!(sender.send(1).is_err());
        dropping.join().unwrap();
    });
}

/// One gives up while all are called, and another one takes its place for the next change.
#[test]
fn who_gives_up_takes_nobody_elses_place() {
    explore(2, || {
        let (sender, mut first) = watch::channel(0);
        let mut second = first.clone();
        let sending = thread::spawn(move || {
            sender.send(1).unwrap();
            sender.send(2).unwrap();
            // Kept, so that its end does not wake anybody.
            sender
        });
        let waiting = thread::spawn(move || {
            while *second.borrow_and_update() != 2 {
                block_on(second.changed()).unwrap();
            }
        });
        let _ = poll_once(first.changed());
        waiting.join().unwrap();
        drop(sending.join().unwrap());
    });
}
