//! Waiting for one signal once.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::{Signal, Signals};

/// Resolves when SIGINT comes, as from Ctrl-C on the terminal.
///
/// The handler is installed at once, so no signal is missed between this call and the first poll. When the future is dropped, and nobody
/// else listens, Ctrl-C ends the process again. For a service take [`shutdown_signal`](super::shutdown_signal), which knows SIGTERM, too.
///
/// # Errors
///
/// When the system gives no file descriptor, or refuses the handler.
///
/// # Cancel safety
///
/// A signal that has come stays: a future polled again resolves.
///
/// # Examples
///
/// ```no_run
/// # use smolkit_runtime as smolkit;
/// smolkit::block_on(async {
///     println!("press Ctrl-C");
///     smolkit::signal::ctrl_c()?.await;
///     println!("good bye");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn ctrl_c() -> io::Result<Arrival> {
    Arrival::of(Signal::Interrupt)
}

/// Resolves when SIGTERM comes: the process is asked to end. Otherwise as [`ctrl_c`].
///
/// # Errors
///
/// As [`ctrl_c`].
pub fn terminate() -> io::Result<Arrival> {
    Arrival::of(Signal::Terminate)
}

/// The future that [`ctrl_c`] and [`terminate`] return.
#[must_use = "futures do nothing unless you `.await` or poll them"]
#[derive(Debug)]
pub struct Arrival {
    signals: Signals,
    has_come: bool,
}

impl Arrival {
    fn of(signal: Signal) -> io::Result<Arrival> {
        Ok(Arrival { signals: Signals::new([signal])?, has_come: false })
    }
}

impl Future for Arrival {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // An error of the reactor cannot be told here. Better to stop without a reason than to be deaf to the request.
        self.has_come = self.has_come || Pin::new(&mut self.signals).poll_next(cx).is_ready();
        if self.has_come { Poll::Ready(()) } else { Poll::Pending }
    }
}
