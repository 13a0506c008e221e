//! A TCP echo server and a client that talks to it, on loopback.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use smolkit::net::{TcpListener, TcpStream};
use smolkit::{io, prelude::*};

fn main() -> io::Result<()> {
    smolkit::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        println!("listening on {addr}");
        smolkit::spawn(serve(listener)).detach();

        let mut client = TcpStream::connect(addr).await?;
        client.write_all(b"hello").await?;
        client.close().await?;
        let mut echo = String::new();
        client.read_to_string(&mut echo).await?;
        println!("the echo is {echo:?}");
        Ok(())
    })
}

async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, peer) = listener.accept().await?;
        println!("{peer} is there");
        smolkit::spawn(async move {
            if let Err(error) = io::copy(stream.clone(), stream).await {
                eprintln!("{peer}: {error}");
            }
        })
        .detach();
    }
}
