//! What several tests need.

#![allow(dead_code)]

use std::sync::{Arc, Mutex, mpsc};
use std::task::{RawWaker, RawWakerVTable, Waker};
use std::thread;
use std::time::Duration;

/// Runs `f` on a thread of its own, and fails if it has not come back at the deadline.
pub(crate) fn within<T: Send + 'static>(
    limit: Duration,
    f: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let _ = sender.send(f());
    });
    match receiver.recv_timeout(limit) {
        Ok(output) => {
            thread.join().expect("it has sent its output");
            output
        }
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("not finished after {limit:?}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().expect_err("it has sent nothing"))
        }
    }
}

/// `small` normally; `full` when the variable SMOLKIT_FULL asks for the long run.
pub(crate) fn rounds(small: usize, full: usize) -> usize {
    if std::env::var_os("SMOLKIT_FULL").is_some() { full } else { small }
}

/// What happens to a waker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Act {
    Clone,
    Wake,
    Drop,
}

type Hook = dyn Fn(Act) + Send + Sync;

/// A waker that calls `hook` whenever something happens to it.
pub(crate) fn hooked(hook: impl Fn(Act) + Send + Sync + 'static) -> Waker {
    let hook: Arc<Box<Hook>> = Arc::new(Box::new(hook));
    let data = Arc::into_raw(hook).cast();
    // SAFETY: the functions of the table keep the contract of `RawWaker` on a counted reference, which this one is.
    unsafe { Waker::from_raw(RawWaker::new(data, &TABLE)) }
}

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

fn hook(data: *const ()) -> Arc<Box<Hook>> {
    // SAFETY: `data` is a counted reference that the waker owns; it comes from `Arc::into_raw` of this type.
    unsafe { Arc::increment_strong_count(data.cast::<Box<Hook>>()) };
    // SAFETY: as above, and the count was raised for this one.
    unsafe { Arc::from_raw(data.cast()) }
}

fn clone(data: *const ()) -> RawWaker {
    let hook = hook(data);
    hook(Act::Clone);
    RawWaker::new(Arc::into_raw(hook).cast(), &TABLE)
}

fn wake(data: *const ()) {
    // SAFETY: the waker is consumed, and its reference with it.
    let hook = unsafe { Arc::from_raw(data.cast::<Box<Hook>>()) };
    hook(Act::Wake);
}

fn wake_by_ref(data: *const ()) {
    hook(data)(Act::Wake);
}

fn drop_waker(data: *const ()) {
    // SAFETY: the waker is dropped, and its reference with it.
    let hook = unsafe { Arc::from_raw(data.cast::<Box<Hook>>()) };
    hook(Act::Drop);
}

/// A waker that does nothing but count its wake-ups.
pub(crate) fn counting() -> (Waker, Arc<Mutex<usize>>) {
    let count = Arc::new(Mutex::new(0));
    let counted = count.clone();
    let waker = hooked(move |act| {
        if act == Act::Wake {
            *counted.lock().unwrap() += 1;
        }
    });
    (waker, count)
}
