//! A UDP echo server and a client that gives up on an answer that does not come.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::time::Duration;

use smolkit::net::UdpSocket;
use smolkit::{Timer, future, io};

fn main() -> io::Result<()> {
    smolkit::block_on(async {
        let server = UdpSocket::bind("127.0.0.1:0").await?;
        let addr = server.local_addr()?;
        smolkit::spawn(serve(server)).detach();

        let client = UdpSocket::bind("127.0.0.1:0").await?;
        client.connect(addr).await?;
        let mut buffer = [0; 1_500];
        for attempt in 1..=3 {
            client.send(b"hello").await?;
            // Datagrams may be lost: ask again.
            let late = async {
                Timer::after(Duration::from_secs(5)).await;
                Err(io::ErrorKind::TimedOut.into())
            };
            match future::or(client.recv(&mut buffer), late).await {
                Ok(count) => {
                    println!("the echo is {:?}", String::from_utf8_lossy(&buffer[..count]));
                    return Ok(());
                }
                Err(error) => eprintln!("attempt {attempt}: {error}"),
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    })
}

async fn serve(socket: UdpSocket) -> io::Result<()> {
    let mut buffer = [0; 65_536];
    loop {
        let (count, peer) = socket.recv_from(&mut buffer).await?;
        println!("{count} bytes from {peer}");
        socket.send_to(&buffer[..count], peer).await?;
    }
}
