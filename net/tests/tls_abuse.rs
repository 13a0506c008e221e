//! Goal: whatever a peer sends, and however slowly or fast, the connection ends or goes on; nothing spins, and nothing grows (FAULTS S1, S2, S4, S6).
//! Method: bytes of a real client that arrive one by one, floods, garbage, and rustls's own state machine as a peer that misbehaves.

#![cfg(feature = "tls-ring")]

mod tls_support;

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_io::AsyncWrite;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use rcgen::{CertificateParams, GeneralSubtree, KeyUsagePurpose, NameConstraints};
use smolkit_net::TcpStream;
use smolkit_net::tls::rustls::{self, ClientConfig, ClientConnection, RootCertStore};
use smolkit_net::tls::{Provider, TlsAcceptor, TlsConnector, TlsListener};
use smolkit_net::unix::UnixStream;
use smolkit_runtime::Timer;
use tls_support::{Authority, pair, tcp_pair, within};

/// A client whose bytes the test holds in its hands.
fn raw_client(authority: &Authority) -> ClientConnection {
    use rustls_pki_types::{CertificateDer, pem::PemObject};
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.certificate.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.enable_secret_extraction = true;
    ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap()
}

fn hello(authority: &Authority) -> Vec<u8> {
    let mut hello = Vec::new();
    raw_client(authority).write_tls(&mut hello).unwrap();
    hello
}

/// No handshake ends because the machine has much else to do.
fn acceptor(authority: &Authority) -> TlsAcceptor {
    let acceptor = TlsAcceptor::builder(authority.server().identity());
    acceptor.handshake_timeout(Duration::from_secs(100)).build().unwrap()
}

/// The handshake of a `raw_client` over a blocking socket.
fn shake(client: &mut ClientConnection, socket: &mut std::net::TcpStream) -> io::Result<()> {
    while client.is_handshaking() || client.wants_write() {
        while client.wants_write() {
            client.write_tls(socket)?;
        }
        if client.is_handshaking() {
            client.read_tls(socket)?;
            client.process_new_packets().map_err(io::Error::other)?;
        }
    }
    Ok(())
}

/// A client on a thread of its own, and the server's end.
async fn with_raw_client<T: Send + 'static>(
    authority: &Authority,
    client: impl FnOnce(ClientConnection, std::net::TcpStream) -> T + Send + 'static,
) -> (io::Result<smolkit_net::tls::TlsStream<TcpStream>>, std::thread::JoinHandle<T>) {
    let listener = smolkit_net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut raw = raw_client(authority);
    let thread = std::thread::spawn(move || {
        let mut socket = std::net::TcpStream::connect(addr).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        socket.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
        shake(&mut raw, &mut socket).unwrap();
        client(raw, socket)
    });
    let (stream, _) = listener.accept().await.unwrap();
    (acceptor(authority).accept(stream).await, thread)
}

/// A byte for each segment and each read of ours.
#[test]
fn a_hello_may_come_byte_by_byte() {
    within(async {
        let authority = Authority::new();
        let (client, server) = tcp_pair().await;
        client.set_nodelay(true).unwrap();
        let connector = TlsConnector::builder(authority.roots()).build().unwrap();
        let slow = Dribble(client);
        let (client, server) =
            future::zip(connector.connect("localhost", slow), acceptor(&authority).accept(server))
                .await;
        let (mut client, mut server) = (client.unwrap(), server.unwrap());
        client.write_all(b"through the eye of a needle").await.unwrap();
        client.close().await.unwrap();
        let mut text = String::new();
        server.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "through the eye of a needle");
    });
}

/// A transport that takes and gives one byte at a time, and makes its caller wait before each.
struct Dribble(TcpStream);

mod dribble {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures_io::{AsyncRead, AsyncWrite};

    use super::{Dribble, io};

    impl AsyncRead for Dribble {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            let count = buf.len().min(1);
            Pin::new(&mut self.0).poll_read(cx, &mut buf[..count])
        }
    }

    impl AsyncWrite for Dribble {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            let count = buf.len().min(1);
            Pin::new(&mut self.0).poll_write(cx, &buf[..count])
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_close(cx)
        }
    }
}

/// A transport that remembers one waker, and takes nothing while it is shut.
struct Gate {
    tcp: TcpStream,
    inner: Arc<Mutex<Gatekeeper>>,
}

#[derive(Default)]
struct Gatekeeper {
    is_shut: bool,
    writer: Option<Waker>,
}

