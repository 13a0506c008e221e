//! A value that many watch: they see the latest one, not each.
//!
//! ```
//! use smolkit_sync::watch;
//!
//! # smolkit_runtime::block_on(async {
//! let (sender, mut receiver) = watch::channel("starting");
//! smolkit_runtime::spawn(async move { sender.send("ready") }).detach();
//! while receiver.changed().await.is_ok() {
//!     if *receiver.borrow_and_update() == "ready" {
//!         break;
//!     }
//! }
//! assert_eq!(*receiver.borrow(), "ready");
//! # });
//! ```

use std::error::Error;
use std::fmt;
use std::mem;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::PoisonError;

use crate::crowd::Crowd;
use crate::primitives::{
    Arc, AtomicUsize, Ordering, RwLock, RwLockReadGuard, RwLockWriteGuard, block_on,
};

/// Makes a channel that holds `value`. The receiver has seen it.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        value: RwLock::new(value),
        version: AtomicUsize::new(0),
        senders: AtomicUsize::new(1),
        receivers: AtomicUsize::new(1),
        changed: Crowd::new(),
        closed: Crowd::new(),
    });
    (Sender { shared: shared.clone() }, Receiver { shared, seen: 0 })
}

struct Shared<T> {
    value: RwLock<T>,
    /// Counts the changes; written under the value's lock.
    version: AtomicUsize,
    senders: AtomicUsize,
    receivers: AtomicUsize,
    /// Receivers that wait for a change or for the last sender to go.
    changed: Crowd,
    /// Senders that wait for the last receiver to go.
    closed: Crowd,
}

impl<T> Shared<T> {
    // A panic in a user's closure or in a `Clone` may poison the lock; the value is still one of the user's making.
    fn read(&self) -> RwLockReadGuard<'_, T> {
        self.value.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.value.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn version(&self) -> usize {
        self.version.load(Ordering::SeqCst)
    }
}

/// The end that sets the value. Clones set the same one.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Sets the value and wakes those who wait for a change.
    ///
    /// # Errors
    ///
    /// Gives the value back if there is no receiver; [`send_replace`](Sender::send_replace) sets it all the same.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.is_closed() {
            return Err(SendError(value));
        }
        drop(self.send_replace(value));
        Ok(())
    }

    /// Sets the value, whether or not somebody watches, and returns the former one.
    pub fn send_replace(&self, mut value: T) -> T {
        self.send_modify(|current| mem::swap(current, &mut value));
        value
    }

    /// Changes the value in place.
    ///
    /// `modify` runs while the value is locked: it must not use this channel.
    ///
    /// # Panics
    ///
    /// A panic of `modify` is passed on. It counts as a change, because it may be one.
    pub fn send_modify(&self, modify: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            modify(value);
            true
        });
    }

    /// The same, but it counts as a change only if `modify` says so. Returns what it said.
    ///
    /// # Panics
    ///
    /// As [`send_modify`](Sender::send_modify).
    pub fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
        let mut value = self.shared.write();
        let modified = catch_unwind(AssertUnwindSafe(|| modify(&mut value)));
        let is_change = !matches!(modified, Ok(false));
        if is_change {
            self.shared.version.fetch_add(1, Ordering::SeqCst);
        }
        drop(value);
        if is_change {
            self.shared.changed.wake_all();
        }
        modified.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// The present value. While the reference lives, nobody can change it: keep it short, and never across an `.await`.
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref(self.shared.read())
    }

    /// A receiver that has seen the present value.
    pub fn subscribe(&self) -> Receiver<T> {
        self.shared.receivers.fetch_add(1, Ordering::SeqCst);
        Receiver { seen: self.shared.version(), shared: self.shared.clone() }
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.shared.receivers.load(Ordering::SeqCst)
    }

    /// Whether there is no receiver. [`subscribe`](Sender::subscribe) makes one.
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// Waits until there is no receiver.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn closed(&self) {
        self.shared.closed.until(|| self.is_closed()).await;
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.shared.senders.fetch_add(1, Ordering::SeqCst);
        Sender { shared: self.shared.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.shared.senders.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.shared.changed.wake_all();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("version", &self.shared.version()).finish_non_exhaustive()
    }
}

/// The end that watches. Clones have seen what the original had seen.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: usize,
}

