//! What every system with the futures I/O traits runs for a connection.

use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Larger than a message: a read of one is short, so nobody has to try again to see that there is no more.
pub const BUFFER_BYTES: usize = 1024;

/// Sends back what it receives until the other end has had enough.
pub async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut buffer = [0; BUFFER_BYTES];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
