//! Goal: what both ends agree on, who is let in and who is not, and how a connection ends (FAULTS S4, S5).
//! Method: our connector against our acceptor, with certificates of an authority of the test's own.

#![cfg(any(feature = "tls-ring", feature = "tls-aws-lc"))]

mod tls_support;

use std::io;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa};
use smolkit_net::tls::rustls::{AlertDescription, Error, ProtocolVersion};
use smolkit_net::tls::{Identity, Roots, TlsAcceptor, TlsConnector, TlsError, TlsFailure};
use smolkit_net::unix::UnixStream;
use tls_support::{Authority, Folder, child, pair, tcp_pair, within};

fn failure(error: &io::Error) -> &Error {
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    error.get_ref().unwrap().downcast_ref::<TlsFailure>().unwrap().rustls()
}

#[test]
fn megabytes_go_both_ways() {
    within(async {
        let authority = Authority::new();
        let acceptor = TlsAcceptor::builder(authority.server().identity()).build().unwrap();
        let connector = TlsConnector::builder(authority.roots()).build().unwrap();
        // Any transport: here one that is no TCP.
        let (one, other) = UnixStream::pair().unwrap();
        let ends = future::try_zip(connector.connect("localhost", one), acceptor.accept(other));
        let (client, server) = ends.await.unwrap();
        let all: Vec<u8> = (0..3_000_000_u32).map(|i| (i * 7 / 3) as u8).collect();
        // Each end reads and writes at the same time, in two tasks.
        let mut tasks = Vec::new();
        let mut start = |stream| {
            let (mut read, mut write) = futures_lite::io::split(stream);
            let sent = all.clone();
            tasks.push(smolkit_runtime::spawn(async move {
                for chunk in sent.chunks(10_007) {
                    write.write_all(chunk).await.unwrap();
                }
                write.close().await.unwrap();
                Vec::new()
            }));
            tasks.push(smolkit_runtime::spawn(async move {
                let mut received = Vec::new();
                read.read_to_end(&mut received).await.unwrap();
                received
            }));
        };
        start(client);
        start(server);
        for (index, task) in tasks.into_iter().enumerate() {
            let received = task.await;
            assert!(index % 2 == 0 || received == all);
        }
    });
}

#[test]
fn one_end_may_close_first() {
    within(async {
        let authority = Authority::new();
        let acceptor = TlsAcceptor::builder(authority.server().identity()).build().unwrap();
        let connector = TlsConnector::builder(authority.roots()).build().unwrap();
        let (mut client, mut server) = pair(&acceptor, &connector, "localhost").await.unwrap();
        client.write_all(b"question").await.unwrap();
        client.close().await.unwrap();
        let error = client.write_all(b"more").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        let mut text = String::new();
        server.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "question");
        // The end stays the end.
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
        server.write_all(b"answer").await.unwrap();
        server.close().await.unwrap();
        text.clear();
        client.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "answer");
    });
}

