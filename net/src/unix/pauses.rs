//! Waiting where the kernel tells nobody when it is worth trying again.

use std::io;
use std::time::Duration;

use smolkit_runtime::Timer;

const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// Calls `op` until it does not return `WouldBlock`, with pauses that grow.
///
/// `connect` to a listener with a full queue and `sendto` to a full receiver fail with EAGAIN, and no event follows when there is
/// room (`unix(7)`; the kernel reports room to *connected* datagram sockets only).
pub(super) async fn retry<R>(mut op: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    let mut pause = PAUSE_MIN;
    loop {
        match op() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Timer::after(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
