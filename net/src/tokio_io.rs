//! Tokio's `AsyncRead`, straight into its uninitialised buffers.

use std::io;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

use crate::stream::StreamSocket;

pub(crate) fn poll_read<S: StreamSocket>(
    socket: &S,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    // SAFETY: `poll_recv_uninit` only writes to it.
    #[allow(unsafe_code)]
    let room = unsafe { buf.unfilled_mut() };
    let count = ready!(socket.poll_recv_uninit(cx, room))?;
    // SAFETY: `poll_recv_uninit` has filled the first `count` bytes.
    #[allow(unsafe_code)]
    unsafe {
        buf.assume_init(count);
    }
    buf.advance(count);
    Poll::Ready(Ok(()))
}