#[test]
fn an_end_without_goodbye_is_an_error() {
    within(async {
        let authority = Authority::new();
        let acceptor = TlsAcceptor::builder(authority.server().identity()).build().unwrap();
        for (only_tls13, who_leaves) in
            [(false, "server"), (true, "server"), (false, "client"), (true, "client")]
        {
            let connector = TlsConnector::builder(authority.roots());
            let connector =
                if only_tls13 { connector.only_tls13() } else { connector }.build().unwrap();
            let (client, server) = pair(&acceptor, &connector, "localhost").await.unwrap();
            let (mut leaves, mut reads) =
                if who_leaves == "server" { (server, client) } else { (client, server) };
            leaves.write_all(b"half of it").await.unwrap();
            leaves.flush().await.unwrap();
            leaves.transport().shutdown(std::net::Shutdown::Write).unwrap();
            let mut text = Vec::new();
            let error = reads.read_to_end(&mut text).await.unwrap_err();
            assert_eq!(
                (error.kind(), &text[..]),
                (io::ErrorKind::UnexpectedEof, &b"half of it"[..]),
                "{who_leaves}"
            );
            // And so it stays.
            let error = reads.read(&mut [0; 8]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    });
}

#[test]
fn protocols_are_agreed_on() {
    within(async {
        let authority = Authority::new();
        let acceptor = TlsAcceptor::builder(authority.server().identity());
        let acceptor = acceptor.alpn(["h2", "http/1.1"]).build().unwrap();
        let connector = |protocols: &[&str]| {
            TlsConnector::builder(authority.roots()).alpn(protocols).build().unwrap()
        };
        // The server's order counts.
        for (offered, expected) in [
            (&["http/1.1", "h2"][..], Some(&b"h2"[..])),
            (&["http/1.1"], Some(b"http/1.1")),
            (&[], None),
        ] {
            let (client, server) = pair(&acceptor, &connector(offered), "localhost").await.unwrap();
            assert_eq!((client.alpn_protocol(), server.alpn_protocol()), (expected, expected));
            assert_eq!(server.server_name(), Some("localhost"));
            assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
            let mut keys = [[0; 32]; 2];
            client.export_keying_material(&mut keys[0], b"label", None).unwrap();
            server.export_keying_material(&mut keys[1], b"label", None).unwrap();
            assert!(keys[0] == keys[1] && keys[0] != [0; 32]);
        }
        let error = pair(&acceptor, &connector(&["spdy/1"]), "localhost").await.unwrap_err();
        assert!(matches!(
            failure(&error),
            Error::NoApplicationProtocol
                | Error::AlertReceived(AlertDescription::NoApplicationProtocol)
        ));
    });
}

#[test]
fn names_choose_the_certificate() {
    within(async {
        let authority = Authority::new();
        let first = authority.server();
        let others = ["a.example", "b.example", "*.wild.example"];
        let mut builder = TlsAcceptor::builder(first.identity());
        for name in others {
            builder = builder.identity(authority.issue(&[name], |_| {}).identity());
        }
        let rsa = authority.rsa_server(&["a.example"]);
        let acceptor = builder.identity(rsa.identity()).build().unwrap();
        let connector = TlsConnector::builder(authority.roots()).build().unwrap();
        // Each of these would fail with another certificate.
        for name in ["localhost", "127.0.0.1", "a.example", "B.Example", "x.wild.example"] {
            pair(&acceptor, &connector, name).await.unwrap();
        }
        // Nobody has it, so the first one is shown, and the client refuses.
        for name in ["c.example", "x.y.wild.example"] {
            let error = pair(&acceptor, &connector, name).await.unwrap_err();
            assert!(matches!(failure(&error), Error::InvalidCertificate(_)), "{error}");
        }
        let status = acceptor.certificates();
        assert_eq!(status[3].names, ["*.wild.example"]);
    });
}

#[test]
fn clients_prove_who_they_are() {
    within(async {
        let (authority, stranger) = (Authority::new(), Authority::new());
        let client = authority.issue(&["client-7.example"], |_| {});
        let acceptor = TlsAcceptor::builder(authority.server().identity());
        let acceptor = acceptor.require_clients(authority.roots()).build().unwrap();
        let anonymous = TlsConnector::builder(authority.roots()).build().unwrap();
        let known = TlsConnector::builder(authority.roots()).identity(client.identity());
        let known = known.build().unwrap();

        let (_client, server) = pair(&acceptor, &known, "localhost").await.unwrap();
        let [certificate] = server.peer_certificates().unwrap() else { panic!("one certificate") };
        use rustls_pki_types::{CertificateDer, pem::PemObject};
        let expected = CertificateDer::from_pem_slice(client.certificate.as_bytes()).unwrap();
        assert_eq!(*certificate, expected);

        let error = pair(&acceptor, &anonymous, "localhost").await.unwrap_err();
        assert_eq!(*failure(&error), Error::NoCertificatesPresented);
        // A client of TLS 1.3 has finished its handshake before the server says no: it hears of it when it reads.
        let (tcp, server) = tcp_pair().await;
        let refused = async {
            let mut stream = anonymous.connect("localhost", tcp).await?;
            stream.read(&mut [0; 8]).await
        };
        let (error, _) = future::zip(refused, acceptor.accept(server)).await;
        let error = error.unwrap_err();
        assert_eq!(*failure(&error), Error::AlertReceived(AlertDescription::CertificateRequired));
        assert!(error.to_string().contains("give the connector an identity"), "{error}");

        let false_one = stranger.issue(&["client-7.example"], |_| {});
        let false_one = TlsConnector::builder(authority.roots()).identity(false_one.identity());
        let error = pair(&acceptor, &false_one.build().unwrap(), "localhost").await.unwrap_err();
        assert!(matches!(failure(&error), Error::InvalidCertificate(_)), "{error}");

        let acceptor = TlsAcceptor::builder(authority.server().identity());
        let acceptor = acceptor.ask_clients(authority.roots()).build().unwrap();
        let (_client, server) = pair(&acceptor, &anonymous, "localhost").await.unwrap();
        assert!(server.peer_certificates().is_none());
        let (_client, server) = pair(&acceptor, &known, "localhost").await.unwrap();
        assert!(server.peer_certificates().is_some());
    });
}

#[test]
fn sessions_are_resumed() {
    within(async {
        let authority = Authority::new();
        let builder = || TlsAcceptor::builder(authority.server().identity());
        for (acceptor, expected) in [
            (builder(), true),
            (builder().sessions_max(8), true),
            (builder().sessions_max(0), false),
        ] {
            let acceptor = acceptor.build().unwrap();
            let connector = TlsConnector::builder(authority.roots()).build().unwrap();
            let mut resumed = Vec::new();
            for _ in 0..2 {
                let (mut client, mut server) =
                    pair(&acceptor, &connector, "localhost").await.unwrap();
                // Tickets come with the first bytes.
                server.write_all(b"x").await.unwrap();
                client.read_exact(&mut [0]).await.unwrap();
                assert_eq!(client.is_resumed(), server.is_resumed());
                resumed.push(server.is_resumed());
            }
            assert_eq!(resumed, [false, expected]);
        }
    });
}

/// The server has nothing to say, and waits: its tickets leave all the same.
#[test]
fn tickets_do_not_wait_for_an_answer() {
    within(async {
        let authority = Authority::new();
        let acceptor = TlsAcceptor::builder(authority.server().identity()).build().unwrap();
        let connector = TlsConnector::builder(authority.roots()).build().unwrap();
        let (mut client, mut server) = pair(&acceptor, &connector, "localhost").await.unwrap();
        let waits = async {
            server.read(&mut [0; 8]).await.unwrap();
        };
        let comes = async {
            let mut byte = [0; 1];
            while client.transport().peek(&mut byte).await.unwrap() == 0 {}
        };
        future::or(waits, comes).await;
        client.close().await.unwrap();
    });
}

#[test]
fn clients_refuse_what_they_should() {
    within(async {
        let (authority, stranger) = (Authority::new(), Authority::new());
        let connector = TlsConnector::builder(authority.roots()).build().unwrap();
        let long_ago = rcgen::date_time_ymd(2001, 1, 1)..rcgen::date_time_ymd(2002, 1, 1);
        let far_off = rcgen::date_time_ymd(2998, 1, 1)..rcgen::date_time_ymd(2999, 1, 1);
        let cases = [
            ("wrong host", authority.issue(&["other.example"], |_| {})),
            ("unknown issuer", stranger.server()),
            ("self-signed", {
                let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
                tls_support::Pair {
                    certificate: made.cert.pem(),
                    key: made.signing_key.serialize_pem(),
                }
            }),
            (
                "expired",
                authority.issue(&["localhost"], |params| {
                    (params.not_before, params.not_after) = (long_ago.start, long_ago.end);
                }),
            ),
            (
                "not yet valid",
                authority.issue(&["localhost"], |params| {
                    (params.not_before, params.not_after) = (far_off.start, far_off.end);
                }),
            ),
            (
                "not for servers",
                authority.issue(&["localhost"], |params| {
                    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
                }),
            ),
            (
                "an authority's own",
                authority.issue(&["localhost"], |params| {
                    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                }),
            ),
        ];
        for (what, certificate) in cases {
            let acceptor = TlsAcceptor::builder(certificate.identity()).build().unwrap();
            let (client, server) = tcp_pair().await;
            let (refused, told) =
                future::zip(connector.connect("localhost", client), acceptor.accept(server)).await;
            let error = refused.map(drop).expect_err(what);
            assert!(matches!(failure(&error), Error::InvalidCertificate(_)), "{what}: {error}");
            // The alert says it to the server.
            assert!(matches!(failure(&told.unwrap_err()), Error::AlertReceived(_)), "{what}");
            let anyone = TlsConnector::builder(Roots::none()).danger_insecure_accept_any_server();
            pair(&acceptor, &anyone.build().unwrap(), "localhost").await.expect(what);
        }
    });
}

#[test]
fn bad_names_are_refused() {
    within(async {
        let connector = TlsConnector::builder(Authority::new().roots()).build().unwrap();
        for name in ["", "localhost:443", "https://localhost", "a b"] {
            let (client, _server) = tcp_pair().await;
            let error = connector.connect(name, client).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name}");
        }
    });
}

#[test]
fn handshakes_have_a_deadline() {
    within(async {
        let authority = Authority::new();
        let timeout = Duration::from_millis(20);
        let acceptor = TlsAcceptor::builder(authority.server().identity());
        let acceptor = acceptor.handshake_timeout(timeout).build().unwrap();
        let connector = TlsConnector::builder(authority.roots());
        let connector = connector.handshake_timeout(timeout).build().unwrap();
        let (client, server) = tcp_pair().await;
        // Both wait for somebody who says nothing.
        let error = acceptor.accept(server).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(client);
        let (client, _server) = tcp_pair().await;
        let error = connector.connect("localhost", client).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().contains("20ms"), "{error}");
    });
}

