//! Being asked to stop.

use std::future::Future;
use std::io;
use std::mem;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};

use signal_hook::SigId;
use signal_hook::consts::signal::{SIGINT, SIGTERM};
use signal_hook::low_level;

use super::defaults::Attention;
use crate::Async;
use crate::sys::held::Held;

/// Resolves when the process is asked to stop: by SIGTERM, or by SIGINT (Ctrl-C).
///
/// The handlers are installed at once, so no signal is missed between this call and the first poll. A second signal ends the
/// process at once, with exit code 130 (SIGINT) or 143 (SIGTERM), whatever it is doing. When the future is dropped, and nobody
/// else listens, the signals end the process again, as they do by default.
///
/// # Errors
///
/// When the system gives no file descriptor, or refuses the handlers.
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
///     smolkit::signal::shutdown_signal()?.await;
///     println!("good bye");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn shutdown_signal() -> io::Result<ShutdownSignal> {
    let (receiver, sender) = UnixStream::pair()?;
    let receiver = Async::new(receiver)?;
    let mut signal =
        ShutdownSignal { receiver, actions: Vec::new(), attention: Attention::default() };
    // As in `Signals::new`.
    let _held = Held::new([SIGINT, SIGTERM]);
    let is_second = Arc::new(AtomicBool::new(false));
    for (number, exit_code) in [(SIGINT, 130), (SIGTERM, 143)] {
        // First, so that somebody hears it.
        signal.actions.push(low_level::pipe::register(number, sender.try_clone()?)?);
        // Actions run in the order of their registration: the first signal finds the flag down.
        let exit =
            signal_hook::flag::register_conditional_shutdown(number, exit_code, is_second.clone())?;
        signal.actions.push(exit);
        signal.actions.push(signal_hook::flag::register(number, is_second.clone())?);
    }
    signal.attention = Attention::to([SIGINT, SIGTERM])?;
    Ok(signal)
}

/// The future that [`shutdown_signal`] returns.
#[derive(Debug)]
pub struct ShutdownSignal {
    receiver: Async<UnixStream>,
    actions: Vec<SigId>,
    attention: Attention,
}

impl Future for ShutdownSignal {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // The byte stays in the socket, so that the future can be polled again.
        let peeked = self.receiver.poll_read_with(cx, |receiver| {
            let mut byte = [0u8; 1];
            Ok(rustix::net::recv(receiver, &mut byte[..], rustix::net::RecvFlags::PEEK)?)
        });
        // The senders live as long as we: an error cannot be, and would be a reason to stop.
        peeked.map(drop)
    }
}

impl Drop for ShutdownSignal {
    fn drop(&mut self) {
        // First: a signal meanwhile has its default effect, and is not lost.
        drop(mem::take(&mut self.attention));
        for action in self.actions.drain(..) {
            low_level::unregister(action);
        }
    }
}
