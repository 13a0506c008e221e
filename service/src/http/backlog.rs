//! Connections that wait in the kernel's queue when the server stops: closing the listener would reset them.

use std::sync::Arc;

use smolkit_net::{TcpListener, TcpStream};
use smolkit_runtime::Async;

/// Takes what is queued, `room` connections at most, and closes the listener.
pub(super) fn empty(listener: TcpListener, room: usize, mut serve: impl FnMut(TcpStream)) {
    let listener: Arc<Async<std::net::TcpListener>> = listener.into();
    for _ in 0..room {
        // The call itself, not the reactor's opinion: news of the last arrivals may be on its way. The listener does not block.
        let Ok((stream, _)) = listener.get_ref().accept() else { return };
        if let Ok(stream) = TcpStream::try_from(stream) {
            serve(stream);
        }
    }
}
