//! Goal: over TLS nobody but the right server is asked, and nothing goes out in plain text (FAULTS D2, D7, S1).
//! Method: unbound, and servers of the test's own with the wrong certificate, that close early, answer late, in another order, to others, or not at all.

#![cfg(all(feature = "dns", feature = "tls-ring"))]

mod dns;
mod refused;
mod tls_support;

use std::cell::Cell;
use std::future::Future;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt, future};
use smolkit_net::dns::{Resolver, ResolverBuilder};
use smolkit_net::tls::{TlsAcceptor, TlsConnector, TlsListener, TlsStream};
use smolkit_net::{TcpListener, TcpStream};
use smolkit_runtime::{Task, Timer, spawn};

use self::dns::{Asked, Server, address, both_families, within};
use self::refused::Refused;
use self::tls_support::{Authority, Pair};

const ONE: [u8; 4] = [192, 0, 2, 1];
const TWO: [u8; 4] = [192, 0, 2, 2];
const NAME: &str = "dns.example.org";

type Stream = TlsStream<TcpStream>;

/// A server that does with each connection what the test says. Its port takes UDP too, where nothing may come.
struct Secure {
    addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    plain: UdpSocket,
    _task: Task<()>,
}

impl Secure {
    fn start<F>(pair: &Pair, serve: impl Fn(Stream) -> F + Send + 'static) -> Secure
    where
        F: Future<Output = Option<()>> + Send + 'static,
    {
        let (tcp, plain) = within(async {
            loop {
                let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
                if let Ok(plain) = UdpSocket::bind(tcp.local_addr().unwrap()) {
                    return (tcp, plain);
                }
            }
        });
        plain.set_nonblocking(true).unwrap();
        let addr = tcp.local_addr().unwrap();
        let acceptor = TlsAcceptor::builder(pair.identity()).build().unwrap();
        let connections = Arc::<AtomicUsize>::default();
        let count = connections.clone();
        let mut listener = TlsListener::new(tcp, acceptor);
        let _task = spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                spawn(serve(stream)).detach();
            }
        });
        Secure { addr, connections, plain, _task }
    }

    fn resolver(&self, connector: &TlsConnector) -> ResolverBuilder {
        over_tls([self.addr], connector)
    }

    fn count(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn assert_nothing_was_plain(&self, resolver: &Resolver) {
        let error = self.plain.recv(&mut [0; 512]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let metrics = resolver.metrics();
        assert_eq!((metrics.sent, metrics.sent_over_tcp), (0, 0));
    }
}

fn over_tls(
    servers: impl IntoIterator<Item = SocketAddr>,
    connector: &TlsConnector,
) -> ResolverBuilder {
    Resolver::builder()
        .tls_servers(servers.into_iter().map(|addr| (addr, NAME)), connector)
        .resolv_conf(None)
        .hosts_file(None)
        .timeout(Duration::from_secs(20))
        .deadline(Duration::from_secs(60))
}

/// An authority, a certificate for the server, and a client that trusts it.
fn trust() -> (Authority, Pair, TlsConnector) {
    let authority = Authority::new();
    let pair = authority.issue(&[NAME], |_| {});
    let connector = TlsConnector::builder(authority.roots()).build().unwrap();
    (authority, pair, connector)
}

/// The next question; `None` if the client has gone.
async fn question(stream: &mut Stream) -> Option<Asked> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).await.ok()?;
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut bytes).await.ok()?;
    Asked::read(&bytes, true, stream.transport().peer_addr().ok()?)
}

async fn answer(stream: &mut Stream, bytes: &[u8]) -> Option<()> {
    let message = [&(bytes.len() as u16).to_be_bytes(), bytes].concat();
    stream.write_all(&message).await.ok()?;
    stream.flush().await.ok()
}

/// Answers everything, each with its own address.
async fn serve_all(mut stream: Stream) -> Option<()> {
    loop {
        let asked = question(&mut stream).await?;
        answer(&mut stream, &address(&asked, 0, own(&asked.plain_name()))).await?;
    }
}

/// The address of `n12.example` is 10.0.0.12.
fn own(host: &str) -> [u8; 4] {
    let number = host[1..].split('.').next().and_then(|number| number.parse().ok());
    [10, 0, 0, number.unwrap_or(1)]
}

