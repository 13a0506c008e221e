//! Goal: all names of a process go through the resolver that it installs, and through none of ours before that.
//! Method: a process of its own (this file has one test): each function that takes a name, with a name that only the test's server knows.

#![cfg(feature = "dns")]

mod dns;
#[cfg(feature = "tls-webpki-roots")]
mod refused;

use std::io;

use smolkit_net::dns::Resolver;
use smolkit_net::{TcpConnector, TcpListener, TcpStream, UdpSocket, resolve};

use self::dns::{Server, within};

#[test]
fn all_names_of_the_process() {
    let server = Server::with_address([127, 0, 0, 1]);
    let resolver = server.resolver().build().unwrap();
    within(async {
        let listener = TcpListener::bind("localhost:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(Resolver::installed().is_none());
        drop(listener);
        assert_eq!((server.count(), resolver.metrics().sent), (0, 0));

        resolver.install().unwrap();
        let error = resolver.install().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert!(Resolver::installed().is_some());

        // Each with a name of its own, so that none is known already.
        let listener = TcpListener::bind(("a.here.example", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        assert!(addr.ip().is_loopback());
        let named = |host| format!("{host}.here.example:{}", addr.port());
        TcpStream::connect(named("b")).await.unwrap();
        TcpConnector::new().connect(named("c")).await.unwrap();
        TcpStream::connect(("d.here.example".to_owned(), addr.port())).await.unwrap();
        assert_eq!(resolve(named("e")).await.unwrap(), [addr]);
        let udp = UdpSocket::bind("f.here.example:0").await.unwrap();
        udp.connect(named("g")).await.unwrap();
        let other = UdpSocket::bind(("h.here.example", 0)).await.unwrap();
        other.send_to(b"hello", named("i")).await.unwrap();
        let asked: Vec<String> = server.asked().iter().map(|asked| asked.plain_name()).collect();
        for host in ["a", "b", "c", "d", "e", "f", "g", "h", "i"] {
            let name = format!("{host}.here.example");
            assert!(asked.contains(&name), "{name} went elsewhere: {asked:?}");
        }

        // What is no name asks nobody, and what the connector is told counts for more.
        let before = server.count();
        TcpStream::connect(addr).await.unwrap();
        TcpStream::connect(addr.to_string()).await.unwrap();
        assert_eq!(resolve(("127.0.0.1", port)).await.unwrap()[0].port(), port);
        let own = Server::with_address([127, 0, 0, 1]);
        let connector = TcpConnector::new().resolver(&own.resolver().build().unwrap());
        connector.connect(named("j")).await.unwrap();
        assert_eq!(server.count(), before);
        assert!(own.count() > 0);

        #[cfg(feature = "tls-webpki-roots")]
        {
            use smolkit_net::tls::{Roots, TlsConnector};
            let connector = TlsConnector::builder(Roots::webpki()).build().unwrap();
            let port = refused::Refused::new();
            let port = port.addr.port();
            let error = connector.connect_tcp("k.here.example", port).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{error}");
        }
    });
}
