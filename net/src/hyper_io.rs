//! hyper's `rt::Read`, straight into its uninitialised buffers.

use std::io;
use std::task::{Context, Poll, ready};

use hyper::rt::ReadBufCursor;

use crate::stream::StreamSocket;

pub(crate) fn poll_read<S: StreamSocket>(
    socket: &S,
    cx: &mut Context<'_>,
    mut buf: ReadBufCursor<'_>,
) -> Poll<io::Result<()>> {
    // SAFETY: `poll_recv_uninit` only writes to it.
    #[allow(unsafe_code)]
    let room = unsafe { buf.as_mut() };
    let count = ready!(socket.poll_recv_uninit(cx, room))?;
    // SAFETY: `poll_recv_uninit` has filled the first `count` bytes.
    #[allow(unsafe_code)]
    unsafe {
        buf.advance(count);
    }
    Poll::Ready(Ok(()))
}
