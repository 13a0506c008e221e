//! Goal: other people's TLS and ours understand each other, and nothing weak is agreed on (FAULTS S3).
//! Method: `openssl s_client` against our acceptor and `openssl s_server` against our connector, one option after the other.

#![cfg(any(feature = "tls-ring", feature = "tls-aws-lc"))]
// macOS calls LibreSSL openssl; it has other options.
#![cfg(not(target_vendor = "apple"))]

mod tls_support;

use std::sync::mpsc;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use smolkit_net::TcpListener;
use smolkit_net::tls::rustls::ProtocolVersion;
use smolkit_net::tls::{TlsAcceptor, TlsConnector, TlsListener};
use smolkit_runtime::{Task, spawn};
use tls_support::{Authority, Folder, Peer, within};

/// What our server says of a connection before it ends it.
fn serve(acceptor: TlsAcceptor) -> (u16, Task<()>, mpsc::Receiver<String>) {
    let (sender, failures) = mpsc::channel();
    let tcp = smolkit_runtime::block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = tcp.local_addr().unwrap().port();
    let mut listener = TlsListener::new(tcp, acceptor).on_failure(move |_, error| {
        // Nobody listens any more when the test is over.
        let _ = sender.send(error.to_string());
    });
    let task = spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            spawn(async move {
                let text = format!(
                    "served: {:?} {:?} alpn {:?} name {:?} certificates {} resumed {} key {:?}\n",
                    stream.protocol_version().unwrap(),
                    stream.cipher_suite().unwrap(),
                    stream.alpn_protocol().map(String::from_utf8_lossy),
                    stream.server_name(),
                    stream.peer_certificates().map_or(0, <[_]>::len),
                    stream.is_resumed(),
                    stream.key_exchange(),
                );
                // The client may leave whenever it likes.
                let _ = stream.write_all(text.as_bytes()).await;
                let _ = stream.close().await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            })
            .detach();
        }
    });
    (port, task, failures)
}

/// All that the client has said; what our server has said is in there.
fn ask(port: u16, arguments: &[&str]) -> (bool, String) {
    let mut peer = Peer::client(port, arguments);
    peer.hear("served:");
    peer.end()
}

#[test]
fn openssl_as_the_client() {
    let authority = Authority::new();
    let folder = Folder::new("tls-s-client");
    let ca = folder.0.join("ca.pem");
    std::fs::write(&ca, &authority.certificate).unwrap();
    let client = authority.issue(&["client.example"], |_| {}).write(&folder.0, "client");
    let (certificate, key) = (client.0.to_str().unwrap(), client.1.to_str().unwrap());
    let acceptor = TlsAcceptor::builder(authority.server().identity())
        .identity(authority.rsa_server(&["rsa.example"]).identity())
        .ask_clients(authority.roots())
        .alpn(["h2", "http/1.1"]);
    let (port, _task, _) = serve(acceptor.build().unwrap());
    let trust = ["-CAfile", ca.to_str().unwrap(), "-verify_return_error"];
    for (arguments, expected) in [
        (&["-tls1_3"][..], "TLSv1_3 TLS13_"),
        (&["-tls1_2"], "TLSv1_2 TLS_ECDHE_ECDSA_"),
        (&["-tls1_2", "-servername", "rsa.example"], "TLSv1_2 TLS_ECDHE_RSA_"),
        (&["-tls1_2", "-sigalgs", "RSA+SHA256"], "TLSv1_2 TLS_ECDHE_RSA_"),
        (&["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"], "TLS13_CHACHA20"),
        (&["-alpn", "http/1.1"], "alpn Some(\"http/1.1\")"),
        (&["-alpn", "http/1.1,h2"], "alpn Some(\"h2\")"),
        (&["-servername", "localhost"], "name Some(\"localhost\")"),
        // It sends the authority's too.
        (&["-cert", certificate, "-key", key], "certificates 2"),
        // Its own padding and pieces of every size.
        (&["-record_padding", "1000"], "served:"),
        (&["-split_send_frag", "1"], "served:"),
    ] {
        let (is_ok, said) = ask(port, &[arguments, &trust].concat());
        assert!(is_ok && said.contains(expected), "{arguments:?} is to give {expected:?}:\n{said}");
        assert!(said.contains("Verify return code: 0 (ok)"), "{arguments:?}:\n{said}");
        assert!(said.contains("Compression: NONE"), "{said}");
    }
}

#[test]
fn openssl_resumes_sessions() {
    let authority = Authority::new();
    let folder = Folder::new("tls-resume");
    let acceptor = TlsAcceptor::builder(authority.server().identity()).build().unwrap();
    let (port, _task, _) = serve(acceptor);
    for version in ["-tls1_2", "-tls1_3"] {
        let session = folder.0.join(format!("session{version}"));
        let session = session.to_str().unwrap();
        let (_, said) = ask(port, &[version, "-sess_out", session]);
        assert!(said.contains("resumed false"), "{said}");
        let (_, said) = ask(port, &[version, "-sess_in", session]);
        assert!(said.contains("resumed true"), "{said}");
    }
}

