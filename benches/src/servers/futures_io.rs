//! What every system with the futures I/O traits runs for a connection.

use std::io;

use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, future};

/// Larger than a message: a read of one is short, so nobody has to try again to see that there is no more.
pub const BUFFER_BYTES: usize = 1024;
/// The same for messages of 16 KiB.
pub const LARGE_BUFFER_BYTES: usize = 17 * 1024;

/// Sends back what it receives until the other end has had enough.
pub async fn echo(stream: impl AsyncRead + AsyncWrite + Unpin) {
    // In the task's own memory.
    echo_through(&mut [0; BUFFER_BYTES], stream).await;
}

/// The same for large messages.
pub async fn echo_large(stream: impl AsyncRead + AsyncWrite + Unpin) {
    echo_through(&mut vec![0; LARGE_BUFFER_BYTES], stream).await;
}

async fn echo_through(buffer: &mut [u8], mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    while let Ok(count @ 1..) = stream.read(buffer).await {
        if stream.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// Moves bytes both ways between two connections, and passes their ends on.
pub async fn proxy<S: AsyncRead + AsyncWrite + Clone + Unpin>(a: S, b: S) -> io::Result<()> {
    let (there, back) = (one_way(a.clone(), b.clone()), one_way(b, a));
    future::try_zip(there, back).await.map(drop)
}

async fn one_way<S: AsyncRead + AsyncWrite + Unpin>(from: S, mut to: S) -> io::Result<()> {
    futures_lite::io::copy(from, &mut to).await?;
    to.close().await
}