impl<T> Receiver<T> {
    /// The present value. While the reference lives, nobody can change it: keep it short, and never across an `.await`.
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref(self.shared.read())
    }

    /// The same, and it counts as seen.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let value = self.shared.read();
        // It changes under the write lock only.
        self.seen = self.shared.version();
        Ref(value)
    }

    /// Whether there is a value that this receiver has not seen.
    ///
    /// # Errors
    ///
    /// When all senders have gone, and nothing is unseen.
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        has_changed(&self.shared, self.seen)
    }

    /// Makes the present value count as seen.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.shared.version();
    }

    /// Makes the present value count as not seen.
    pub fn mark_changed(&mut self) {
        self.seen = self.shared.version().wrapping_sub(1);
    }

    /// Waits until there is a value that this receiver has not seen. It counts as seen then.
    ///
    /// # Errors
    ///
    /// When all senders have gone, and nothing is unseen.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: a change that came stays unseen until this returns.
    pub async fn changed(&mut self) -> Result<(), RecvError> {
        changed(&self.shared, &mut self.seen).await
    }

    /// [`changed`](Receiver::changed) for a thread that may block.
    ///
    /// # Errors
    ///
    /// As [`changed`](Receiver::changed).
    pub fn changed_blocking(&mut self) -> Result<(), RecvError> {
        block_on(self.changed())
    }

    /// Waits until the value is as wanted, which it may be already. It counts as seen then.
    ///
    /// `is_wanted` runs while the value is locked: it must not change it.
    ///
    /// # Errors
    ///
    /// When all senders have gone, and the last value is not as wanted.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn wait_for(
        &mut self,
        mut is_wanted: impl FnMut(&T) -> bool,
    ) -> Result<Ref<'_, T>, RecvError> {
        let Receiver { shared, seen } = self;
        let mut is_closed = false;
        loop {
            {
                // A scope, not a `drop`: the compiler must see that no lock is held across the wait.
                let value = shared.read();
                *seen = shared.version();
                if is_wanted(&value) {
                    return Ok(Ref(value));
                }
            }
            if is_closed {
                return Err(RecvError);
            }
            is_closed = changed(shared, seen).await.is_err();
        }
    }

    /// [`wait_for`](Receiver::wait_for) for a thread that may block.
    ///
    /// # Errors
    ///
    /// As [`wait_for`](Receiver::wait_for).
    pub fn wait_for_blocking(
        &mut self,
        is_wanted: impl FnMut(&T) -> bool,
    ) -> Result<Ref<'_, T>, RecvError> {
        block_on(self.wait_for(is_wanted))
    }

    /// Whether both watch the same value.
    pub fn same_channel(&self, other: &Receiver<T>) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

fn has_changed<T>(shared: &Shared<T>, seen: usize) -> Result<bool, RecvError> {
    // In this order: a sender's last change comes before it goes.
    let has_sender = shared.senders.load(Ordering::SeqCst) > 0;
    match shared.version() != seen {
        false if !has_sender => Err(RecvError),
        has_changed => Ok(has_changed),
    }
}

async fn changed<T>(shared: &Shared<T>, seen: &mut usize) -> Result<(), RecvError> {
    // What has come stays: nobody but this receiver changes what it has seen, and there is no sender again after the last one.
    shared.changed.until(|| !matches!(has_changed(shared, *seen), Ok(false))).await;
    has_changed(shared, *seen)?;
    *seen = shared.version();
    Ok(())
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        self.shared.receivers.fetch_add(1, Ordering::SeqCst);
        Receiver { shared: self.shared.clone(), seen: self.seen }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if self.shared.receivers.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.shared.closed.wake_all();
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Receiver");
        debug.field("version", &self.shared.version()).field("seen", &self.seen);
        debug.finish_non_exhaustive()
    }
}

/// The present value of a channel, locked for reading.
pub struct Ref<'c, T>(RwLockReadGuard<'c, T>);

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Ref<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Nobody watches; here is the value back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sending on a watch channel that nobody watches")
    }
}

impl<T> Error for SendError<T> {}

/// All senders have gone: there will be no change any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecvError;

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("waiting for a change of a watch channel whose senders have gone")
    }
}

impl Error for RecvError {}
