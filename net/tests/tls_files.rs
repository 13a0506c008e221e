//! Goal: certificates come from files, can be exchanged under way, and whatever is wrong with them is said with the file's name.
//! Method: files written, renamed and reached through symlinks as Kubernetes does; broken ones of each kind.

#![cfg(any(feature = "tls-ring", feature = "tls-aws-lc"))]

mod tls_support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use smolkit_net::tls::{Identity, Roots, TlsAcceptor, TlsConnector, TlsError};
use smolkit_runtime::{Timer, spawn};
#[cfg(all(feature = "tls-platform-roots", target_os = "linux"))]
use tls_support::child;
use tls_support::{Authority, Folder, Pair, openssl, pair, within};

/// The certificate that the server shows now.
async fn shown(acceptor: &TlsAcceptor, connector: &TlsConnector) -> Vec<u8> {
    let (client, _server) = pair(acceptor, connector, "localhost").await.unwrap();
    client.peer_certificates().unwrap()[0].to_vec()
}

fn der(pair: &Pair) -> Vec<u8> {
    use rustls_pki_types::{CertificateDer, pem::PemObject};
    CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap().to_vec()
}

/// Connects anew each time: a resumed session would show the certificate of the first one.
fn connector(authority: &Authority) -> TlsConnector {
    TlsConnector::builder(authority.roots()).sessions_max(0).build().unwrap()
}

