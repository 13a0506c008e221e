//! Goal: TCP on any executor, with the results that the documentation names (FAULTS E6, E8, E15).
//! Method: real sockets on loopback, driven by our runtime and by a foreign executor.

mod refused;

use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt, future};
use smolkit_net::{TcpListener, TcpStream, resolve};
use smolkit_runtime::{Runtime, block_on, spawn};

use self::refused::Refused;

/// Fails if `f` takes longer than 120 s.
fn within<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || sender.send(f()));
    match receiver.recv_timeout(Duration::from_secs(120)) {
        Ok(output) => output,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("not finished after 120 s"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().expect_err("it has sent nothing"))
        }
    }
}

async fn echo_once() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut client = TcpStream::connect(listener.local_addr()?).await?;
    let (mut server, peer) = listener.accept().await?;
    assert_eq!(peer, client.local_addr()?);
    client.set_nodelay(true)?;
    assert!(client.nodelay()?);
    client.write_all(b"ping").await?;
    let mut buffer = [0; 4];
    assert_eq!(server.peek(&mut buffer).await?, 4);
    server.read_exact(&mut buffer).await?;
    assert_eq!(&buffer, b"ping");
    // Half-close: the end is read, and the other direction still works.
    client.close().await?;
    assert_eq!(server.read(&mut buffer).await?, 0);
    server.write_all(b"pong").await?;
    client.read_exact(&mut buffer).await?;
    assert_eq!(&buffer, b"pong");
    Ok(())
}

#[test]
fn on_our_own_block_on() {
    within(|| block_on(echo_once()).unwrap());
}

#[test]
fn on_a_worker() {
    within(|| {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        block_on(runtime.spawn(echo_once())).unwrap();
    });
}

#[test]
fn on_a_foreign_executor() {
    within(|| futures_executor::block_on(echo_once()).unwrap());
}

#[test]
fn errors_name_what_was_tried() {
    within(|| {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            let error = TcpListener::bind(addr).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
            assert!(error.to_string().contains(&addr.to_string()), "{error}");
            let refused = Refused::new();
            let addr = refused.addr;
            let error = TcpStream::connect(addr).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            assert!(error.to_string().contains(&addr.to_string()), "{error}");
            let error = resolve("no port").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains("no port"), "{error}");
            // No server is asked for what is no name.
            let error = TcpStream::connect("a..b:80").await.unwrap_err();
            assert!(error.to_string().contains("a..b"), "{error}");
            let error = resolve(("a..b", 80)).await.unwrap_err();
            assert!(error.to_string().contains("a..b"), "{error}");
            let none: &[SocketAddr] = &[];
            let error = TcpStream::connect(none).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        });
    });
}

#[test]
fn addresses_go_there_and_back() {
    within(|| {
        block_on(async {
            let v6 = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 0, 0);
            let Ok(listener) = TcpListener::bind(v6).await else {
                // A machine without IPv6: the IPv4 tests say what there is to say.
                return;
            };
            let addr = listener.local_addr().unwrap();
            let (client, server) =
                future::try_zip(TcpStream::connect(addr), listener.accept()).await.unwrap();
            assert_eq!(client.local_addr().unwrap(), server.1);
            assert!(server.1.is_ipv6());
        });
        assert!(!block_on(resolve(("localhost", 80))).unwrap().is_empty());
    });
}

#[test]
fn many_connections_at_once() {
    within(|| {
        const CONNECTIONS: usize = 400;
        let runtime = Runtime::builder().workers(2).build().unwrap();
        let listener = block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let addr = listener.local_addr().unwrap();
        runtime
            .spawn(async move {
                let mut incoming = listener.incoming();
                while let Some(stream) = incoming.next().await {
                    let mut stream = stream.unwrap();
                    spawn(async move {
                        let mut buffer = [0; 256];
                        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                            stream.write_all(&buffer[..count]).await.unwrap();
                        }
                    })
                    .detach();
                }
            })
            .detach();
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|i| {
                runtime.spawn(async move {
                    let mut stream = TcpStream::connect(addr).await.unwrap();
                    for round in 0..20 {
                        let message = format!("{i}/{round}");
                        stream.write_all(message.as_bytes()).await.unwrap();
                        let mut answer = vec![0; message.len()];
                        stream.read_exact(&mut answer).await.unwrap();
                        assert_eq!(answer, message.as_bytes());
                    }
                })
            })
            .collect();
        block_on(async {
            for client in clients {
                client.await;
            }
        });
    });
}

#[test]
fn a_large_transfer_meets_full_buffers() {
    within(|| {
        block_on(async {
            const BYTES: usize = 8 * 1024 * 1024;
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut server, _) = listener.accept().await.unwrap();
            let data: Vec<u8> = (0..BYTES).map(|i| (i % 251) as u8).collect();
            let expected = data.clone();
            let sender = spawn(async move {
                client.write_all(&data).await.unwrap();
                client.close().await.unwrap();
            });
            let mut received = Vec::new();
            server.read_to_end(&mut received).await.unwrap();
            assert!(received == expected);
            sender.await;
        });
    });
}

#[test]
fn one_reads_while_another_writes() {
    within(|| {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            let echo = spawn(async move { futures_lite::io::copy(server.clone(), server).await });
            let mut writing = client.clone();
            let writer = spawn(async move {
                writing.write_all(&vec![7; 1024 * 1024]).await.unwrap();
                writing.close().await.unwrap();
            });
            let mut reading = client;
            let mut back = Vec::new();
            reading.read_to_end(&mut back).await.unwrap();
            writer.await;
            assert_eq!(back.len(), 1024 * 1024);
            assert_eq!(echo.await.unwrap(), 1024 * 1024);
        });
    });
}

/// The last bytes and the end arrive together: the end must be read, though it is no event of its own.
#[test]
fn the_end_comes_with_the_last_bytes() {
    within(|| {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            for _ in 0..500 {
                let (client, accepted) =
                    future::try_zip(TcpStream::connect(addr), listener.accept()).await.unwrap();
                let (mut client, mut server) = (client, accepted.0);
                // It waits before anything comes.
                assert!(future::poll_once(server.read(&mut [0; 8])).await.is_none());
                client.write_all(b"last").await.unwrap();
                client.close().await.unwrap();
                let mut text = String::new();
                server.read_to_string(&mut text).await.unwrap();
                assert_eq!(text, "last");
            }
        });
    });
}

/// More buffers than the system takes at once: the short count does not mean that the socket is drained, or full.
#[test]
fn more_buffers_than_the_system_takes() {
    use std::io::{IoSlice, IoSliceMut};
    within(|| {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            let (mut client, (mut server, _)) =
                future::try_zip(TcpStream::connect(addr), listener.accept()).await.unwrap();
            let byte = [7];
            let slices = vec![IoSlice::new(&byte); 1_500];
            let mut sent = 0;
            while sent < 3_000 {
                sent += client.write_vectored(&slices).await.unwrap();
            }
            let mut received = 0;
            while received < sent {
                let mut storage = vec![[0u8; 1]; 1_500];
                let mut slices: Vec<_> =
                    storage.iter_mut().map(|byte| IoSliceMut::new(byte)).collect();
                received += server.read_vectored(&mut slices).await.unwrap();
            }
        });
    });
}