mod gate {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures_io::{AsyncRead, AsyncWrite};

    use super::{Gate, io};

    impl AsyncRead for Gate {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.tcp).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Gate {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            let mut inner = self.inner.lock().unwrap();
            if inner.is_shut {
                inner.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            drop(inner);
            Pin::new(&mut self.tcp).poll_write(cx, buf)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.tcp).poll_flush(cx)
        }

        fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.tcp).poll_close(cx)
        }
    }
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Goal: a reader that has to send an alert does not take the place of who waits to write. Method: a transport that is shut, a writer that waits for it, and garbage for the reader.
#[test]
fn a_broken_record_is_no_end_for_the_writer() {
    within(async {
        let authority = Authority::new();
        let listener = smolkit_net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let mut raw = raw_client(&authority);
        let (go_on, may_go_on) = mpsc::channel();
        let client = std::thread::spawn(move || {
            let mut socket = std::net::TcpStream::connect(addr).unwrap();
            shake(&mut raw, &mut socket).unwrap();
            // Not with the last words of the handshake.
            may_go_on.recv().unwrap();
            socket.write_all(&[0xff; 64]).unwrap();
            // Until the server has seen it.
            drop(io::copy(&mut socket, &mut io::sink()));
        });
        let inner = Arc::<Mutex<Gatekeeper>>::default();
        let tcp = listener.accept().await.unwrap().0;
        let gate = Gate { tcp, inner: inner.clone() };
        let mut server = acceptor(&authority).accept(gate).await.unwrap();
        inner.lock().unwrap().is_shut = true;
        let writer = Arc::<Woken>::default();
        let waker = Waker::from(writer.clone());
        let mut cx = Context::from_waker(&waker);
        while Pin::new(&mut server).poll_write(&mut cx, &[7; 4_096]).is_ready() {}
        go_on.send(()).unwrap();
        let error = server.read(&mut [0; 16]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let stored = {
            let mut inner = inner.lock().unwrap();
            inner.is_shut = false;
            inner.writer.take()
        };
        stored.unwrap().wake();
        assert_eq!(writer.0.load(Ordering::SeqCst), 1, "it waits for ever");
        drop(server);
        client.join().unwrap();
    });
}

/// Counts how often a future is polled.
struct Counted<F>(Pin<Box<F>>, Arc<AtomicUsize>);

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.as_mut().poll(cx)
    }
}

/// Keeps the runtime's workers and their pollers busy with others.
async fn round_trips(count: usize) {
    let (mut one, mut other) = UnixStream::pair().unwrap();
    let echo = smolkit_runtime::spawn(async move {
        let mut byte = [0];
        while other.read(&mut byte).await.unwrap() > 0 {
            other.write_all(&byte).await.unwrap();
        }
    });
    let asks = smolkit_runtime::spawn(async move {
        for _ in 0..count {
            one.write_all(&[1]).await.unwrap();
            one.read_exact(&mut [0]).await.unwrap();
        }
    });
    asks.await;
    echo.await;
}