/// The layout of a mounted secret: names that lead through `..data` to a folder with a time in its name.
fn publish(folder: &Path, version: &str, files: &[(&str, &str)]) {
    let data = folder.join(version);
    fs::create_dir(&data).unwrap();
    for (name, text) in files {
        fs::write(data.join(name), text).unwrap();
        let link = folder.join(name);
        if !link.is_symlink() {
            symlink(Path::new("..data").join(name), link).unwrap();
        }
    }
    symlink(version, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

fn files(pair: &Pair) -> [(&str, &str); 2] {
    [("tls.crt", &pair.certificate), ("tls.key", &pair.key)]
}

#[test]
fn a_mounted_secret_is_exchanged() {
    within(async {
        let authority = Authority::new();
        let folder = Folder::new("tls-kubernetes");
        let (first, second) = (authority.server(), authority.server());
        publish(&folder.0, "..2026_01", &files(&first));
        let identity =
            Identity::from_pem_files(folder.0.join("tls.crt"), folder.0.join("tls.key")).unwrap();
        let acceptor = TlsAcceptor::builder(identity).build().unwrap();
        let connector = connector(&authority);
        assert_eq!(shown(&acceptor, &connector).await, der(&first));
        let (sender, reports) = mpsc::channel();
        let watch = acceptor.watch(Duration::from_millis(5), move |report| {
            // Nobody listens any more when the test is over.
            let _ = sender.send(report.map_err(|error| error.to_string()));
        });
        let watch = spawn(watch);
        publish(&folder.0, "..2026_02", &files(&second));
        while shown(&acceptor, &connector).await != der(&second) {
            Timer::after(Duration::from_millis(5)).await;
        }
        assert_eq!(reports.recv_timeout(Duration::from_secs(30)).unwrap(), Ok(()));
        watch.cancel().await;
        assert!(reports.try_recv().is_err(), "it was replaced more than once");
    });
}

#[test]
fn a_failed_reload_changes_nothing() {
    within(async {
        let authority = Authority::new();
        let folder = Folder::new("tls-reload");
        let (first, second) = (authority.server(), authority.server());
        let (certificate, key) = first.write(&folder.0, "server");
        let acceptor = Identity::from_pem_files(&certificate, &key).unwrap();
        let acceptor = TlsAcceptor::builder(acceptor).build().unwrap();
        let connector = connector(&authority);
        assert!(!acceptor.reload().await.unwrap());

        // As a tool leaves it that has written the certificate, and not yet the key.
        fs::write(&certificate, &second.certificate).unwrap();
        let error = acceptor.reload().await.unwrap_err();
        assert!(matches!(error, TlsError::KeyMismatch { .. }), "{error}");
        assert!(error.to_string().contains(key.to_str().unwrap()), "{error}");
        assert_eq!(shown(&acceptor, &connector).await, der(&first));
        assert_eq!(acceptor.certificates()[0].reload_error, Some(error.to_string()));

        fs::write(&certificate, "").unwrap();
        let error = acceptor.reload().await.unwrap_err();
        assert!(matches!(error, TlsError::NoCertificate { .. }), "{error}");
        fs::remove_file(&certificate).unwrap();
        let error = acceptor.reload().await.unwrap_err();
        assert!(matches!(error, TlsError::File { .. }), "{error}");
        assert_eq!(shown(&acceptor, &connector).await, der(&first));

        second.write(&folder.0, "server");
        assert!(acceptor.reload().await.unwrap());
        assert_eq!(shown(&acceptor, &connector).await, der(&second));
        assert_eq!(acceptor.certificates()[0].reload_error, None);
    });
}

/// Goal: an identity that stays broken does not hide that another one was replaced.
#[test]
fn one_fails_and_another_is_replaced() {
    within(async {
        let authority = Authority::new();
        let folder = Folder::new("tls-reload-both");
        let good = authority.issue(&["good.example"], |_| {}).write(&folder.0, "good");
        let bad = authority.issue(&["bad.example"], |_| {}).write(&folder.0, "bad");
        let good = Identity::from_pem_files(good.0, good.1).unwrap();
        let acceptor = TlsAcceptor::builder(good);
        let acceptor = acceptor.identity(Identity::from_pem_files(&bad.0, bad.1).unwrap());
        let acceptor = acceptor.build().unwrap();
        let (sender, reports) = mpsc::channel();
        let watch = spawn(acceptor.watch(Duration::from_millis(5), move |report| {
            // Nobody listens any more when the test is over.
            let _ = sender.send(report.map_err(|error| error.to_string()));
        }));
        let next = || reports.recv_timeout(Duration::from_secs(30)).unwrap();
        fs::write(&bad.0, "").unwrap();
        assert!(next().unwrap_err().contains("no certificate"));
        let second = authority.issue(&["good.example"], |_| {});
        second.write(&folder.0, "good");
        // The two files are not written at once.
        while next().is_err() {}
        let connector = connector(&authority);
        let (client, _server) = pair(&acceptor, &connector, "good.example").await.unwrap();
        assert_eq!(client.peer_certificates().unwrap()[0].to_vec(), der(&second));
        watch.cancel().await;
    });
}

#[test]
fn clients_reload_too() {
    within(async {
        let authority = Authority::new();
        let folder = Folder::new("tls-client-reload");
        let (first, second) = (authority.server(), authority.server());
        let (certificate, key) = first.write(&folder.0, "client");
        let acceptor = TlsAcceptor::builder(authority.server().identity());
        let acceptor = acceptor.require_clients(authority.roots()).build().unwrap();
        let identity = Identity::from_pem_files(certificate, key).unwrap();
        let connector = TlsConnector::builder(authority.roots()).identity(identity);
        let connector = connector.build().unwrap();
        // Made before: clones have one identity.
        let clone = connector.clone();
        for (expected, is_new) in [(&first, true), (&second, false)] {
            for connector in [&connector, &clone] {
                let pair = pair(&acceptor, connector, "localhost").await;
                let (mut client, mut server) = pair.unwrap();
                // The tickets come with it: sessions are resumed, but not those of the former identity.
                server.write_all(b"x").await.unwrap();
                client.read_exact(&mut [0]).await.unwrap();
                assert_eq!(server.peer_certificates().unwrap()[0].to_vec(), der(expected));
                assert_eq!(client.is_resumed(), std::ptr::eq(connector, &clone));
            }
            second.write(&folder.0, "client");
            assert_eq!(connector.reload().await.unwrap(), is_new);
        }
    });
}

/// Goal: roots and identity of a client are exchanged together, and sessions that the former roots have vouched for are not resumed.
/// Method: two authorities, each with a server that admits its own clients only.
#[test]
fn a_mounted_authority_is_exchanged() {
    within(async {
        let authorities = [Authority::new(), Authority::new()];
        let clients = authorities.each_ref().map(|one| one.issue(&["client.example"], |_| {}));
        let secret = |index: usize| {
            let [certificate, key] = files(&clients[index]);
            [certificate, key, ("ca.crt", authorities[index].certificate.as_str())]
        };
        let acceptors = authorities.each_ref().map(|one| {
            let acceptor = TlsAcceptor::builder(one.server().identity());
            acceptor.require_clients(one.roots()).build().unwrap()
        });
        let folder = Folder::new("tls-authority");
        let path = |name: &str| folder.0.join(name);
        publish(&folder.0, "..2026_01", &secret(0));
        let identity = Identity::from_pem_files(path("tls.crt"), path("tls.key")).unwrap();
        let connector = TlsConnector::builder(Roots::pem_file(path("ca.crt")).unwrap());
        let connector = connector.identity(identity).build().unwrap();
        // Made before: clones have the same roots.
        let clone = connector.clone();
        // Whether the session was resumed.
        let talk = async |acceptor: &TlsAcceptor, connector: &TlsConnector| {
            let (mut client, mut server) = pair(acceptor, connector, "localhost").await?;
            // The tickets come with it.
            server.write_all(b"x").await?;
            client.read_exact(&mut [0]).await?;
            std::io::Result::Ok(client.is_resumed())
        };
        for is_resumed in [false, true] {
            assert_eq!(talk(&acceptors[0], &connector).await.unwrap(), is_resumed);
        }
        let error = talk(&acceptors[1], &connector).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{error}");

        let (sender, reports) = mpsc::channel();
        let watch = spawn(connector.watch(Duration::from_millis(5), move |report| {
            // Nobody listens any more when the test is over.
            let _ = sender.send(report.map_err(|error| error.to_string()));
        }));
        let next = || reports.recv_timeout(Duration::from_secs(30)).unwrap();
        publish(&folder.0, "..2026_02", &secret(1));
        assert_eq!(next(), Ok(()));
        // The exchange may have come between the looks at the two.
        while talk(&acceptors[1], &clone).await.is_err() {
            Timer::after(Duration::from_millis(5)).await;
        }
        let error = talk(&acceptors[0], &clone).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{error}");

        // Broken roots change nothing, whatever else is replaced.
        let mut broken = secret(1);
        broken[2].1 = "";
        publish(&folder.0, "..2026_03", &broken);
        let message = loop {
            if let Err(message) = next() {
                break message;
            }
        };
        assert!(message.contains("ca.crt has no certificate"), "{message}");
        assert!(talk(&acceptors[1], &connector).await.is_ok());
        watch.cancel().await;
        let error = connector.reload().await.unwrap_err();
        assert!(matches!(error, TlsError::NoCertificate { .. }), "{error}");
        publish(&folder.0, "..2026_04", &secret(0));
        assert!(connector.reload().await.unwrap());
        assert!(!connector.reload().await.unwrap());
        assert!(!talk(&acceptors[0], &connector).await.unwrap());
    });
}

#[test]
fn the_end_is_known() {
    let authority = Authority::new();
    // Times before 2050 and after it are written in two different ways (RFC 5280 §4.1.2.5).
    for (year, seconds) in [(2040, 2_208_988_800), (2060, 2_840_140_800)] {
        let made = authority.issue(&["One.Example", "*.two.example"], |params| {
            params.not_before = rcgen::date_time_ymd(2020, 2, 29);
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
        });
        let acceptor = TlsAcceptor::builder(made.identity()).build().unwrap();
        let [status] = &acceptor.certificates()[..] else { panic!("one certificate") };
        assert_eq!(status.not_after, SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let begin = SystemTime::UNIX_EPOCH + Duration::from_secs(1_582_934_400);
        assert_eq!(
            (status.not_before, &status.names[..]),
            (begin, &["one.example".to_owned(), "*.two.example".to_owned()][..],)
        );
    }
}

#[test]
fn what_is_wrong_is_said() {
    let authority = Authority::new();
    let folder = Folder::new("tls-wrong");
    let good = authority.server();
    let (certificate, key) = good.write(&folder.0, "good");
    let other = authority.server().write(&folder.0, "other");
    let file = |name: &str, text: &str| {
        let path = folder.0.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let arguments = ["pkey", "-in", key.to_str().unwrap(), "-aes-256-cbc", "-passout", "pass:x"];
    let encrypted = openssl(&arguments).output().unwrap();
    assert!(encrypted.status.success());
    let encrypted = file("encrypted.key", &String::from_utf8(encrypted.stdout).unwrap());
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let old = file("old.key", old);
    let empty = file("empty.pem", "");
    let text = file("text.pem", "this is no PEM\n");
    let torn = file("torn.crt", &good.certificate[..good.certificate.len() / 2]);
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let garbage = file("garbage.crt", garbage);
    let bad_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let bad_key = file("bad.key", bad_key);
    let missing = folder.0.join("missing.pem");
    let both = file("both.pem", &format!("{}{}", good.key, good.certificate));
    let build = |certificate: &Path, key: &Path| {
        let identity = Identity::from_pem_files(certificate, key)?;
        TlsAcceptor::builder(identity).build().map(drop)
    };
    build(&certificate, &key).unwrap();
    build(&both, &both).unwrap();
    for (certificate, key, culprit, words) in [
        (&missing, &key, &missing, "No such file"),
        (&certificate, &missing, &missing, "No such file"),
        (&empty, &key, &empty, "has no certificate"),
        (&text, &key, &text, "has no certificate"),
        (&key, &key, &key, "has no certificate"),
        (&torn, &key, &torn, "is not good PEM"),
        (&garbage, &key, &garbage, "is not good PEM"),
        (&folder.0, &key, &folder.0, "should be a file"),
        (&certificate, &empty, &empty, "has no private key"),
        (&certificate, &certificate, &certificate, "has no private key"),
        (&certificate, &encrypted, &encrypted, "protected by a password"),
        (&certificate, &old, &old, "protected by a password"),
        (&certificate, &bad_key, &bad_key, "cannot be used"),
        (&certificate, &other.1, &other.1, "does not belong to the first certificate"),
    ] {
        let error = build(certificate, key).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains(words) && message.contains(culprit.to_str().unwrap()),
            "{message}"
        );
        let kind = std::io::Error::from(error).kind();
        assert_eq!(kind == std::io::ErrorKind::NotFound, words == "No such file", "{message}");
    }
    for (path, words) in
        [(&missing, "No such file"), (&empty, "has no certificate"), (&garbage, "cannot be used")]
    {
        let message = Roots::pem_file(path).unwrap_err().to_string();
        assert!(message.contains(words) && message.contains(path.to_str().unwrap()), "{message}");
    }
    let message = TlsConnector::builder(Roots::none()).build().unwrap_err().to_string();
    assert!(message.contains("nobody is trusted"), "{message}");
}

#[test]
#[cfg(all(feature = "tls-platform-roots", target_os = "linux"))]
fn the_systems_roots_are_asked() {
    within(async {
        let authority = Authority::new();
        let acceptor = TlsAcceptor::builder(authority.server().identity()).build().unwrap();
        // Nobody of the system's has issued it; together with the authority's own it is good.
        let connector = TlsConnector::builder(Roots::platform().and(authority.roots()));
        let connector = match connector.build() {
            Ok(connector) => connector,
            Err(error) => panic!("this machine has no roots (Debian: ca-certificates): {error}"),
        };
        pair(&acceptor, &connector, "localhost").await.unwrap();
        if let Ok(connector) = TlsConnector::builder(Roots::platform()).build() {
            let error = pair(&acceptor, &connector, "localhost").await.unwrap_err();
            assert!(error.to_string().contains("nobody among the trusted roots"), "{error}");
        }
    });
}

/// Goal: whom the system trusts is let in, and nobody else. Method: children for which the system's roots are in a file or a folder of the test's.
#[test]
#[cfg(all(feature = "tls-platform-roots", target_os = "linux"))]
fn the_systems_roots_are_trusted() {
    const ROLE: &str = "SMOLKIT_TLS_ROOTS";
    if let Ok(expected) = std::env::var(ROLE) {
        let identity = Identity::from_pem_files("server.crt", "server.key").unwrap();
        let acceptor = TlsAcceptor::builder(identity).build().unwrap();
        let outcome = match TlsConnector::builder(Roots::platform()).build() {
            Ok(connector) => match within(pair(&acceptor, &connector, "localhost")) {
                Ok(_) => "trusted".to_owned(),
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        assert!(outcome.contains(&expected), "{outcome}");
        return;
    }
    let authority = Authority::new();
    let stranger = Authority::constrained(|params| {
        params.distinguished_name.push(rcgen::DnType::CommonName, "another authority");
    });
    let folder = Folder::new("tls-system");
    authority.server().write(&folder.0, "server");
    fs::write(folder.0.join("ours.pem"), &authority.certificate).unwrap();
    fs::write(folder.0.join("theirs.pem"), &stranger.certificate).unwrap();
    let hashed = folder.0.join("hashed");
    fs::create_dir(&hashed).unwrap();
    fs::write(hashed.join("ours.pem"), &authority.certificate).unwrap();
    let rehash = openssl(&["rehash", hashed.to_str().unwrap()]).output().unwrap();
    assert!(rehash.status.success(), "{}", String::from_utf8_lossy(&rehash.stderr));
    for (variable, expected) in [
        (Some(("SSL_CERT_FILE", "ours.pem")), "trusted"),
        (Some(("SSL_CERT_DIR", "hashed")), "trusted"),
        (Some(("SSL_CERT_FILE", "theirs.pem")), "nobody among the trusted roots"),
        // The machine's own roots; if it has none, that is the error.
        (None, "roots"),
    ] {
        let mut child = child("the_systems_roots_are_trusted");
        child.env(ROLE, expected).env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
        child.envs(variable.map(|(name, value)| (name, folder.0.join(value))));
        let status = child.current_dir(&folder.0).status().unwrap();
        assert!(status.success(), "{variable:?} is to give {expected:?}: {status}");
    }
}

#[test]
#[cfg(feature = "tls-webpki-roots")]
fn mozillas_roots_are_there() {
    within(async {
        let authority = Authority::new();
        let acceptor = TlsAcceptor::builder(authority.server().identity()).build().unwrap();
        let connector = TlsConnector::builder(Roots::webpki()).build().unwrap();
        let error = pair(&acceptor, &connector, "localhost").await.unwrap_err();
        assert!(error.to_string().contains("nobody among the trusted roots"), "{error}");
        let connector = TlsConnector::builder(Roots::webpki().and(authority.roots()));
        pair(&acceptor, &connector.build().unwrap(), "localhost").await.unwrap();
    });
}
