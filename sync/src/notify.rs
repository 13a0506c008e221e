//! One task tells another that something has happened.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use futures_lite::future::block_on;

use crate::waiters::{Place, Waiters};

/// Tells waiting tasks that something has happened, and remembers it for one if nobody waits.
///
/// [`notify_one`](Notify::notify_one) wakes the task that has waited for longest. If none waits, the next
/// [`notified`](Notify::notified) returns at once; several such calls in a row are remembered as one.
///
/// # Examples
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use smolkit_sync::Notify;
///
/// # smolkit_runtime::block_on(async {
/// let queue = Arc::new((Mutex::new(Vec::new()), Notify::new()));
/// let consumer = smolkit_runtime::spawn({
///     let queue = queue.clone();
///     async move {
///         loop {
///             queue.1.notified().await;
///             if let Some(item) = queue.0.lock().unwrap().pop() {
///                 return item;
///             }
///         }
///     }
/// });
/// queue.0.lock().unwrap().push(7);
/// queue.1.notify_one();
/// assert_eq!(consumer.await, 7);
/// # });
/// ```
#[derive(Default)]
pub struct Notify {
    /// Set only while nobody waits, under the queue's lock.
    permit: AtomicBool,
    waiters: Waiters,
}

impl Notify {
    /// Nobody is told anything yet.
    pub const fn new() -> Notify {
        Notify { permit: AtomicBool::new(false), waiters: Waiters::new() }
    }

    /// Wakes the task that has waited for longest, or lets the next one not wait.
    pub fn notify_one(&self) {
        self.waiters.wake_one_or(|| self.permit.store(true, Ordering::SeqCst));
    }

    /// Wakes all who wait now; remembers nothing for those who come later.
    pub fn notify_all(&self) {
        self.waiters.wake_all();
    }

    /// Waits to be told.
    ///
    /// The place in the queue is taken by this call, not by the first poll: what happens between the two is not missed.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped after `notify_one` has chosen it passes that on to the next one.
    pub fn notified(&self) -> Notified<'_> {
        let mut place = self.waiters.enter();
        // Looked at after the place was taken, so that a `notify_one` meanwhile either finds the place or leaves the permit.
        let has_permit = self.take_permit();
        if has_permit && place.leave() {
            // Both a permit and a call: one is for somebody else.
            self.notify_one();
        }
        Notified { notify: self, place, has_permit }
    }

    /// [`notified`](Notify::notified) for a thread that may block.
    pub fn notified_blocking(&self) {
        block_on(self.notified());
    }

    fn take_permit(&self) -> bool {
        self.permit.swap(false, Ordering::SeqCst)
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify").field("permit", &self.permit).finish_non_exhaustive()
    }
}

/// The future that [`Notify::notified`] returns.
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Notified<'n> {
    notify: &'n Notify,
    place: Place<'n>,
    /// Taken from the notify, and not handed out yet.
    has_permit: bool,
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.has_permit {
            ready!(Pin::new(&mut self.place).poll(cx));
        }
        self.has_permit = false;
        Poll::Ready(())
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        // Here and not in the place's own drop: if nobody else waits, the call becomes a permit.
        if self.place.leave() || self.has_permit {
            self.notify.notify_one();
        }
    }
}

impl fmt::Debug for Notified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notified").finish_non_exhaustive()
    }
}
