//! Listening to several signals.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

use super::Signal;
use super::defaults::Attention;
use crate::Async;
use crate::sys::held::Held;

/// The signals of a set that come from now on; a stream that never ends.
///
/// See [the module](super) for what several listeners hear, and what becomes of a signal that nobody listens to any more.
///
/// # Limits
///
/// Each takes two file descriptors. Of each signal one is remembered until it is looked at.
///
/// # Cancel safety
///
/// `next` that is dropped loses nothing.
///
/// # Errors
///
/// The items are results: an error means that the reactor of the moment could not take the descriptor, and the next call tries again.
///
/// # Examples
///
/// ```no_run
/// use futures_lite::StreamExt;
/// # use smolkit_runtime as smolkit;
/// use smolkit::signal::{Signal, Signals};
///
/// smolkit::block_on(async {
///     let mut signals = Signals::new([Signal::Hangup, Signal::Terminate])?;
///     while let Some(signal) = signals.next().await {
///         match signal? {
///             Signal::Hangup => println!("reading the configuration again"),
///             _ => break,
///         }
///     }
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub struct Signals {
    /// First, for fields are dropped in order: a signal meanwhile has its default effect, and is not lost.
    _attention: Attention,
    delivery: SignalDelivery<Async<UnixStream>, SignalOnly>,
    /// Taken from the delivery and not handed out.
    arrived: VecDeque<Signal>,
}

impl Signals {
    /// Listens to these signals.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for SIGKILL and SIGSTOP, which no program can catch; EMFILE and the like when there is no descriptor left.
    pub fn new<S: Borrow<Signal>>(signals: impl IntoIterator<Item = S>) -> io::Result<Signals> {
        let signals: Vec<Signal> = signals.into_iter().map(|signal| *signal.borrow()).collect();
        if let Some(signal) =
            signals.iter().find(|signal| matches!(signal, Signal::Kill | Signal::Stop))
        {
            let message = format!("cannot listen to {signal}: the system lets no program catch it");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let (receiver, sender) = UnixStream::pair()?;
        let receiver = Async::new(receiver)?;
        let numbers = || signals.iter().map(|signal| signal.as_raw());
        // The first handler of a signal is installed a moment before it knows whom to tell. Where other threads may get the signal, that moment stays.
        let _held = Held::new(numbers());
        // First, so that then somebody hears it.
        let delivery = SignalDelivery::with_pipe(receiver, sender, SignalOnly, numbers())?;
        let attention = Attention::to(numbers())?;
        Ok(Signals { _attention: attention, delivery, arrived: VecDeque::new() })
    }
}

impl Stream for Signals {
    type Item = io::Result<Signal>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(signal) = this.arrived.pop_front() {
                return Poll::Ready(Some(Ok(signal)));
            }
            // Only looked at: `pending` empties the socket before it looks at the flags, so that no signal falls in between.
            let peeked = this.delivery.get_read().poll_read_with(cx, |receiver| {
                let mut byte = [0u8; 1];
                Ok(rustix::net::recv(receiver, &mut byte[..], rustix::net::RecvFlags::PEEK)?)
            });
            if let Err(error) = ready!(peeked) {
                return Poll::Ready(Some(Err(error)));
            }
            this.arrived.extend(this.delivery.pending().filter_map(Signal::from_raw));
        }
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals").field("arrived", &self.arrived).finish_non_exhaustive()
    }
}
