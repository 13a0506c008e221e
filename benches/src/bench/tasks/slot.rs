//! The simplest channel: of one value, with one who waits.

use std::future::Future;
use std::sync::Mutex;
use std::task::{Poll, Waker};

pub struct Slot<T> {
    inner: Mutex<(Option<T>, Option<Waker>)>,
}

impl<T> Default for Slot<T> {
    fn default() -> Slot<T> {
        Slot { inner: Mutex::new((None, None)) }
    }
}

impl<T: Send> Slot<T> {
    pub fn put(&self, value: T) {
        let mut inner = self.inner.lock().expect("nothing panics under it");
        inner.0 = Some(value);
        let waker = inner.1.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub fn take(&self) -> impl Future<Output = T> + Send + '_ {
        std::future::poll_fn(|cx| {
            let mut inner = self.inner.lock().expect("nothing panics under it");
            if let Some(value) = inner.0.take() {
                return Poll::Ready(value);
            }
            inner.1 = Some(cx.waker().clone());
            Poll::Pending
        })
    }
}