#[test]
fn nothing_weak_is_spoken() {
    let authority = Authority::new();
    let acceptor = TlsAcceptor::builder(authority.server().identity());
    let acceptor = acceptor.identity(authority.rsa_server(&["rsa.example"]).identity());
    let (port, _task, failures) = serve(acceptor.build().unwrap());
    // Level 0 lets OpenSSL offer what it would not by itself.
    let mut refused = 0;
    for arguments in [
        &["-tls1"][..],
        &["-tls1_1"],
        &["-tls1_2", "-cipher", "3DES:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "RC4:EXPORT:LOW:aNULL:eNULL:PSK:AES128-SHA:@SECLEVEL=0"],
        // Bleichenbacher's attack and its descendants (ROBOT) need the key exchange of RSA; Lucky 13 needs CBC.
        &["-tls1_2", "-cipher", "kRSA:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "DHE:@SECLEVEL=0"],
    ] {
        let weakest = ["-cipher", "ALL:@SECLEVEL=0", "-servername", "rsa.example"];
        let (is_ok, said) = Peer::client(port, &[&weakest, arguments].concat()).end();
        assert!(!is_ok && !said.contains("served:"), "{arguments:?}:\n{said}");
        // A cipher that this OpenSSL has not even heard of proves nothing.
        if !said.contains("no cipher match") {
            let told = failures.recv_timeout(std::time::Duration::from_secs(30)).unwrap();
            assert!(told.starts_with("TLS failed: peer is incompatible"), "{told}");
            let alert = ["alert handshake failure", "alert protocol version"];
            assert!(alert.iter().any(|alert| said.contains(alert)), "{arguments:?}:\n{said}");
            refused += 1;
        }
    }
    assert!(refused >= 5, "OpenSSL offered only {refused} weak things");
    // The extension that keeps strangers from renegotiating (RFC 5746).
    let (_, said) = ask(port, &["-tls1_2", "-legacy_renegotiation"]);
    assert!(said.contains("Secure Renegotiation IS supported"), "{said}");
}

/// One client of OpenSSL's, and our end of its connection, which says again what it hears.
fn echo(arguments: &[&str]) -> (Peer, Task<std::io::Result<u64>>) {
    let authority = Authority::new();
    let acceptor = TlsAcceptor::builder(authority.server().identity()).build().unwrap();
    let tcp = smolkit_runtime::block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = tcp.local_addr().unwrap().port();
    let task = spawn(async move {
        let stream = acceptor.accept(tcp.accept().await?.0).await?;
        let (read, write) = futures_lite::io::split(stream);
        futures_lite::io::copy(read, write).await
    });
    let mut peer = Peer::client(port, arguments);
    peer.say("hello\n");
    peer.hear("hello");
    (peer, task)
}

/// The client of TLS 1.2 asks for another handshake on the same connection.
#[test]
fn renegotiation_is_refused() {
    let (mut peer, task) = echo(&["-tls1_2"]);
    peer.say("R\n");
    let error = within(task).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{error}");
    let (is_ok, said) = peer.end();
    assert!(!is_ok && said.contains("no renegotiation"), "{said}");
}

/// The client changes its keys, and asks us to change ours.
#[test]
fn keys_are_updated() {
    let (mut peer, task) = echo(&["-tls1_3"]);
    for (command, text) in [("k\n", "after the first"), ("K\n", "after the second")] {
        peer.say(command);
        peer.hear("KEYUPDATE");
        peer.say(&format!("{text}\n"));
        peer.hear(text);
    }
    peer.say("Q\n");
    let (is_ok, said) = peer.end();
    assert!(is_ok, "{said}");
    within(task).unwrap();
}

#[test]
fn openssl_as_the_server() {
    let authority = Authority::new();
    let folder = Folder::new("tls-s-server");
    let ca = folder.0.join("ca.pem");
    std::fs::write(&ca, &authority.certificate).unwrap();
    let ca = ca.to_str().unwrap();
    let client = authority.issue(&["client.example"], |_| {});
    for (arguments, version) in
        [(&["-tls1_2"][..], ProtocolVersion::TLSv1_2), (&["-tls1_3"], ProtocolVersion::TLSv1_3)]
    {
        let more = ["-alpn", "http/1.1", "-CAfile", ca, "-Verify", "2", "-verify_return_error"];
        let (mut peer, port) =
            Peer::server(&authority.server(), &folder, &[arguments, &more].concat());
        let connector = TlsConnector::builder(authority.roots()).alpn(["h2", "http/1.1"]);
        let connector = connector.identity(client.identity()).build().unwrap();
        for is_second in [false, true] {
            within(async {
                let mut stream = connector.connect_tcp("localhost", port).await.unwrap();
                assert_eq!(stream.protocol_version(), Some(version));
                assert_eq!(stream.alpn_protocol(), Some(&b"http/1.1"[..]));
                assert_eq!(stream.is_resumed(), is_second);
                stream.write_all(b"ours to theirs\n").await.unwrap();
                peer.hear("ours to theirs");
                peer.say("theirs to ours\n");
                let mut text = [0; 15];
                stream.read_exact(&mut text).await.unwrap();
                assert_eq!(&text, b"theirs to ours\n");
                stream.close().await.unwrap();
                stream.read_to_end(&mut Vec::new()).await.unwrap();
            });
        }
    }
}

/// A peer that dies has not said goodbye, whatever it had said before.
#[test]
fn killed_clients_are_no_end() {
    for version in ["-tls1_2", "-tls1_3"] {
        // It has heard all that we have said: the kernel closes its connection, and does not reset it.
        let (peer, task) = echo(&[version]);
        drop(peer);
        let error = within(task).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{version}: {error}");
    }
}

#[test]
fn killed_servers_are_no_end() {
    let authority = Authority::new();
    let folder = Folder::new("tls-killed");
    for version in ["-tls1_2", "-tls1_3"] {
        let (mut peer, port) = Peer::server(&authority.server(), &folder, &[version]);
        let connector = TlsConnector::builder(authority.roots()).build().unwrap();
        within(async {
            let mut stream = connector.connect_tcp("localhost", port).await.unwrap();
            stream.write_all(b"ours to theirs\n").await.unwrap();
            peer.hear("ours to theirs");
            peer.say("theirs to ours\n");
            stream.read_exact(&mut [0; 15]).await.unwrap();
            drop(peer);
            let error = stream.read(&mut [0; 8]).await.unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{version}: {error}");
        });
    }
}

/// Each key exchange that AWS-LC has, as far as this OpenSSL has it: X25519MLKEM768 from 3.5 on.
#[test]
#[cfg(feature = "tls-aws-lc")]
fn aws_lc_and_openssl_agree() {
    use smolkit_net::tls::Provider;
    use smolkit_net::tls::rustls::NamedGroup;
    let authority = Authority::new();
    let folder = Folder::new("tls-aws-lc");
    let acceptor = TlsAcceptor::builder(authority.server().identity());
    let (port, _task, _) = serve(acceptor.provider(Provider::aws_lc()).build().unwrap());
    let connector = TlsConnector::builder(authority.roots()).provider(Provider::aws_lc());
    let connector = connector.sessions_max(0).build().unwrap();
    // Versions before 3.5 do not know the question.
    let known = tls_support::openssl(&["list", "-tls-groups"]).output().unwrap();
    let lasts = String::from_utf8_lossy(&known.stdout).contains("X25519MLKEM768");
    // In TLS 1.2 OpenSSL wants the certificate's key to be of a named group, too.
    for (version, name, group) in [
        ("-tls1_3", "X25519", NamedGroup::X25519),
        ("-tls1_2", "P-256", NamedGroup::secp256r1),
        ("-tls1_3", "P-384", NamedGroup::secp384r1),
        ("-tls1_3", "X25519MLKEM768", NamedGroup::X25519MLKEM768),
    ] {
        if name == "X25519MLKEM768" && !lasts {
            continue;
        }
        let arguments = [version, "-groups", name];
        let (is_ok, said) = ask(port, &arguments);
        assert!(
            is_ok && said.contains(&format!("key {:?}", Some(group))),
            "{arguments:?}:\n{said}"
        );
        let (mut peer, port) = Peer::server(&authority.server(), &folder, &arguments);
        within(async {
            let mut stream = connector.connect_tcp("localhost", port).await.unwrap();
            assert_eq!(stream.key_exchange(), Some(group));
            stream.write_all(b"ours to theirs\n").await.unwrap();
            peer.hear("ours to theirs");
            peer.say("theirs to ours\n");
            stream.read_exact(&mut [0; 15]).await.unwrap();
        });
    }
}

#[test]
fn old_servers_are_refused() {
    let authority = Authority::new();
    let folder = Folder::new("tls-old");
    for arguments in [
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"][..],
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "kRSA:@SECLEVEL=0"],
    ] {
        let (_peer, port) = Peer::server(&authority.server(), &folder, arguments);
        let connector = TlsConnector::builder(authority.roots()).build().unwrap();
        let error = within(connector.connect_tcp("localhost", port)).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{arguments:?}: {error}");
    }
}