/// Goal: a task whose peer has stopped in the middle of something, or has said goodbye and stays, is not polled (RUSTSEC-2024-0336).
/// Method: its polls are counted while others go through the same workers and pollers a thousand times. A piece that comes may cost two: it is read, and the answer sent.
#[test]
fn who_waits_is_not_polled() {
    let authority = Authority::new();
    let hello = hello(&authority);
    let goodbye = [0x15, 3, 3, 0, 2, 1, 0];
    let watch = async |what: &str, pieces: usize, polls: &AtomicUsize| {
        round_trips(1_000).await;
        let (count, limit) = (polls.load(Ordering::SeqCst), 2 * pieces + 3);
        assert!(count <= limit, "{what}: {count} polls, {limit} are the limit");
    };
    within(async {
        // In the handshake.
        for (what, pieces) in [
            ("nothing", vec![]),
            ("the beginning of a record", vec![&hello[..3]]),
            ("half a hello", vec![&hello[..9], &hello[9..40], &hello[40..60]]),
            ("a hello", vec![&hello[..9], &hello[9..]]),
            ("a hello and a goodbye", vec![&hello[..], &goodbye]),
            ("a goodbye", vec![&goodbye[..]]),
            ("a change of cipher and no more", vec![&hello[..], &[0x14, 3, 3, 0, 1, 1]]),
            ("half a record behind the hello", vec![&hello[..], &[0x17, 3, 3, 0x20, 0, 1, 2]]),
        ] {
            let (mut client, server) = tcp_pair().await;
            let polls = Arc::<AtomicUsize>::default();
            let accepting = acceptor(&authority);
            let accepts = Box::pin(async move { accepting.accept(server).await });
            let task = smolkit_runtime::spawn(Counted(accepts, polls.clone()));
            for piece in &pieces {
                // The server may have hung up.
                let _ = client.write_all(piece).await;
                round_trips(10).await;
            }
            watch(what, pieces.len(), &polls).await;
            drop(client);
            assert!(task.await.is_err(), "{what}");
        }
        // Behind it.
        for what in ["nothing", "half a record", "a goodbye"] {
            let (go_on, may_go_on) = mpsc::channel();
            let (stream, thread) = with_raw_client(&authority, move |mut client, mut socket| {
                let mut bytes = Vec::new();
                if what == "a goodbye" {
                    client.send_close_notify();
                    client.write_tls(&mut bytes).unwrap();
                } else {
                    client.writer().write_all(&[7; 100]).unwrap();
                    client.write_tls(&mut bytes).unwrap();
                    bytes.truncate(if what == "nothing" { 0 } else { 50 });
                }
                socket.write_all(&bytes).unwrap();
                // It says no more, and stays.
                may_go_on.recv().unwrap();
            })
            .await;
            let mut stream = stream.unwrap();
            let polls = Arc::<AtomicUsize>::default();
            let reads = Box::pin(async move {
                let result = stream.read(&mut [0; 8]).await;
                // The end stays the end; the stream lives on.
                result.and(stream.read(&mut [0; 8]).await)
            });
            let task = smolkit_runtime::spawn(Counted(reads, polls.clone()));
            watch(what, 1, &polls).await;
            go_on.send(()).unwrap();
            thread.join().unwrap();
            assert_eq!(task.await.is_ok(), what == "a goodbye", "{what}");
        }
    });
}

/// Each byte of the hello in a record of its own: the panic of RUSTSEC-2024-0399.
#[test]
fn a_hello_may_come_in_tiny_records() {
    within(async {
        let authority = Authority::new();
        let hello = hello(&authority);
        for per_record in [1, 2, 7] {
            let (mut client, server) = tcp_pair().await;
            let mut records = Vec::new();
            for part in hello[5..].chunks(per_record) {
                records.extend([0x16, 3, 1, 0, part.len() as u8]);
                records.extend(part);
            }
            client.write_all(&records).await.unwrap();
            let accepting = acceptor(&authority);
            let accepted = accepting.accept(server);
            // The server answers, or says no: it does not wait for more.
            let answer = async {
                let mut first = [0; 1];
                client.read_exact(&mut first).await.unwrap();
                first[0]
            };
            let refused = async {
                assert!(accepted.await.is_err());
                0
            };
            let first = future::or(answer, refused).await;
            assert!([0x16, 0x15, 0].contains(&first), "{per_record}: {first}");
        }
    });
}

#[test]
fn every_handshake_ends() {
    within(async {
        let authority = Authority::new();
        let hello = hello(&authority);
        let alert = [0x15, 3, 3, 0, 2, 2, 40];
        let goodbye = [0x15, 3, 3, 0, 2, 1, 0];
        let warning = [0x15, 3, 3, 0, 2, 1, 90];
        let mut cases = vec![
            ("nothing", vec![]),
            ("plain HTTP", b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec()),
            ("an alert at once", alert.to_vec()),
            ("a goodbye at once", goodbye.to_vec()),
            ("a goodbye after the hello", [&hello[..], &goodbye].concat()),
            ("an alert after the hello", [&hello[..], &alert].concat()),
            ("the hello twice", hello.repeat(2)),
            // Heartbleed's question: three bytes that say they are 16 KiB.
            ("a heartbeat", [&hello[..], &[0x18, 3, 3, 0, 3, 1, 0x40, 0]].concat()),
            ("warnings without end", warning.repeat(10_000)),
            ("empty handshake records", [0x16, 3, 1, 0, 0].repeat(10_000)),
            ("change of cipher without end", [0x14, 3, 3, 0, 1, 1].repeat(10_000)),
            ("a record that is too long", [&[0x16, 3, 1, 0xff, 0xff][..], &[0; 70_000]].concat()),
            ("a hello that is too long", {
                let mut long = vec![0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff];
                long.extend([0; 0x4000 - 4]);
                for _ in 0..64 {
                    long.extend([0x16, 3, 1, 0x40, 0]);
                    long.extend([0; 0x4000]);
                }
                long
            }),
            // SSL 2's hello.
            ("an ancient hello", vec![0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10, 1, 0, 0x80]),
        ];
        for at in [1, 4, 5, 6, 9, 40, hello.len() - 1] {
            cases.push(("half a hello", hello[..at].to_vec()));
            let mut bent = hello.clone();
            bent[at] ^= 0xff;
            cases.push(("a bent hello", bent));
        }
        for (what, bytes) in cases {
            let (client, server) = tcp_pair().await;
            let (mut read, mut write) = client.into_split();
            let sends = async {
                // The server may hang up before it has all.
                let _ = write.write_all(&bytes).await;
                drop(write);
                let _ = read.read_to_end(&mut Vec::new()).await;
            };
            let accepting = acceptor(&authority);
            let (result, ()) = future::zip(accepting.accept(server), sends).await;
            let error = result.map(drop).expect_err(what);
            assert_ne!(error.kind(), io::ErrorKind::TimedOut, "{what}: {error}");
        }
    });
}

