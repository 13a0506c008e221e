//! The channel from many to one: each item is received once or dropped once, room that comes back is never slept over, and nobody waits for ever.

use loom::thread;

use super::{Drops, explore, poll_once};
use crate::mpsc;
use crate::primitives::block_on;

#[test]
fn two_senders_and_one_place() {
    explore(2, || {
        let (sender, mut receiver) = mpsc::bounded(1);
        let second = sender.clone();
        let threads = [
            thread::spawn(move || block_on(sender.send(1)).unwrap()),
            thread::spawn(move || block_on(second.send(2)).unwrap()),
        ];
        let sum =
            block_on(async { receiver.recv().await.unwrap() + receiver.recv().await.unwrap() });
        assert_eq!(sum, 3);
        assert!(block_on(receiver.recv()).is_err());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn one_after_the_other_through_two_places() {
    explore(2, || {
        let (sender, mut receiver) = mpsc::bounded(2);
        let sending = thread::spawn(move || {
            (0..5).for_each(|number| block_on(sender.send(number)).unwrap());
        });
        (0..5).for_each(|number| assert_eq!(block_on(receiver.recv()), Ok(number)));
        assert!(block_on(receiver.recv()).is_err());
        sending.join().unwrap();
    });
}

#[test]
fn without_limit() {
    explore(3, || {
        let (sender, mut receiver) = mpsc::unbounded();
        let sending = thread::spawn(move || {
            (0..2).for_each(|number| block_on(sender.send(number)).unwrap());
        });
        (0..2).for_each(|number| assert_eq!(block_on(receiver.recv()), Ok(number)));
        assert!(block_on(receiver.recv()).is_err());
        sending.join().unwrap();
    });
}

#[test]
fn sent_against_dropped() {
    explore(2, || {
        let drops = Drops::new();
        let (sender, mut receiver) = mpsc::bounded(1);
        let items = [drops.item(), drops.item()];
        // The second one waits for room that never comes, but for the end.
        let sending = thread::spawn(move || items.map(|item| block_on(sender.send(item)).is_ok()));
        let received = receiver.try_recv();
        drop(receiver);
        drop(received);
        sending.join().unwrap();
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn sent_against_closed() {
    explore(2, || {
        let (sender, mut receiver) = mpsc::bounded(1);
        let sending = thread::spawn(move || block_on(sender.send(1)).is_ok());
        receiver.close();
        let is_received = receiver.try_recv().is_ok();
        assert_eq!(sending.join().unwrap(), is_received);
    });
}

/// A sender that waits for room, is called, and gives up: the room is another one's.
#[test]
fn who_gives_up_leaves_the_room_to_others() {
    explore(2, || {
        let (sender, mut receiver) = mpsc::bounded(1);
        sender.try_send(0).unwrap();
        let (second, third) = (sender.clone(), sender);
        let giving_up = thread::spawn(move || poll_once(second.send(1)).is_some());
        let staying = thread::spawn(move || block_on(third.send(2)).unwrap());
        let mut received = Vec::new();
        while let Ok(number) = block_on(receiver.recv()) {
            received.push(number);
        }
        let was_sent = giving_up.join().unwrap();
        staying.join().unwrap();
        assert_eq!(received.contains(&1), was_sent);
        assert!(received.contains(&2) && received.len() == 2 + usize::from(was_sent));
    });
}
