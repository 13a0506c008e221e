//! A handshake with its deadline.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use rustls::Connection;
use smolkit_runtime::time;

use super::{TlsStream, failure, session::Session};

/// What a handshake may take unless somebody says otherwise. A slow line across the world needs about a second.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// Calls `looked` after each look, with whether the other end has sent anything so far.
pub(crate) async fn run<S>(
    conn: Connection,
    mut io: S,
    timeout: Duration,
    looked: impl Fn(bool),
) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut session = Box::new(Session::new(conn));
    let handshake = poll_fn(|cx| {
        let poll = session.poll_handshake(cx, &mut io);
        looked(session.has_heard());
        poll
    });
    match time::timeout(timeout, handshake).await {
        Ok(result) => result?,
        Err(_) => return Err(failure::too_late(timeout)),
    }
    Ok(TlsStream::new(io, session))
}