/// What comes after a goodbye is not looked at, and does not keep the reader busy.
#[test]
fn nothing_counts_after_goodbye() {
    within(async {
        let authority = Authority::new();
        let (stream, thread) = with_raw_client(&authority, |mut client, mut socket| {
            client.writer().write_all(b"last words").unwrap();
            client.send_close_notify();
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).unwrap();
            }
            bytes.extend([0x17; 100_000]);
            // The server may hang up before it has all.
            let _ = socket.write_all(&bytes);
        })
        .await;
        let mut stream = stream.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "last words");
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
        drop(stream);
        thread.join().unwrap();
    });
}

/// The peer sends as fast as it can, and nobody reads.
#[test]
fn what_is_not_read_stays_with_the_sender() {
    within(async {
        let authority = Authority::new();
        let connector = TlsConnector::builder(authority.roots()).build().unwrap();
        let (one, other) = UnixStream::pair().unwrap();
        let accepting = acceptor(&authority);
        let ends = future::try_zip(connector.connect("localhost", one), accepting.accept(other));
        let (mut client, mut server) = ends.await.unwrap();
        // Not even when the other direction is in use.
        let chunk = [7; 16_384];
        let mut sent = 0;
        let fills = async {
            loop {
                sent += client.write(&chunk).await.unwrap();
                assert!(sent < 16 << 20, "somebody takes it all");
            }
        };
        let writes = async {
            for _ in 0..100 {
                server.write_all(b"on its way").await.unwrap();
                server.flush().await.unwrap();
                future::yield_now().await;
            }
            // Longer than the sender needs to fill whatever there is to fill.
            for _ in 0..10_000 {
                future::yield_now().await;
            }
        };
        future::or(writes, fills).await;
        // The socket's buffers, and what rustls holds for either end.
        assert!(sent < 4 << 20, "{sent} bytes are on their way");
        let reads = async {
            let mut all = 0;
            let mut buf = vec![0; 100_000];
            while all < sent {
                all += server.read(&mut buf).await.unwrap();
            }
            all
        };
        let flushes = async {
            client.flush().await.unwrap();
        };
        let (all, ()) = future::zip(reads, flushes).await;
        assert_eq!(all, sent);
    });
}

/// Each of these is valid, and asks for work without bringing anything.
#[test]
fn floods_without_data_end() {
    for what in ["key updates", "tiny records"] {
        within(async {
            let authority = Authority::new();
            let (stream, thread) = with_raw_client(&authority, move |mut client, mut socket| {
                for round in 0..1_000_000 {
                    if what == "key updates" {
                        client.refresh_traffic_keys().unwrap();
                    } else {
                        // Valid and useful: these must get through, however small.
                        client.writer().write_all(&[1]).unwrap();
                        if round == 20_000 {
                            client.send_close_notify();
                        }
                    }
                    while client.wants_write() {
                        if client.write_tls(&mut socket).is_err() {
                            return round;
                        }
                    }
                    if round == 20_000 && what == "tiny records" {
                        // Whoever leaves with something unread resets the connection.
                        socket.shutdown(std::net::Shutdown::Write).unwrap();
                        socket.read_to_end(&mut Vec::new()).unwrap();
                        return round;
                    }
                }
                panic!("nobody minds");
            })
            .await;
            let mut received = Vec::new();
            // The flood may come with the last message of the handshake.
            let result = match stream {
                Ok(mut stream) => stream.read_to_end(&mut received).await,
                Err(error) => Err(error),
            };
            if what == "key updates" {
                assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidData);
                assert!(received.is_empty());
            } else {
                assert_eq!(result.unwrap(), 20_001);
            }
            assert!(thread.join().unwrap() < 1_000_000);
        });
    }
}

