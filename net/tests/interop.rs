//! Goal: our sockets where Tokio's traits or async-net's types are asked for.
//! Method: the real crates' own functions on our types, and bytes that go through.

#![cfg(all(feature = "tokio", feature = "smol-compat"))]

use smolkit_net::TcpStream;
use smolkit_net::unix::UnixStream;
use smolkit_runtime::{block_on, spawn};

#[test]
fn tokios_functions_work_on_our_types() {
    use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
    block_on(async {
        let (one, other) = UnixStream::pair().unwrap();
        let sender = spawn(async move {
            let (mut read, mut write) = one.into_split();
            write.write_all(&vec![7; 1 << 20]).await.unwrap();
            AsyncWriteExt::shutdown(&mut write).await.unwrap();
            let mut back = Vec::new();
            AsyncReadExt::read_to_end(&mut read, &mut back).await.unwrap();
            back
        });
        let (mut read, mut write) = other.into_split();
        let mut all = Vec::new();
        AsyncReadExt::read_to_end(&mut read, &mut all).await.unwrap();
        assert!(all == vec![7; 1 << 20]);
        assert!(write.is_write_vectored());
        AsyncWriteExt::write_all(&mut write, b"back").await.unwrap();
        drop(write);
        assert_eq!(sender.await, b"back");
    });
}

/// A Tokio program: its workers poll our sockets, and our reactor wakes them from its own thread.
#[test]
fn a_tokio_program_copies_between_our_sockets() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, copy_bidirectional};
    const BYTES: usize = 1 << 20;
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    tokio.block_on(async {
        let echo = smolkit_net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = smolkit_net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (echo_addr, proxy_addr) = (echo.local_addr().unwrap(), proxy.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = echo.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.into_split();
                    copy(&mut read, &mut write).await
                });
            }
        });
        tokio::spawn(async move {
            while let Ok((mut client, _)) = proxy.accept().await {
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(echo_addr).await.unwrap();
                    copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        let clients: Vec<_> = (0..8)
            .map(|i| {
                tokio::spawn(async move {
                    let stream = TcpStream::connect(proxy_addr).await.unwrap();
                    let (mut read, mut write) = stream.into_split();
                    let writer = tokio::spawn(async move {
                        write.write_all(&vec![i; BYTES]).await.unwrap();
                        AsyncWriteExt::shutdown(&mut write).await.unwrap();
                    });
                    let mut back = Vec::new();
                    AsyncReadExt::read_to_end(&mut read, &mut back).await.unwrap();
                    writer.await.unwrap();
                    assert!(back == vec![i; BYTES]);
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
    });
    // The tasks that still wait for connections end with the program.
    tokio.shutdown_timeout(std::time::Duration::from_secs(10));
}

#[test]
fn connections_move_between_the_reactors() {
    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    block_on(async {
        let listener = smolkit_net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let theirs = async_net::TcpStream::connect(addr).await.unwrap();
        let mut ours = TcpStream::try_from(theirs).unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let mut theirs = async_net::TcpStream::try_from(accepted).unwrap();
        let (sent, read) = futures_lite::future::zip(ours.write_all(b"ping"), async {
            let mut buf = [0; 4];
            theirs.read_exact(&mut buf).await.map(|()| buf)
        })
        .await;
        sent.unwrap();
        assert_eq!(&read.unwrap(), b"ping");
        drop(theirs);
        assert_eq!(ours.read(&mut [0; 4]).await.unwrap(), 0);
    });
}

/// There and back again, once each way for every type.
#[test]
fn sockets_of_every_type_move() {
    use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
    use smolkit_net::unix::{UnixDatagram, UnixListener, UnixStream};
    let path = std::env::temp_dir().join(format!("smolkit-interop-{}", std::process::id()));
    block_on(async {
        let mut buf = [0; 8];
        let listener = smolkit_net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let theirs = async_net::TcpListener::try_from(listener).unwrap();
        let listener = smolkit_net::TcpListener::try_from(theirs).unwrap();
        let connecting = TcpStream::connect(listener.local_addr().unwrap());
        future::try_zip(connecting, listener.accept()).await.unwrap();

        let udp = smolkit_net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let theirs = async_net::UdpSocket::try_from(udp).unwrap();
        let addr = theirs.local_addr().unwrap();
        theirs.send_to(b"one", addr).await.unwrap();
        let udp = smolkit_net::UdpSocket::try_from(theirs).unwrap();
        assert_eq!(udp.recv_from(&mut buf).await.unwrap(), (3, addr));

        let (one, other) = UnixDatagram::pair().unwrap();
        let theirs = async_net::unix::UnixDatagram::try_from(one).unwrap();
        theirs.send(b"three").await.unwrap();
        assert_eq!(other.recv(&mut buf).await.unwrap(), 5);
        let one = UnixDatagram::try_from(theirs).unwrap();
        other.send(b"four").await.unwrap();
        assert_eq!(one.recv(&mut buf).await.unwrap(), 4);

        let listener = UnixListener::bind(&path).unwrap();
        let theirs = async_net::unix::UnixListener::try_from(listener).unwrap();
        let listener = UnixListener::try_from(theirs).unwrap();
        let connecting = UnixStream::connect(&path);
        let (one, (mut other, _)) = future::try_zip(connecting, listener.accept()).await.unwrap();
        let mut theirs = async_net::unix::UnixStream::try_from(one).unwrap();
        theirs.write_all(b"five").await.unwrap();
        other.read_exact(&mut buf[..4]).await.unwrap();
        let mut one = UnixStream::try_from(theirs).unwrap();
        one.write_all(b"six").await.unwrap();
        other.read_exact(&mut buf[..3]).await.unwrap();
    });
    std::fs::remove_file(path).unwrap();
}
