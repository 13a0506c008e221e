//! Goal: TLS streams where hyper's or Tokio's traits are asked for, and with AWS-LC's cryptography.
//! Method: the real crates' own functions on our types; a key exchange that only AWS-LC has.

#![cfg(all(feature = "tls-ring", feature = "tokio", feature = "hyper"))]

mod tls_support;

use futures_lite::future;
use smolkit_net::TcpStream;
use smolkit_net::tls::{TlsAcceptor, TlsConnector, TlsStream};
use tls_support::{Authority, pair, within};

async fn ends() -> (TlsStream<TcpStream>, TlsStream<TcpStream>) {
    let authority = Authority::new();
    let acceptor = TlsAcceptor::builder(authority.server().identity()).build().unwrap();
    let connector = TlsConnector::builder(authority.roots()).build().unwrap();
    pair(&acceptor, &connector, "localhost").await.unwrap()
}

#[test]
fn tokios_functions_work_on_tls() {
    use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
    within(async {
        let (mut client, mut server) = ends().await;
        assert!(client.is_write_vectored());
        let sends = async {
            client.write_all(&vec![7; 1 << 20]).await.unwrap();
            client.shutdown().await.unwrap();
            let mut back = Vec::new();
            client.read_to_end(&mut back).await.unwrap();
            back
        };
        let receives = async {
            let mut all = Vec::new();
            server.read_to_end(&mut all).await.unwrap();
            server.write_all(b"back").await.unwrap();
            server.shutdown().await.unwrap();
            all
        };
        let (back, all) = future::zip(sends, receives).await;
        assert!(back == b"back" && all == vec![7; 1 << 20]);
    });
}

/// hyper's buffers are uninitialised: the bytes must be in the right places, and counted.
#[test]
fn hypers_buffers_are_filled() {
    use std::mem::MaybeUninit;
    use std::pin::Pin;

    use hyper::rt::{Read, ReadBuf, Write};
    within(async {
        let (mut client, mut server) = ends().await;
        let mut sent = 0;
        while sent < 10 {
            sent += future::poll_fn(|cx| {
                Write::poll_write(Pin::new(&mut client), cx, &b"0123456789"[sent..])
            })
            .await
            .unwrap();
        }
        future::poll_fn(|cx| Write::poll_shutdown(Pin::new(&mut client), cx)).await.unwrap();
        let mut received: Vec<u8> = Vec::new();
        loop {
            let mut room = [MaybeUninit::uninit(); 4];
            let mut buf = ReadBuf::uninit(&mut room);
            future::poll_fn(|cx| Read::poll_read(Pin::new(&mut server), cx, buf.unfilled()))
                .await
                .unwrap();
            if buf.filled().is_empty() {
                break;
            }
            received.extend_from_slice(buf.filled());
        }
        assert_eq!(received, b"0123456789");
    });
}

#[test]
#[cfg(feature = "tls-aws-lc")]
fn aws_lc_agrees_on_a_key_that_lasts() {
    use smolkit_net::tls::Provider;
    use smolkit_net::tls::rustls::NamedGroup;
    within(async {
        let authority = Authority::new();
        let acceptor = TlsAcceptor::builder(authority.server().identity());
        let acceptor = acceptor.provider(Provider::aws_lc()).build().unwrap();
        let builder = || TlsConnector::builder(authority.roots());
        let post_quantum = builder().provider(Provider::aws_lc()).build().unwrap();
        let (client, server) = pair(&acceptor, &post_quantum, "localhost").await.unwrap();
        assert_eq!(client.key_exchange(), Some(NamedGroup::X25519MLKEM768));
        assert_eq!(server.key_exchange(), Some(NamedGroup::X25519MLKEM768));
        // With somebody who does not know that one, it is another.
        let ring = builder().provider(Provider::ring()).build().unwrap();
        let (client, _server) = pair(&acceptor, &ring, "localhost").await.unwrap();
        assert_eq!(client.key_exchange(), Some(NamedGroup::X25519));
        // Nobody has set or used what is the same for the whole process.
        assert!(smolkit_net::tls::rustls::crypto::CryptoProvider::get_default().is_none());
    });
}
