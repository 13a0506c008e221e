//! Looks up `localhost` as the system does, then a name that only a small server of this program knows; the second time it comes from the cache.

#![allow(clippy::print_stdout)]

use std::net::Ipv4Addr;
use std::time::Duration;

use smolkit::io;
use smolkit::net::dns::Resolver;
use smolkit::net::{TcpConnector, TcpListener, UdpSocket};

fn main() -> io::Result<()> {
    smolkit::block_on(async {
        println!("localhost is {:?}", Resolver::system().lookup_ip("localhost").await?);

        let server = UdpSocket::bind("127.0.0.1:0").await?;
        let resolver = Resolver::builder()
            .servers([server.local_addr()?])
            .resolv_conf(None)
            .hosts_file(None)
            .timeout(Duration::from_secs(10))
            .deadline(Duration::from_secs(30))
            .build()?;
        let server = smolkit::spawn(serve(server));
        for _ in 0..2 {
            println!("www.example.org is {:?}", resolver.a("www.example.org").await?);
        }
        println!("{:?}", resolver.metrics());

        // A connection by name. `Resolver::install` would do this for all names of the program.
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let connector = TcpConnector::new().resolver(&resolver);
        let stream = connector.connect(("www.example.org", listener.local_addr()?.port())).await?;
        println!("connected to {}", stream.peer_addr()?);

        let error = resolver.mx("example.org").await.unwrap_err();
        println!("{:?}: {error}", error.kind());
        drop(server);
        Ok(())
    })
}

/// Answers questions for IPv4 addresses with 127.0.0.1, and all others with "there is none".
async fn serve(socket: UdpSocket) -> io::Result<()> {
    let mut buffer = [0; 1_232];
    loop {
        let (count, client) = socket.recv_from(&mut buffer).await?;
        let Some(length) = question_length(&buffer[..count]) else { continue };
        let mut reply = buffer[..length].to_vec();
        let is_address = reply[length - 4..] == [0, 1, 0, 1];
        // A reply, recursion available; one question, perhaps one answer.
        reply[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, is_address.into(), 0, 0, 0, 0]);
        if is_address {
            // The name of the question, IPv4 address, Internet, 60 seconds, 4 bytes.
            reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            reply.extend(Ipv4Addr::LOCALHOST.octets());
        }
        socket.send_to(&reply, client).await?;
    }
}

/// The length of header and question.
fn question_length(query: &[u8]) -> Option<usize> {
    let mut at = 12;
    while *query.get(at)? != 0 {
        at += usize::from(query[at]) + 1;
    }
    (at + 5 <= query.len()).then_some(at + 5)
}