/// Looks up so many names at once.
async fn ask_many(resolver: &Resolver, count: u8) {
    let ask = |index| {
        let resolver = resolver.clone();
        spawn(async move { resolver.a(&format!("n{index}.example")).await })
    };
    for (index, task) in (0..count).map(ask).collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), [Ipv4Addr::new(10, 0, 0, index as u8)]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn unbound() {
    let (_authority, pair, connector) = trust();
    let directory = dns::directory::Directory::new("tls");
    let (certificate, key) = pair.write(&directory.0, "unbound");
    let port = Cell::new(0);
    let mut peer = dns::peers::Peer::unbound(None, || {
        port.set(dns::peers::free_port().port());
        format!(
            " interface: 127.0.0.1@{0}\n tls-port: {0}\n tls-service-pem: {certificate:?}\n tls-service-key: {key:?}\n",
            port.get(),
        )
    });
    let addr = SocketAddr::from(([127, 0, 0, 1], port.get()));
    assert!(peer.is_at(addr));
    let resolver = over_tls([addr], &connector).cache_size(0).build().unwrap();
    within(async {
        assert_eq!(both_families(&resolver, "chain1.example").await.len(), 2);
        assert_eq!(resolver.a("many.example").await.unwrap().len(), 100);
        assert_eq!(resolver.txt("long.example").await.unwrap().len(), 20);
        assert_eq!(resolver.mx("mail.example").await.unwrap()[0].exchange, "one.example");
        let error = resolver.a("missing.example").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        for _ in 0..100 {
            assert_eq!(resolver.a("one.example").await.unwrap(), [Ipv4Addr::from(ONE)]);
        }
    });
    let metrics = resolver.metrics();
    assert_eq!((metrics.tls_connections, metrics.failures), (1, 0));
    assert_eq!((metrics.sent, metrics.sent_over_tcp), (0, 0));
    // The same server as somebody else: refused.
    let resolver = Resolver::builder()
        .tls_servers([(addr, "other.example.org")], &connector)
        .resolv_conf(None)
        .timeout(Duration::from_secs(20))
        .deadline(Duration::from_secs(60))
        .build()
        .unwrap();
    let error = within(resolver.a("one.example")).unwrap_err();
    assert!(error.to_string().contains("not valid for name"), "{error}");
    drop(peer);
}

#[test]
fn one_connection_for_all() {
    let (_authority, pair, connector) = trust();
    let server = Secure::start(&pair, serve_all);
    let resolver = server.resolver(&connector).build().unwrap();
    within(async {
        for _ in 0..10 {
            ask_many(&resolver, 50).await;
        }
    });
    assert_eq!((server.count(), resolver.metrics().sent_over_tls), (1, 500));
    server.assert_nothing_was_plain(&resolver);
}

#[test]
fn replies_in_another_order_and_to_others() {
    let (_authority, pair, connector) = trust();
    let server = Secure::start(&pair, |mut stream| async move {
        loop {
            // All of them come before the first one is answered.
            let mut all = Vec::new();
            while all.len() < 50 {
                all.push(question(&mut stream).await?);
            }
            for asked in all.iter().rev() {
                let forged = asked.reply().own(dns::A, 60, &TWO);
                answer(&mut stream, &forged.clone().question_letter(b'x').bytes).await?;
                answer(&mut stream, &forged.clone().question_class(3).bytes).await?;
                answer(&mut stream, &forged.bytes[..1]).await?;
                let unused = (0..).find(|id| all.iter().all(|asked| asked.id != *id))?;
                answer(&mut stream, &forged.id(unused).bytes).await?;
                answer(&mut stream, &address(asked, 0, own(&asked.plain_name()))).await?;
                // The same number again, which is nobody's by now.
                answer(&mut stream, &asked.reply().own(dns::A, 60, &TWO).bytes).await?;
            }
        }
    });
    let resolver = server.resolver(&connector).build().unwrap();
    within(async {
        for _ in 0..3 {
            ask_many(&resolver, 50).await;
        }
    });
    assert_eq!((server.count(), resolver.metrics().failures), (1, 0));
}

