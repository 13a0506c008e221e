//! `Notify`, and with it the list of waiters: no call is lost, whether it comes before, while or after somebody waits, or to one who gives up.

use loom::thread;

use super::{explore, poll_once};
use crate::notify::Notify;
use crate::primitives::{Arc, AtomicBool, Ordering, block_on};

#[test]
fn one_is_told() {
    explore(3, || {
        let notify = Arc::new(Notify::new());
        let is_there = Arc::new(AtomicBool::new(false));
        let telling = {
            let (notify, is_there) = (notify.clone(), is_there.clone());
            thread::spawn(move || {
                is_there.store(true, Ordering::SeqCst);
                notify.notify_one();
            })
        };
        block_on(notify.notified());
        assert!(is_there.load(Ordering::SeqCst));
        telling.join().unwrap();
    });
}

#[test]
fn all_are_told() {
    explore(2, || {
        let notify = Arc::new(Notify::new());
        let (first, second) = (notify.notified(), notify.notified());
        let telling = {
            let notify = notify.clone();
            thread::spawn(move || notify.notify_all())
        };
        block_on(second);
        block_on(first);
        telling.join().unwrap();
    });
}

/// Who takes a place and then looks has either seen what `notify_all` tells, or is told.
#[test]
fn all_see_it_or_are_told() {
    explore(3, || {
        let notify = Arc::new(Notify::new());
        let is_there = Arc::new(AtomicBool::new(false));
        let telling = {
            let (notify, is_there) = (notify.clone(), is_there.clone());
            thread::spawn(move || {
                is_there.store(true, Ordering::Relaxed);
                notify.notify_all();
            })
        };
        let told = notify.notified();
        if !is_there.load(Ordering::Relaxed) {
            block_on(told);
            assert!(is_there.load(Ordering::Relaxed));
        }
        telling.join().unwrap();
    });
}

#[test]
fn who_gives_up_passes_it_on() {
    explore(2, || {
        let notify = Arc::new(Notify::new());
        let telling = {
            let notify = notify.clone();
            thread::spawn(move || notify.notify_one())
        };
        let giving_up = {
            let notify = notify.clone();
            thread::spawn(move || poll_once(notify.notified()).is_some())
        };
        if giving_up.join().unwrap() {
            // It has used the call up; nothing may be left.
            telling.join().unwrap();
            assert!(poll_once(notify.notified()).is_none());
        } else {
            block_on(notify.notified());
            telling.join().unwrap();
        }
    });
}

#[test]
fn two_calls_for_two() {
    explore(2, || {
        let notify = Arc::new(Notify::new());
        // Both have their places before the first call.
        let (first, second) = (notify.notified(), notify.notified());
        let telling = {
            let notify = notify.clone();
            thread::spawn(move || {
                notify.notify_one();
                notify.notify_one();
            })
        };
        // One gives up, maybe after it was called: then its call is left for a third.
        drop(first);
        block_on(second);
        block_on(notify.notified());
        telling.join().unwrap();
    });
}

/// A call is left, or found, while another one is on its way.
#[test]
fn two_tell_one() {
    explore(3, || {
        let notify = Arc::new(Notify::new());
        let telling = [(); 2].map(|()| {
            let notify = notify.clone();
            thread::spawn(move || notify.notify_one())
        });
        block_on(notify.notified());
        telling.into_iter().for_each(|thread| thread.join().unwrap());
        // The other call was one with this one, or is left.
        let _ = poll_once(notify.notified());
        assert!(poll_once(notify.notified()).is_none());
    });
}

/// Two who come, and one call: each of them hands it on, and in the end it is left.
#[test]
fn one_call_for_two_who_come() {
    explore(2, || {
        let notify = Arc::new(Notify::new());
        let waiting = [(); 2].map(|()| {
            let notify = notify.clone();
            thread::spawn(move || {
                block_on(notify.notified());
                notify.notify_one();
            })
        });
        notify.notify_one();
        waiting.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(poll_once(notify.notified()).is_some());
        assert!(poll_once(notify.notified()).is_none());
    });
}

/// What one was told alone is passed on, also if all were told after that.
#[test]
fn told_alone_and_then_with_all() {
    explore(3, || {
        let notify = Arc::new(Notify::new());
        let first = notify.notified();
        let telling = {
            let notify = notify.clone();
            thread::spawn(move || {
                notify.notify_one();
                notify.notify_all();
            })
        };
        drop(first);
        telling.join().unwrap();
        assert!(poll_once(notify.notified()).is_some());
        assert!(poll_once(notify.notified()).is_none());
    });
}

/// Places are used again while their former owners may still be coming.
#[test]
fn in_turn() {
    explore(2, || {
        let both = Arc::new((Notify::new(), Notify::new()));
        let other = both.clone();
        let answering = thread::spawn(move || {
            for _ in 0..2 {
                block_on(other.0.notified());
                other.1.notify_one();
            }
        });
        for _ in 0..2 {
            both.0.notify_one();
            block_on(both.1.notified());
        }
        answering.join().unwrap();
    });
}

/// With more places than have a byte of their own: one leaves, one is called, all are called.
#[test]
fn three_places() {
    explore(2, || {
        let notify = Arc::new(Notify::new());
        let (first, second, third) = (notify.notified(), notify.notified(), notify.notified());
        let telling = {
            let notify = notify.clone();
            thread::spawn(move || {
                notify.notify_one();
                notify.notify_one();
            })
        };
        drop(second);
        block_on(first);
        block_on(third);
        telling.join().unwrap();
        assert!(poll_once(notify.notified()).is_none());
    });
}