/// Records of TLS 1.3 that are valid and empty: made by hand with the connection's own keys, for rustls sends none.
#[test]
fn a_flood_of_empty_records_ends() {
    use ring::aead;
    within(async {
        let authority = Authority::new();
        let (stream, thread) = with_raw_client(&authority, |client, mut socket| {
            let secrets = client.dangerous_extract_secrets().unwrap();
            let (mut number, keys) = secrets.tx;
            let rustls::ConnectionTrafficSecrets::Aes256Gcm { key, iv } = keys else {
                panic!("another cipher")
            };
            let key = aead::UnboundKey::new(&aead::AES_256_GCM, key.as_ref()).unwrap();
            let key = aead::LessSafeKey::new(key);
            // A type, and the seal.
            let header = [0x17, 3, 3, 0, 17];
            for count in 0..1_000_000 {
                let mut nonce: [u8; 12] = iv.as_ref().try_into().unwrap();
                for (byte, of_number) in nonce[4..].iter_mut().zip(u64::to_be_bytes(number)) {
                    *byte ^= of_number;
                }
                number += 1;
                let nonce = aead::Nonce::assume_unique_for_key(nonce);
                let mut record = header.to_vec();
                let mut body = vec![0x17];
                key.seal_in_place_append_tag(nonce, aead::Aad::from(header), &mut body).unwrap();
                record.extend(body);
                if socket.write_all(&record).is_err() {
                    return count;
                }
            }
            panic!("nobody minds")
        })
        .await;
        // The flood may come with the last message of the handshake.
        let error = match stream {
            Ok(mut stream) => stream.read(&mut [0; 8]).await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("Empty"), "{error}");
        thread.join().unwrap();
    });
}

/// Silent clients, more than there is room for, do not keep others out; those that have said something are not sent away for them.
#[test]
fn silence_makes_room() {
    within(async {
        let authority = Authority::new();
        let tcp = smolkit_net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = tcp.local_addr().unwrap();
        let mut listener = TlsListener::new(tcp, acceptor(&authority)).handshakes_max(4);
        let connector = TlsConnector::builder(authority.roots()).build().unwrap();
        let mut silent = Vec::new();
        for _ in 0..12 {
            silent.push(TcpStream::connect(addr).await.unwrap());
        }
        let client = connector.connect_tcp("localhost", addr.port());
        let (client, server) = future::zip(client, listener.accept()).await;
        let (client, (server, peer)) = (client.unwrap(), server.unwrap());
        assert_eq!(peer, client.transport().local_addr().unwrap());
        let metrics = listener.metrics();
        assert_eq!((metrics.completed, metrics.failed), (1, 0));
        assert!(metrics.evicted >= 8, "{metrics:?}");
        // The oldest ones are gone.
        assert_eq!(silent[0].read(&mut [0; 8]).await.unwrap(), 0);
        drop((client, server, listener));
        // And with the listener, all.
        for mut silent in silent {
            assert_eq!(silent.read(&mut [0; 8]).await.unwrap(), 0);
        }
    });
}

/// Clients whose hello is there before anybody looks are not silent, though there are more of them than places: all of them are served.
#[test]
fn a_crowd_is_not_silent() {
    within(async {
        let authority = Authority::new();
        let tcp = smolkit_net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = tcp.local_addr().unwrap();
        let mut listener = TlsListener::new(tcp, acceptor(&authority)).handshakes_max(4);
        let connector = TlsConnector::builder(authority.roots()).build().unwrap();
        let mut clients = Vec::new();
        for _ in 0..40 {
            let transport = TcpStream::connect(addr).await.unwrap();
            let connector = connector.clone();
            let mut client =
                Box::pin(async move { connector.connect("localhost", transport).await });
            // It sends its hello, and waits.
            assert!(future::poll_once(&mut client).await.is_none());
            clients.push(client);
        }
        let clients = async {
            let mut streams = Vec::new();
            for client in clients {
                streams.push(client.await.unwrap());
            }
            streams
        };
        let servers = async {
            let mut streams = Vec::new();
            while streams.len() < 40 {
                streams.push(listener.accept().await.unwrap());
            }
            streams
        };
        let _ends = future::zip(clients, servers).await;
        assert_eq!(listener.metrics().evicted, 0);
    });
}

