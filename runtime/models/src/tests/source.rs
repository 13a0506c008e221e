//! A source: no event is lost while it is registered, deregistered, or loses its shard; and none of a former source reaches the next one.
//!
//! Covers the runtime's own `Source` (`poll_ready`, `poll_waiting`, `block`, `deregister`, `deliver`, `orphan`) over a stand-in for the shard with the same
//! locks and the same order of steps, in which one thread drives, one waits, and one closes or writes. A lost event is a deadlock.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::{Condvar, Mutex};
use loom::thread;

use crate::reactor::source::{Source, Way};
use crate::reactor::{Kernel, Shard};
use crate::{context, explore};

const FD: RawFd = 0;

/// A thread that waits.
struct Bell {
    is_rung: Mutex<bool>,
    bell: Condvar,
}

impl Bell {
    fn new() -> Arc<Bell> {
        Arc::new(Bell { is_rung: Mutex::new(false), bell: Condvar::new() })
    }

    fn wait(&self) {
        let mut is_rung = self.is_rung.lock().unwrap();
        while !*is_rung {
            is_rung = self.bell.wait(is_rung).unwrap();
        }
        *is_rung = false;
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.is_rung.lock().unwrap() = true;
        self.bell.notify_one();
    }
}

/// As `Async::read_with`: try, clear, wait. `slot` as a future has one, or not.
fn read(kernel: &Kernel, source: &Arc<Source>, has_slot: bool) {
    let bell = Bell::new();
    let waker = Waker::from(bell.clone());
    let mut cx = Context::from_waker(&waker);
    let mut slot = None;
    loop {
        let seen = source.seen();
        if source.is_ready(seen, Way::Read) {
            if kernel.read() {
                break;
            }
            source.block(seen, Way::Read);
        }
        let polled = if has_slot {
            source.poll_waiting(&mut cx, Way::Read, &mut slot)
        } else {
            source.poll_ready(&mut cx, Way::Read)
        };
        match polled {
            Poll::Ready(ready) => ready.unwrap(),
            Poll::Pending => bell.wait(),
        }
    }
    source.leave(Way::Read, slot);
}

#[test]
fn a_read_meets_an_event() {
    for has_slot in [false, true] {
        explore(2, move || {
            let kernel = Kernel::new();
            let shard = Shard::new(&kernel, false);
            let reader = {
                let (kernel, shard) = (kernel.clone(), shard.clone());
                thread::spawn(move || {
                    context::enter(&shard, &shard);
                    let source = Source::new(FD);
                    read(&kernel, &source, has_slot);
                    source.deregister();
                })
            };
            let driver = {
                let shard = shard.clone();
                thread::spawn(move || shard.turn())
            };
            kernel.write();
            reader.join().unwrap();
            // It may have found the byte without waiting: then there was nothing to report.
            context::enter(&shard, &shard);
            let last = Source::new(FD);
            kernel.write();
            last.register().unwrap();
            driver.join().unwrap();
            last.deregister();
        });
    }
}

/// The driver has an event for a source that is deregistered, and whose place another one takes.
#[test]
fn an_event_of_a_former_source() {
    explore(3, || {
        let kernel = Kernel::new();
        let shard = Shard::new(&kernel, false);
        context::enter(&shard, &shard);
        let former = Source::new(FD);
        former.register().unwrap();
        kernel.write();
        let driver = {
            let shard = shard.clone();
            thread::spawn(move || shard.turn())
        };
        let owner = {
            let (kernel, shard) = (kernel.clone(), shard.clone());
            thread::spawn(move || {
                context::enter(&shard, &shard);
                former.deregister();
                assert!(kernel.read());
                let next = Source::new(FD);
                let seen = next.seen();
                next.block(seen, Way::Read);
                next.register().unwrap();
                next
            })
        };
        driver.join().unwrap();
        let next = owner.join().unwrap();
        assert!(!next.is_ready(next.seen(), Way::Read), "an event of another source");
        next.deregister();
    });
}

/// A worker's shard is closed by another thread while the worker registers, and waits: the source goes over to the common shard.
#[test]
fn a_shard_that_is_closed_meanwhile() {
    for is_registered in [false, true] {
        explore(2, move || {
            let kernel = Kernel::new();
            let (own, common) = (Shard::new(&kernel, false), Shard::new(&kernel, true));
            let reader = {
                let (kernel, own, common) = (kernel.clone(), own.clone(), common.clone());
                thread::spawn(move || {
                    context::enter(&own, &common);
                    let source = Source::new(FD);
                    if is_registered {
                        source.register().unwrap();
                    }
                    read(&kernel, &source, false);
                    source.deregister();
                })
            };
            let closer = thread::spawn(move || own.close());
            // Nobody drives the worker's own shard.
            let driver = {
                let common = common.clone();
                thread::spawn(move || common.turn())
            };
            closer.join().unwrap();
            kernel.write();
            reader.join().unwrap();
            context::enter(&common, &common);
            let last = Source::new(FD);
            kernel.write();
            last.register().unwrap();
            driver.join().unwrap();
            last.deregister();
        });
    }
}