#[test]
fn a_handshake_may_have_no_deadline() {
    within(async {
        let authority = Authority::new();
        let acceptor = TlsAcceptor::builder(authority.server().identity());
        let acceptor = acceptor.handshake_timeout(Duration::MAX).build().unwrap();
        let connector = TlsConnector::builder(authority.roots());
        let connector = connector.handshake_timeout(Duration::MAX).build().unwrap();
        let (mut client, mut server) = pair(&acceptor, &connector, "localhost").await.unwrap();
        client.write_all(b"in time").await.unwrap();
        client.close().await.unwrap();
        let mut text = String::new();
        server.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "in time");
    });
}

#[test]
fn identities_come_as_der_too() {
    use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    within(async {
        let authority = Authority::new();
        let der = |pair: tls_support::Pair| {
            let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
            (certificate, PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap())
        };
        let (certificate, key) = der(authority.server());
        let (_, foreign_key) = der(authority.server());
        let build = |chain, key: &PrivateKeyDer<'static>| {
            TlsAcceptor::builder(Identity::from_der(chain, key.clone_key())).build()
        };
        let acceptor = build(vec![certificate.clone()], &key).unwrap();
        let connector = TlsConnector::builder(authority.roots()).build().unwrap();
        let (client, _server) = pair(&acceptor, &connector, "localhost").await.unwrap();
        assert_eq!(client.peer_certificates().unwrap(), std::slice::from_ref(&certificate));
        assert_eq!(acceptor.certificates()[0].names, ["localhost"]);
        // There is no file to read again.
        assert!(!acceptor.reload().await.unwrap());

        let error = build(Vec::new(), &key).unwrap_err();
        assert!(matches!(error, TlsError::NoCertificate { .. }), "{error}");
        let error = build(vec![certificate.clone()], &foreign_key).unwrap_err();
        assert!(matches!(error, TlsError::KeyMismatch { .. }), "{error}");
        let error = build(vec![certificate[..40].to_vec().into()], &key).unwrap_err();
        assert!(matches!(error, TlsError::Pem { .. }), "{error}");
    });
}