/// Half a hello is not silence: all places are taken until the deadline.
#[test]
fn the_deadline_makes_room() {
    within(async {
        let authority = Authority::new();
        let hello = hello(&authority);
        let tcp = smolkit_net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = tcp.local_addr().unwrap();
        let acceptor = TlsAcceptor::builder(authority.server().identity())
            .handshake_timeout(Duration::from_secs(3))
            .build()
            .unwrap();
        let (sender, failures) = std::sync::mpsc::channel();
        let mut listener =
            TlsListener::new(tcp, acceptor).handshakes_max(2).on_failure(move |_, error| {
                // Nobody listens any more when the test is over.
                let _ = sender.send(error.kind());
            });
        let connector = TlsConnector::builder(authority.roots()).build().unwrap();
        let mut slow = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            stream.write_all(&hello[..20]).await.unwrap();
            slow.push(stream);
        }
        let others = async {
            let mut clients = Vec::new();
            loop {
                // The deadline is theirs too: on a busy machine one may miss it, even without knowing.
                clients.extend(connector.connect_tcp("localhost", addr.port()).await);
                Timer::after(Duration::from_secs(5)).await;
            }
        };
        let _server = future::or(listener.accept(), others).await.unwrap();
        let metrics = listener.metrics();
        // Which of the two had to go first, and whether the half hello was read in time, is a matter of luck; that room was made is not.
        assert!(metrics.timed_out + metrics.evicted >= 1, "{metrics:?}");
        if metrics.timed_out > 0 {
            let next = || failures.recv_timeout(Duration::from_secs(30)).unwrap();
            while next() != io::ErrorKind::TimedOut {}
        }
    });
}

/// ring, which counts the signatures that it checks.
fn counting_provider(count: &'static AtomicUsize) -> Provider {
    use rustls_pki_types::{
        AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm as Algorithm,
    };

    #[derive(Debug)]
    struct Counts(&'static dyn Algorithm, &'static AtomicUsize);

    impl Algorithm for Counts {
        fn verify_signature(
            &self,
            key: &[u8],
            message: &[u8],
            signature: &[u8],
        ) -> Result<(), InvalidSignature> {
            self.1.fetch_add(1, Ordering::SeqCst);
            self.0.verify_signature(key, message, signature)
        }

        fn public_key_alg_id(&self) -> AlgorithmIdentifier {
            self.0.public_key_alg_id()
        }

        fn signature_alg_id(&self) -> AlgorithmIdentifier {
            self.0.signature_alg_id()
        }
    }

    let counts = |algorithms: &'static [&'static dyn Algorithm]| {
        let counting = algorithms.iter().map(|&algorithm| {
            let counting: &'static dyn Algorithm = Box::leak(Box::new(Counts(algorithm, count)));
            counting
        });
        &*Vec::leak(counting.collect())
    };
    let mut provider = rustls::crypto::ring::default_provider();
    let algorithms = &mut provider.signature_verification_algorithms;
    algorithms.all = counts(algorithms.all);
    let mapping = algorithms.mapping.iter().map(|&(scheme, all)| (scheme, counts(all)));
    algorithms.mapping = Vec::leak(mapping.collect());
    Provider::from(Arc::new(provider))
}

/// So many signatures webpki checks for one certificate, and no more (`webpki::verify_cert`, `Budget`).
const SIGNATURES_MAX: usize = 100;