#[test]
fn questions_are_equally_long() {
    let (_authority, pair, connector) = trust();
    let server = Secure::start(&pair, |mut stream| async move {
        loop {
            let asked = question(&mut stream).await?;
            let reply = if asked.bytes.len() % 128 == 0 {
                address(&asked, 0, ONE)
            } else {
                asked.reply().code(5).bytes
            };
            answer(&mut stream, &reply).await?;
        }
    });
    let resolver = server.resolver(&connector).build().unwrap();
    within(async {
        for length in 1..=63 {
            resolver.a(&format!("{}.example", "x".repeat(length))).await.unwrap();
        }
    });
    // When no answer has come, too.
    let lengths = Arc::<Mutex<Vec<usize>>>::default();
    let seen = lengths.clone();
    let server = Secure::start(&pair, move |mut stream| {
        let seen = seen.clone();
        async move {
            loop {
                let asked = question(&mut stream).await?;
                let count = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(asked.bytes.len());
                    seen.len()
                };
                if count > 1 {
                    answer(&mut stream, &address(&asked, 0, ONE)).await?;
                }
            }
        }
    });
    let resolver = server.resolver(&connector).timeout(Duration::from_secs(2)).attempts(30);
    let resolver = resolver.build().unwrap();
    within(resolver.a("www.example.org")).unwrap();
    let lengths = lengths.lock().unwrap();
    assert!(lengths.len() > 1 && lengths.iter().all(|length| length % 128 == 0), "{lengths:?}");
}

#[test]
fn the_wrong_server_is_told_nothing() {
    let (authority, pair, connector) = trust();
    let (_other, stranger, _) = trust();
    let namesake = authority.issue(&["other.example.org"], |_| {});
    for (wrong, why) in [(&stranger, "somebody else"), (&namesake, "not valid for name")] {
        let server = Secure::start(wrong, |_| async { panic!("a connection to the wrong server") });
        let resolver = server.resolver(&connector).build().unwrap();
        let error = within(resolver.lookup_ip("www.example.org")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains(why), "{error}");
        server.assert_nothing_was_plain(&resolver);
        // The right one is asked then; one without TLS too, if the program says so.
        let right = Secure::start(&pair, serve_all);
        let both = over_tls([server.addr, right.addr], &connector).build().unwrap();
        assert_eq!(within(both.a("n7.example")).unwrap(), [Ipv4Addr::new(10, 0, 0, 7)]);
        let plain = Server::with_address(TWO);
        let asked_for = server.resolver(&connector).servers([plain.addr()]).build().unwrap();
        assert_eq!(within(asked_for.a("n7.example")).unwrap(), [Ipv4Addr::from(TWO)]);
        let first = over_tls([right.addr], &connector).servers([plain.addr()]).rotate(true);
        let first = first.build().unwrap();
        let before = plain.count();
        within(ask_many(&first, 20));
        assert_eq!(plain.count(), before, "plain text although TLS would do");
    }
}

