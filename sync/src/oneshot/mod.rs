//! A channel for one value.
//!
//! ```
//! use smolkit_sync::oneshot;
//!
//! # smolkit_runtime::block_on(async {
//! let (sender, receiver) = oneshot::channel();
//! smolkit_runtime::spawn(async move { sender.send("done") }).detach();
//! assert_eq!(receiver.await, Ok("done"));
//! # });
//! ```

mod half;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use self::half::{Giving, Taking};
use crate::primitives::block_on;

/// Makes a channel for one value.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (giving, taking) = half::halves();
    (Sender { half: giving }, Receiver { half: taking })
}

/// The end that sends.
pub struct Sender<T> {
    half: Giving<T>,
}

impl<T> Sender<T> {
    /// Sends the value.
    ///
    /// # Errors
    ///
    /// Gives the value back if the receiver has gone or was closed. `Ok` does not mean that it will be received.
    pub fn send(self, value: T) -> Result<(), SendError<T>> {
        self.half.send(value).map_err(SendError)
    }

    /// Whether the receiver has gone or was closed, so that a value would be of no use.
    pub fn is_closed(&self) -> bool {
        self.half.is_closed()
    }

    /// Waits until the receiver has gone or was closed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn closed(&self) {
        self.half.closed().await;
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("is_closed", &self.is_closed()).finish()
    }
}

/// The end that receives: a future.
///
/// # Cancel safety
///
/// A `&mut receiver` that is dropped loses nothing: await it again. The receiver itself, dropped, takes a value that was sent with it.
/// Polled again after the value has come, it says [`RecvError`].
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Receiver<T> {
    half: Taking<T>,
}

impl<T> Receiver<T> {
    /// The value, if it is there.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] as long as it may still come, else [`TryRecvError::Closed`].
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        match self.half.look() {
            Poll::Ready(value) => value.ok_or(TryRecvError::Closed),
            Poll::Pending => Err(TryRecvError::Empty),
        }
    }

    /// Waits for the value on a thread that may block.
    ///
    /// # Errors
    ///
    /// When the sender has gone without sending.
    pub fn recv_blocking(self) -> Result<T, RecvError> {
        block_on(self)
    }

    /// Lets no value be sent any more. One that was sent before can still be received.
    pub fn close(&mut self) {
        self.half.close();
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.half.poll(cx).map(|value| value.ok_or(RecvError))
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

/// The receiver has gone; here is the value back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sending on a oneshot channel whose receiver has gone")
    }
}

impl<T> Error for SendError<T> {}

/// The sender has gone without sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecvError;

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("receiving on a oneshot channel whose sender has gone without sending")
    }
}

impl Error for RecvError {}

/// Why there is no value now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryRecvError {
    /// It has not come yet.
    Empty,
    /// It will not come, or has been received already.
    Closed,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryRecvError::Empty => "receiving on a oneshot channel that is empty",
            TryRecvError::Closed => "receiving on a oneshot channel that is empty and closed",
        })
    }
}

impl Error for TryRecvError {}
