//! The readiness word: an event that comes while a caller finds out that it would block is not lost.
//!
//! Covers `set` by the driver against `clear` by a reader and by a writer of the same source, with the waiter's lock as in `Source`.

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use crate::explore;
use crate::readiness::{Readiness, Ready};

struct Source {
    readiness: Readiness,
    /// Bytes in the socket.
    bytes: AtomicUsize,
    /// Whether the waiter is to be woken.
    waits: Mutex<bool>,
    woken: Condvar,
}

impl Source {
    fn new() -> Source {
        Source {
            readiness: Readiness::new(),
            bytes: AtomicUsize::new(0),
            waits: Mutex::new(false),
            woken: Condvar::new(),
        }
    }

    /// The kernel gets a byte, and the driver delivers the event.
    fn deliver(&self) {
        self.bytes.fetch_add(1, Ordering::SeqCst);
        self.readiness.set(Ready::READABLE);
        let mut waits = self.waits.lock().unwrap();
        if std::mem::take(&mut *waits) {
            self.woken.notify_one();
        }
    }

    /// As `poll_with`: try, clear, look again under the lock, wait. A lost event is a deadlock.
    fn read(&self) {
        loop {
            let seen = self.readiness.load();
            if seen.intersects(Ready::READABLE) {
                if self.bytes.load(Ordering::SeqCst) > 0 {
                    self.bytes.fetch_sub(1, Ordering::SeqCst);
                    return;
                }
                self.readiness.clear(seen, Ready::READABLE);
            }
            let mut waits = self.waits.lock().unwrap();
            if self.readiness.load().intersects(Ready::READABLE) {
                continue;
            }
            *waits = true;
            while *waits {
                waits = self.woken.wait(waits).unwrap();
            }
        }
    }
}

#[test]
fn an_event_between_the_call_and_the_clearing_stays() {
    explore(3, || {
        let source = Arc::new(Source::new());
        let driver = {
            let source = source.clone();
            thread::spawn(move || {
                source.deliver();
                source.deliver();
            })
        };
        source.read();
        source.read();
        driver.join().unwrap();
    });
}

#[test]
fn the_other_direction_keeps_its_bits() {
    explore(3, || {
        let source = Arc::new(Source::new());
        let writer = {
            let source = source.clone();
            thread::spawn(move || {
                let seen = source.readiness.load();
                source.readiness.clear(seen, Ready::WRITABLE);
            })
        };
        let driver = {
            let source = source.clone();
            thread::spawn(move || source.deliver())
        };
        source.read();
        writer.join().unwrap();
        driver.join().unwrap();
    });
}