/// One certificate in between, and room for none or for one, at either end.
#[test]
fn chains_are_as_long_as_is_allowed() {
    within(async {
        let root = Authority::new();
        let between = root.below();
        let mut made = between.server();
        made.certificate.push_str(&between.certificate);
        for (issuers_max, is_let_in) in [(0, false), (1, true)] {
            let of_server = async {
                let acceptor = TlsAcceptor::builder(made.identity()).build().unwrap();
                let connector = TlsConnector::builder(root.roots()).issuers_max(issuers_max);
                pair(&acceptor, &connector.build().unwrap(), "localhost").await
            };
            let of_client = async {
                let acceptor = TlsAcceptor::builder(root.server().identity());
                let acceptor = acceptor.require_clients(root.roots()).issuers_max(issuers_max);
                let connector = TlsConnector::builder(root.roots()).identity(made.identity());
                let (acceptor, connector) = (acceptor.build().unwrap(), connector.build().unwrap());
                pair(&acceptor, &connector, "localhost").await
            };
            for result in [of_server.await, of_client.await] {
                match result {
                    Ok(_) => assert!(is_let_in),
                    Err(error) => {
                        assert!(!is_let_in, "{error}");
                        assert!(error.to_string().contains("0 are the limit"), "{error}");
                    }
                }
            }
        }
    });
}

