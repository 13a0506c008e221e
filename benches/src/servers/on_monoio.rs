//! On monoio.

use std::io;

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};

use super::futures_io::BUFFER_BYTES;

pub fn echo(listener: std::net::TcpListener) -> io::Result<()> {
    let builder = monoio::RuntimeBuilder::<monoio::FusionDriver>::new();
    builder.build()?.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            monoio::spawn(echo_connection(stream));
        }
    })
}

async fn echo_connection(mut stream: TcpStream) {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let (result, read) = stream.read(buffer).await;
        let Ok(1..) = result else { return };
        let (result, written) = stream.write_all(read).await;
        if result.is_err() {
            return;
        }
        buffer = written;
    }
}
