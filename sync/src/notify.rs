//! One task tells another that something has happened.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::primitives::block_on;
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
pub struct Notify {
    waiters: Waiters,
}

impl Notify {
    /// Nobody is told anything yet.
    #[cfg(not(loom))]
    pub const fn new() -> Notify {
        Notify { waiters: Waiters::new(true) }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Notify {
        Notify { waiters: Waiters::new(true) }
    }

    /// Wakes the task that has waited for longest, or lets the next one not wait.
    #[inline]
    pub fn notify_one(&self) {
        self.waiters.wake_one();
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
    #[inline]
    pub fn notified(&self) -> Notified<'_> {
        Notified { place: self.waiters.enter() }
    }

    /// [`notified`](Notify::notified) for a thread that may block.
    pub fn notified_blocking(&self) {
        block_on(self.notified());
    }
}

impl Default for Notify {
    fn default() -> Notify {
        Notify::new()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify").field("permit", &self.waiters.has_left()).finish_non_exhaustive()
    }
}

/// The future that [`Notify::notified`] returns.
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Notified<'n> {
    place: Place<'n>,
}

impl Future for Notified<'_> {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.place).poll(cx)
    }
}

impl fmt::Debug for Notified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notified").finish_non_exhaustive()
    }
}