/// Keys are written for who asks for it in the program and names a file outside; otherwise nowhere. In children, for the variable is that of a whole process.
#[test]
fn keys_are_logged_on_demand_only() {
    const ROLE: &str = "SMOLKIT_TLS_LOGS_KEYS";
    if let Ok(who) = std::env::var(ROLE) {
        within(async {
            let authority = Authority::new();
            let mut acceptor = TlsAcceptor::builder(authority.server().identity());
            let mut connector = TlsConnector::builder(authority.roots());
            if who == "server" {
                acceptor = acceptor.danger_insecure_log_keys_to_sslkeylogfile();
            }
            if who == "client" {
                connector = connector.danger_insecure_log_keys_to_sslkeylogfile();
            }
            let (acceptor, connector) = (acceptor.build().unwrap(), connector.build().unwrap());
            pair(&acceptor, &connector, "localhost").await.unwrap();
        });
        return;
    }
    let folder = Folder::new("tls-key-log");
    let file = folder.0.join("keys.log");
    for (who, names_file) in
        [("client", true), ("server", true), ("nobody", true), ("client", false), ("server", false)]
    {
        let mut child = child("keys_are_logged_on_demand_only");
        child.env(ROLE, who).env_remove("SSLKEYLOGFILE").current_dir(&folder.0);
        if names_file {
            child.env("SSLKEYLOGFILE", &file);
        }
        let status = child.status().unwrap();
        assert!(status.success(), "{who}: {status}");
        if names_file && who != "nobody" {
            // Label, the client's random number, secret.
            let text = std::fs::read_to_string(&file).unwrap();
            let lines: Vec<Vec<&str>> =
                text.lines().map(|line| line.split(' ').collect()).collect();
            let of_client: Vec<_> =
                lines.iter().filter(|line| line[0] == "CLIENT_TRAFFIC_SECRET_0").collect();
            assert_eq!(of_client.len(), 1, "{text}");
            assert_eq!((of_client[0].len(), of_client[0][1].len()), (3, 64), "{text}");
            std::fs::remove_file(&file).unwrap();
        }
        assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 0, "{who} {names_file}");
    }
}

/// Nobody has to name AWS-LC where it is alone.
#[test]
#[cfg(not(feature = "tls-ring"))]
fn without_ring_aws_lc_is_the_default() {
    use smolkit_net::tls::rustls::NamedGroup;
    within(async {
        let authority = Authority::new();
        let acceptor = TlsAcceptor::builder(authority.server().identity()).build().unwrap();
        let connector = TlsConnector::builder(authority.roots()).build().unwrap();
        let (client, server) = pair(&acceptor, &connector, "localhost").await.unwrap();
        for end in [client, server] {
            assert_eq!(end.key_exchange(), Some(NamedGroup::X25519MLKEM768));
        }
    });
}