#[test]
fn a_tangle_of_issuers_is_refused() {
    static SIGNATURES: AtomicUsize = AtomicUsize::new(0);
    within(async {
        let root = Authority::new();
        // Many authorities of the same name and with different keys, each issued by others like it: every path has to be tried (RUSTSEC-2023-0053).
        let name = |params: &mut CertificateParams| {
            params.distinguished_name.push(rcgen::DnType::CommonName, "one of many");
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        };
        let tangle: Vec<Authority> = (0..6).map(|_| Authority::constrained(name)).collect();
        let mut leaf = tangle[0].server();
        for one in &tangle {
            for other in &tangle {
                let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
                params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
                name(&mut params);
                let certificate = params.signed_by(one.issuer.key(), &other.issuer).unwrap();
                leaf.certificate.push_str(&certificate.pem());
            }
        }
        let provider = counting_provider(&SIGNATURES);
        let connector = TlsConnector::builder(root.roots()).provider(provider.clone());
        let connector = connector.build().unwrap();
        let acceptor = TlsAcceptor::builder(leaf.identity()).build().unwrap();
        // The client, because of their number; a server that asks clients likewise.
        let error = pair(&acceptor, &connector, "localhost").await.unwrap_err();
        assert!(error.to_string().contains("presents 36 certificates"), "{error}");
        let asking = TlsAcceptor::builder(root.server().identity()).provider(provider.clone());
        let asking = asking.ask_clients(root.roots());
        let client = TlsConnector::builder(root.roots()).identity(leaf.identity());
        let (asking, client) = (asking.build().unwrap(), client.build().unwrap());
        let error = pair(&asking, &client, "localhost").await.unwrap_err();
        assert!(error.to_string().contains("presents 36 certificates"), "{error}");
        // Nothing was even looked at.
        assert_eq!(SIGNATURES.load(Ordering::SeqCst), 0);
        // As many as are allowed are followed, and lead nowhere; or to a root of their name, which has issued none of them.
        leaf.certificate =
            leaf.certificate.split_inclusive("-----END CERTIFICATE-----").take(7).collect();
        let acceptor = TlsAcceptor::builder(leaf.identity()).build().unwrap();
        let error = pair(&acceptor, &connector, "localhost").await.unwrap_err();
        assert!(error.to_string().contains("invalid peer certificate"), "{error}");
        assert_eq!(SIGNATURES.load(Ordering::SeqCst), 0);
        let connector = TlsConnector::builder(Authority::constrained(name).roots());
        let connector = connector.provider(provider).build().unwrap();
        let error = pair(&acceptor, &connector, "localhost").await.unwrap_err();
        assert!(error.to_string().contains("invalid peer certificate"), "{error}");
        let count = SIGNATURES.load(Ordering::SeqCst);
        assert!((1..=SIGNATURES_MAX).contains(&count), "{count} signatures");
    });
}

#[test]
fn names_outside_of_constraints_are_refused() {
    within(async {
        let root = Authority::constrained(|params| {
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees: vec![GeneralSubtree::DnsName("inside.example".into())],
                excluded_subtrees: vec![GeneralSubtree::DnsName("secret.inside.example".into())],
            });
        });
        let connector = TlsConnector::builder(root.roots()).build().unwrap();
        for (names, name, is_let_in) in [
            (&["a.inside.example"][..], "a.inside.example", true),
            (&["outside.example"], "outside.example", false),
            (&["a.inside.example", "outside.example"], "a.inside.example", false),
            (&["x.secret.inside.example"], "x.secret.inside.example", false),
            (&["*.secret.inside.example"], "y.secret.inside.example", false),
            (&["*.example"], "b.example", false),
        ] {
            let acceptor = TlsAcceptor::builder(root.issue(names, |_| {}).identity());
            let result = pair(&acceptor.build().unwrap(), &connector, name).await;
            assert_eq!(result.is_ok(), is_let_in, "{names:?}");
        }
    });
}

/// A server that never lets the client's handshake end.
#[test]
fn clients_have_a_limit_too() {
    within(async {
        let connector = TlsConnector::builder(Authority::new().roots()).build().unwrap();
        for answer in [
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            &[0x15, 3, 3, 0, 2, 2, 40],
            &[0x15, 3, 3, 0, 2, 1, 0],
            &[0x16, 3, 3, 0, 4, 2, 0, 0, 0],
            &[0x16, 3, 3, 0x40, 1],
            &[],
        ] {
            let (client, server) = tcp_pair().await;
            let (mut read, mut write) = server.into_split();
            let answers = async {
                let mut hello = [0; 5];
                read.read_exact(&mut hello).await.unwrap();
                write.write_all(answer).await.unwrap();
                drop(write);
                let _ = read.read_to_end(&mut Vec::new()).await;
            };
            let (result, ()) = future::zip(connector.connect("localhost", client), answers).await;
            let error = result.map(drop).unwrap_err();
            assert!(
                matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof),
                "{answer:?}: {error}"
            );
        }
    });
}
