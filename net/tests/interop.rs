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