#[test]
fn servers_that_do_not_speak_tls() {
    let (_authority, _pair, connector) = trust();
    // One that answers in plain text.
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = plain.local_addr().unwrap();
    let answering = thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n").unwrap();
        // Until it has seen that.
        drop(io::copy(&mut stream, &mut io::sink()));
    });
    let resolver = over_tls([addr], &connector).attempts(1).build().unwrap();
    let error = within(resolver.a("www.example.org")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("(TLS)"), "{error}");
    answering.join().unwrap();
    // One that is not there.
    let refused = Refused::new();
    let resolver = over_tls([refused.addr], &connector).build().unwrap();
    let error = within(resolver.a("www.example.org")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    // One that says nothing at all.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let resolver = over_tls([mute.local_addr().unwrap()], &connector);
    let resolver = resolver.timeout(Duration::from_millis(50)).build().unwrap();
    let error = within(resolver.a("www.example.org")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    // Names that are none.
    let nameless = Resolver::builder().tls_servers([(addr, "no name")], &connector);
    assert_eq!(nameless.build().unwrap_err().kind(), io::ErrorKind::InvalidInput);
    let nobody = Resolver::builder().tls_servers([] as [(_, &str); 0], &connector);
    assert_eq!(nobody.build().unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn a_connection_that_has_ended_is_replaced() {
    let (_authority, pair, connector) = trust();
    // One question for each connection; with and without a goodbye.
    for says_goodbye in [true, false] {
        let server = Secure::start(&pair, move |mut stream| async move {
            let asked = question(&mut stream).await?;
            answer(&mut stream, &address(&asked, 0, own(&asked.plain_name()))).await?;
            if says_goodbye {
                stream.close().await.ok()?;
                while question(&mut stream).await.is_some() {}
            }
            Some(())
        });
        let resolver = server.resolver(&connector).build().unwrap();
        within(async {
            for _ in 0..5 {
                resolver.a("n3.example").await.unwrap();
            }
            assert_eq!(server.count(), 5);
            if says_goodbye {
                // Of those on one connection one is answered, the others come again.
                ask_many(&resolver, 10).await;
                assert_eq!(server.count(), 15);
            }
        });
        assert_eq!(resolver.metrics().failures, 0);
        server.assert_nothing_was_plain(&resolver);
    }
    // One that closes before it says anything has failed.
    let server = Secure::start(&pair, |mut stream| async move {
        question(&mut stream).await?;
        stream.close().await.ok()
    });
    let resolver = server.resolver(&connector).build().unwrap();
    let error = within(resolver.a("www.example.org")).unwrap_err();
    assert_eq!((error.kind(), server.count()), (io::ErrorKind::UnexpectedEof, 2));
}

#[test]
fn a_connection_that_has_gone_silent_is_left() {
    let (_authority, pair, connector) = trust();
    // It answers twice, then nothing more comes on this connection.
    let server = Secure::start(&pair, |mut stream| async move {
        for _ in 0..2 {
            let asked = question(&mut stream).await?;
            answer(&mut stream, &address(&asked, 0, ONE)).await?;
        }
        while question(&mut stream).await.is_some() {}
        Some(())
    });
    let resolver = server.resolver(&connector).timeout(Duration::from_secs(3)).attempts(8);
    let resolver = resolver.build().unwrap();
    within(async {
        for _ in 0..4 {
            assert_eq!(resolver.a("www.example.org").await.unwrap(), [Ipv4Addr::from(ONE)]);
        }
    });
    // More if the machine has much else to do.
    assert!(server.count() >= 2 && resolver.metrics().failures >= 1);
}

/// Answers everything but questions for `lost.example`.
async fn serve_most(mut stream: Stream) -> Option<()> {
    loop {
        let asked = question(&mut stream).await?;
        if asked.plain_name() != "lost.example" {
            Timer::after(Duration::from_millis(1)).await;
            answer(&mut stream, &address(&asked, 0, own(&asked.plain_name()))).await?;
        }
    }
}

#[test]
fn who_does_not_look_holds_up_nobody() {
    let (_authority, pair, connector) = trust();
    let [arrived, allowed] = [(); 2].map(|()| Arc::<AtomicUsize>::default());
    // Here the question beside that for `lost.example` is answered, when both have come and the test allows it.
    let server = Secure::start(&pair, {
        let counts = (arrived.clone(), allowed.clone());
        move |mut stream| {
            let (arrived, allowed) = counts.clone();
            async move {
                loop {
                    let mut asked = question(&mut stream).await?;
                    if asked.plain_name() != "n1.example" {
                        let other = question(&mut stream).await?;
                        if asked.plain_name() == "lost.example" {
                            asked = other;
                        }
                        let count = arrived.fetch_add(1, Ordering::SeqCst) + 1;
                        while allowed.load(Ordering::SeqCst) < count {
                            Timer::after(Duration::from_millis(1)).await;
                        }
                    }
                    answer(&mut stream, &address(&asked, 0, own(&asked.plain_name()))).await?;
                }
            }
        }
    });
    let resolver = server.resolver(&connector).build().unwrap();
    within(async {
        // From here on there is a connection.
        resolver.a("n1.example").await.unwrap();
        for count in 1..=20 {
            let first = spawn({
                let resolver = resolver.clone();
                async move { resolver.a("n9.example").await }
            });
            let mut lost = pin!(resolver.a("lost.example"));
            while arrived.load(Ordering::SeqCst) < count {
                assert!(future::poll_once(&mut lost).await.is_none());
                future::yield_now().await;
            }
            allowed.store(count, Ordering::SeqCst);
            // Whatever wakes this task, it does not look after its own question any more.
            assert_eq!(first.await.unwrap(), [Ipv4Addr::new(10, 0, 0, 9)]);
        }
    });
    assert_eq!(resolver.metrics().failures, 0);
}

#[test]
fn a_reply_that_is_cut_off_is_none() {
    let (_authority, pair, connector) = trust();
    let server = Secure::start(&pair, |mut stream| async move {
        loop {
            let asked = question(&mut stream).await?;
            let reply = asked.reply().truncated();
            let is_empty = asked.plain_name() == "empty.example";
            let reply = if is_empty { reply } else { reply.own(dns::A, 60, &ONE) };
            answer(&mut stream, &reply.bytes).await?;
        }
    });
    let resolver = server.resolver(&connector).build().unwrap();
    within(async {
        for host in ["empty.example", "half.example", "half.example"] {
            let error = resolver.a(host).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(error.to_string().contains("cut off even over TLS"), "{error}");
        }
    });
}

/// A handshake and an answer take longer than a question may, but not each of them.
#[test]
fn a_slow_line_is_kept() {
    let (_authority, pair, connector) = trust();
    let server = Secure::start(&pair, |mut stream| async move {
        loop {
            let asked = question(&mut stream).await?;
            // Nearly all of the time; of the first question a part has gone for the handshake.
            Timer::after(Duration::from_millis(2_000)).await;
            answer(&mut stream, &address(&asked, 0, ONE)).await?;
        }
    });
    let resolver = server.resolver(&connector).timeout(Duration::from_millis(2_000)).attempts(2);
    let resolver = resolver.build().unwrap();
    // The connection stays when the first question is given up.
    let _ = within(resolver.a("www.example.org"));
    assert_eq!(resolver.metrics().tls_connections, 1);
}

/// Goal: a panic of the program's own verifier is the look-up's, and ends neither the process nor the next look-up.
#[test]
fn a_verifier_that_panics() {
    #[derive(Debug)]
    struct Panics;

    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
    use smolkit_net::tls::rustls;

    impl ServerCertVerifier for Panics {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            panic!("on purpose")
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            unreachable!("the certificate comes first")
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            unreachable!("the certificate comes first")
        }

        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            vec![rustls::SignatureScheme::ECDSA_NISTP256_SHA256]
        }
    }

    let (_authority, pair, _) = trust();
    let server = Secure::start(&pair, serve_all);
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .dangerous()
    .with_custom_certificate_verifier(Arc::new(Panics))
    .with_no_client_auth();
    let resolver = server.resolver(&TlsConnector::from(Arc::new(config))).build().unwrap();
    within(async {
        for _ in 0..2 {
            let asked = resolver.clone();
            let panicked = AssertUnwindSafe(async move { asked.a("n1.example").await });
            assert!(panicked.catch_unwind().await.is_err());
        }
    });
}

#[test]
fn who_does_not_look_holds_up_no_connection() {
    let (_authority, pair, connector) = trust();
    let server = Secure::start(&pair, serve_most);
    let resolver = server.resolver(&connector).build().unwrap();
    within(async {
        // It has begun to connect, and does not go on.
        let mut lost = pin!(resolver.a("lost.example"));
        assert!(future::poll_once(&mut lost).await.is_none());
        ask_many(&resolver, 20).await;
    });
    assert_eq!((server.count(), resolver.metrics().failures), (1, 0));
}

/// Nobody drives the connection but those who wait.
#[test]
fn who_leaves_hands_the_connection_on() {
    let (_authority, pair, connector) = trust();
    let server = Secure::start(&pair, serve_most);
    let resolver = server.resolver(&connector).build().unwrap();
    within(async {
        resolver.a("n1.example").await.unwrap();
        for round in 0..50 {
            let before = resolver.metrics().sent_over_tls;
            let first = spawn({
                let resolver = resolver.clone();
                async move { resolver.a("lost.example").await }
            });
            while resolver.metrics().sent_over_tls == before {
                future::yield_now().await;
            }
            let second = spawn({
                let resolver = resolver.clone();
                async move { resolver.a("n9.example").await }
            });
            while resolver.metrics().sent_over_tls == before + 1 {
                future::yield_now().await;
            }
            // Before, while or after the reply comes.
            Timer::after(Duration::from_micros(round * 50)).await;
            assert!(first.cancel().await.is_none());
            assert_eq!(second.await.unwrap(), [Ipv4Addr::new(10, 0, 0, 9)]);
        }
    });
    assert_eq!((server.count(), resolver.metrics().failures), (1, 0));
}
