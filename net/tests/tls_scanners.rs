//! Goal: who looks for weaknesses finds none, and leaves nothing behind (FAULTS S1, S3).
//! Method: testssl.sh against our acceptor, with all of its checks of protocols, kinds of ciphers and known vulnerabilities. The certificate is one of
//! RSA: what can be wrong with a server of that kind includes what can be wrong with one of an elliptic curve.

#![cfg(feature = "tls-ring")]
// Once is enough; the poller makes no difference.
#![cfg(all(target_os = "linux", not(smolkit_portable)))]

mod tls_support;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use smolkit_net::tls::{Identity, TlsAcceptor, TlsConnector, TlsListener};
use smolkit_net::{TcpListener, TcpStream};
use smolkit_runtime::{Task, Timer, block_on, spawn};
use tls_support::{Authority, Folder, within};

/// Counts what is alive.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Alive {
        count.fetch_add(1, Ordering::SeqCst);
        Alive(count.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Server {
    port: u16,
    alive: Arc<AtomicUsize>,
    served: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
    task: Task<()>,
}

/// Answers each line with a page, as far as the client listens.
fn serve(identity: Identity) -> Server {
    let [alive, served, refused] = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
    let tcp = block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = tcp.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::builder(identity).build().unwrap();
    let mut listener = TlsListener::new(tcp, acceptor).on_failure({
        let refused = refused.clone();
        move |_, _| {
            refused.fetch_add(1, Ordering::SeqCst);
        }
    });
    let task = spawn({
        let (alive, served) = (alive.clone(), served.clone());
        async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                served.fetch_add(1, Ordering::SeqCst);
                let alive = Alive::new(&alive);
                spawn(async move {
                    let _alive = alive;
                    let answer = async {
                        let request = stream.read(&mut [0; 4096]).await?;
                        if request > 0 {
                            let page = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
                            stream.write_all(page).await?;
                        }
                        stream.close().await
                    };
                    // A scanner breaks off wherever it likes.
                    let _: std::io::Result<()> = answer.await;
                })
                .detach();
            }
        }
    });
    Server { port, alive, served, refused, task }
}

/// What testssl.sh found: severity and finding, by check.
fn scan(port: u16) -> BTreeMap<String, (String, String)> {
    let folder = Folder::new("scanners");
    let report = folder.0.join("report.csv");
    let scanner = Command::new("testssl")
        .args(["--quiet", "--color", "0", "--warnings", "off", "--nodns", "none"])
        .args(["--openssl-timeout", "20", "--connect-timeout", "20"])
        .args(["--protocols", "--std", "--fs", "--vulnerable", "--csvfile"])
        .arg(&report)
        .arg(format!("127.0.0.1:{port}"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output();
    let output = scanner.expect("testssl has to be installed (Debian: testssl.sh)");
    let text = String::from_utf8_lossy(&output.stdout);
    let report = std::fs::read_to_string(&report).unwrap_or_else(|error| {
        panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr))
    });
    // "id","fqdn/ip","port","severity","finding","cve","cwe"
    let rows = report.lines().skip(1).map(|line| {
        let fields: Vec<&str> = line.trim_matches('"').split("\",\"").collect();
        (fields[0].to_owned(), (fields[3].to_owned(), fields[4].to_owned()))
    });
    rows.collect()
}

/// Each has to be checked, and to have this outcome. Some have a second name since version 3.2.
const EXPECTED: &[(&str, &[&str])] = &[
    ("not offered", &["SSLv2", "SSLv3", "TLS1", "TLS1_1"]),
    ("offered", &["TLS1_2", "PFS|FS", "cipherlist_STRONG|cipherlist_STRONG_FS"]),
    ("offered with final", &["TLS1_3"]),
    ("not offered", &["cipherlist_NULL", "cipherlist_aNULL", "cipherlist_EXPORT"]),
    (
        "not offered",
        &["cipherlist_LOW", "cipherlist_3DES_IDEA", "cipherlist_AVERAGE|cipherlist_OBSOLETED"],
    ),
    ("not vulnerable", &["heartbleed", "CCS", "ticketbleed", "ROBOT", "secure_client_renego"]),
    ("not vulnerable", &["CRIME_TLS", "BREACH", "POODLE_SSL", "SWEET32", "FREAK", "DROWN"]),
    ("not vulnerable", &["LOGJAM", "BEAST", "LUCKY13", "RC4"]),
    ("supported", &["secure_renego"]),
    ("no protocol below TLS 1.2", &["fallback_SCSV"]),
];

#[test]
fn testssl() {
    let authority = Authority::new();
    let server = serve(authority.rsa_server(&["localhost", "127.0.0.1"]).identity());
    let found = scan(server.port);
    for (outcome, checks) in EXPECTED {
        for &check in *checks {
            let finding = check.split('|').find_map(|name| found.get(name));
            let (_, finding) = finding.unwrap_or_else(|| panic!("{check}: {found:#?}"));
            assert!(finding.starts_with(outcome), "{check}: {finding}");
        }
    }
    let is_bad =
        |severity: &str| ["LOW", "MEDIUM", "HIGH", "CRITICAL", "FATAL"].contains(&severity);
    let bad: Vec<_> = found.iter().filter(|(_, (severity, _))| is_bad(severity)).collect();
    assert!(bad.is_empty(), "{bad:#?}");

    // What it tried has come here, has ended, and has left room for others.
    let counts = [&server.served, &server.refused].map(|count| count.load(Ordering::SeqCst));
    assert!(counts.iter().all(|&count| count > 10), "served and refused: {counts:?}");
    within(async {
        while server.alive.load(Ordering::SeqCst) > 0 {
            Timer::after(Duration::from_millis(10)).await;
        }
        let connector = TlsConnector::builder(authority.roots()).build().unwrap();
        let tcp = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
        let mut stream = connector.connect("localhost", tcp).await.unwrap();
        stream.write_all(b"GET /").await.unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).await.unwrap();
        assert!(page.ends_with("hi"), "{page}");
        server.task.cancel().await;
    });
}
