//! Goal: each item is received once and dropped once, however send, receive, close and cancel race (FAULTS R22).
//! Method: items that count their drops go through each kind of channel between threads; then the counts must agree.
//! `SMOLKIT_FULL=1` for ten million.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use futures_lite::future::{block_on, poll_once};
use smolkit_sync::{Notify, channel, mpsc, oneshot, watch};
use support::{rounds, within};

const LIMIT: Duration = Duration::from_secs(600);

#[derive(Default)]
struct Counts {
    made: AtomicUsize,
    dropped: AtomicUsize,
}

struct Item(Arc<Counts>);

impl Item {
    fn new(counts: &Arc<Counts>) -> Item {
        counts.made.fetch_add(1, Ordering::SeqCst);
        Item(counts.clone())
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

fn all_dropped(counts: &Counts) {
    assert_eq!(counts.made.load(Ordering::SeqCst), counts.dropped.load(Ordering::SeqCst));
}

#[test]
fn oneshot_send_against_close() {
    let total = rounds(20_000, 2_000_000);
    within(LIMIT, move || {
        let counts = Arc::<Counts>::default();
        let (senders, inbox) = channel::bounded::<oneshot::Sender<Item>>(16);
        let made = counts.clone();
        let sending = thread::spawn(move || {
            let (mut sent, mut refused) = (0, 0);
            while let Ok(sender) = inbox.recv_blocking() {
                match sender.send(Item::new(&made)) {
                    Ok(()) => sent += 1,
                    Err(_) => refused += 1,
                }
            }
            (sent, refused)
        });
        let mut received = 0;
        for i in 0..total {
            let (sender, mut receiver) = oneshot::channel();
            senders.send_blocking(sender).unwrap();
            match i % 4 {
                0 => received += usize::from(receiver.recv_blocking().is_ok()),
                1 => received += usize::from(block_on(poll_once(receiver)).is_some()),
                2 => {
                    receiver.close();
                    received += usize::from(receiver.try_recv().is_ok());
                }
                _ => drop(receiver),
            }
        }
        drop(senders);
        let (sent, refused): (usize, usize) = sending.join().unwrap();
        assert_eq!(sent + refused, total);
        assert!(received <= sent && received >= total / 4);
        all_dropped(&counts);
    });
}

#[test]
fn channel_from_many_to_many() {
    let each = rounds(50_000, 2_500_000);
    within(LIMIT, move || {
        let counts = Arc::<Counts>::default();
        let (sender, receiver) = channel::bounded(64);
        let senders: Vec<_> = (0..4)
            .map(|_| {
                let (sender, counts) = (sender.clone(), counts.clone());
                thread::spawn(move || {
                    for _ in 0..each {
                        sender.send_blocking(Item::new(&counts)).ok().unwrap();
                    }
                })
            })
            .collect();
        drop(sender);
        let receivers: Vec<_> = (0..2)
            .map(|_| {
                let receiver = receiver.clone();
                thread::spawn(move || {
                    let mut count = 0;
                    while receiver.recv_blocking().is_ok() {
                        count += 1;
                        // A cancelled receive takes nothing with it.
                        if count % 7 == 0 {
                            let taken = block_on(poll_once(receiver.recv()));
                            count += usize::from(matches!(taken, Some(Ok(_))));
                        }
                    }
                    count
                })
            })
            .collect();
        senders.into_iter().for_each(|thread| thread.join().unwrap());
        let received: usize = receivers.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(received, 4 * each);
        all_dropped(&counts);
    });
}

#[test]
fn mpsc_from_many_to_one() {
    // One place is where senders wait most; 64 are taken over by halves; without limit nobody waits.
    for (capacity, full) in [(Some(1), 250_000), (Some(64), 1_250_000), (None, 1_000_000)] {
        let each = rounds(10_000, full);
        within(LIMIT, move || {
            let counts = Arc::<Counts>::default();
            let (sender, mut receiver) = match capacity {
                Some(capacity) => mpsc::bounded(capacity),
                None => mpsc::unbounded(),
            };
            let senders: Vec<_> = (0..4)
                .map(|number| {
                    let (sender, counts) = (sender.clone(), counts.clone());
                    thread::spawn(move || {
                        let mut sent = 0;
                        for i in 0..each {
                            // Some give up while they wait, and the others must not miss their room.
                            if i % 5 == number {
                                let item = Item::new(&counts);
                                let done = block_on(poll_once(sender.send(item)));
                                sent += usize::from(done.is_some());
                            } else {
                                sender.send_blocking(Item::new(&counts)).ok().unwrap();
                                sent += 1;
                            }
                        }
                        sent
                    })
                })
                .collect();
            drop(sender);
            let mut received = 0;
            while let Ok(item) = receiver.recv_blocking() {
                drop(item);
                received += 1;
                if received % 7 == 0 {
                    // A cancelled receive takes nothing with it.
                    let taken = block_on(poll_once(receiver.recv()));
                    received += usize::from(matches!(taken, Some(Ok(_))));
                }
            }
            let sent: usize = senders.into_iter().map(|thread| thread.join().unwrap()).sum();
            assert_eq!(received, sent);
            all_dropped(&counts);
        });
    }
}

#[test]
fn mpsc_receiver_goes_while_all_send() {
    let total = rounds(1_000, 100_000);
    within(LIMIT, move || {
        let counts = Arc::<Counts>::default();
        for i in 0..total {
            let (sender, mut receiver) = mpsc::bounded(2);
            let senders: Vec<_> = (0..2)
                .map(|_| {
                    let (sender, counts) = (sender.clone(), counts.clone());
                    // Until it is told that nobody is there any more.
                    thread::spawn(move || while sender.send_blocking(Item::new(&counts)).is_ok() {})
                })
                .collect();
            for _ in 0..i % 6 {
                receiver.recv_blocking().ok().unwrap();
            }
            if i % 2 == 0 {
                receiver.close();
                while receiver.recv_blocking().is_ok() {}
            }
            drop(receiver);
            senders.into_iter().for_each(|thread| thread.join().unwrap());
            assert!(sender.is_closed());
        }
        all_dropped(&counts);
    });
}

#[test]
fn watch_last_value_arrives() {
    let total = rounds(50_000, 2_000_000);
    within(LIMIT, move || {
        let counts = Arc::<Counts>::default();
        let (sender, receiver) = watch::channel((0, Item::new(&counts)));
        let receivers: Vec<_> = (0..3)
            .map(|_| {
                let mut receiver = receiver.clone();
                thread::spawn(move || {
                    let mut last = 0;
                    while receiver.changed_blocking().is_ok() {
                        let next = receiver.borrow_and_update().0;
                        assert!(next >= last, "{next} after {last}");
                        last = next;
                    }
                    last
                })
            })
            .collect();
        drop(receiver);
        for i in 1..=total {
            sender.send((i, Item::new(&counts))).ok().unwrap();
        }
        drop(sender);
        for receiver in receivers {
            assert_eq!(receiver.join().unwrap(), total);
        }
        all_dropped(&counts);
    });
}

#[test]
fn notify_loses_no_wake_up() {
    let total = rounds(50_000, 1_000_000);
    within(LIMIT, move || {
        let notify = Arc::new(Notify::new());
        let work = Arc::new(AtomicUsize::new(0));
        let done = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let (notify, work, done) = (notify.clone(), work.clone(), done.clone());
                thread::spawn(move || {
                    while done.load(Ordering::SeqCst) < total {
                        // Some waits are cancelled, maybe after they were chosen.
                        drop(notify.notified());
                        notify.notified_blocking();
                        done.fetch_add(work.swap(0, Ordering::SeqCst), Ordering::SeqCst);
                    }
                    notify.notify_one();
                })
            })
            .collect();
        for _ in 0..total {
            work.fetch_add(1, Ordering::SeqCst);
            notify.notify_one();
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(done.load(Ordering::SeqCst), total);
    });
}
