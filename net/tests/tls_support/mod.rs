//! What the TLS tests have in common: certificates, a deadline, and OpenSSL as the other end.

#![allow(dead_code)]

use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use futures_lite::future;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_RSA_SHA256,
};
use smolkit_net::TcpStream;
use smolkit_net::tls::{Identity, Roots, TlsAcceptor, TlsConnector, TlsStream};
use smolkit_runtime::{Timer, block_on};

/// Fails if `f` takes longer than 120 s.
pub(crate) fn within<T>(f: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(Duration::from_secs(120)).await;
        panic!("not finished after 120 s")
    };
    block_on(future::or(f, late))
}

/// PEM text.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Pair {
    pub(crate) fn identity(&self) -> Identity {
        Identity::from_pem(self.certificate.as_bytes(), self.key.as_bytes()).unwrap()
    }

    /// Writes `NAME.crt` and `NAME.key`.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let paths = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
        std::fs::write(&paths.0, &self.certificate).unwrap();
        std::fs::write(&paths.1, &self.key).unwrap();
        paths
    }
}

/// An authority of our own.
pub(crate) struct Authority {
    pub(crate) issuer: Issuer<'static, KeyPair>,
    pub(crate) certificate: String,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        Authority::constrained(|_| {})
    }

    pub(crate) fn constrained(change: impl FnOnce(&mut CertificateParams)) -> Authority {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "smolkit test authority");
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), certificate }
    }

    /// One that this one has issued.
    pub(crate) fn below(&self) -> Authority {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "smolkit authority in between");
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), certificate }
    }

    pub(crate) fn issue(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Pair {
        self.issue_with(KeyPair::generate().unwrap(), names, change)
    }

    fn issue_with(
        &self,
        key: KeyPair,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Pair {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }

    pub(crate) fn server(&self) -> Pair {
        self.issue(&["localhost", "127.0.0.1"], |_| {})
    }

    /// Made by OpenSSL, for ring makes no RSA keys.
    pub(crate) fn rsa_server(&self, names: &[&str]) -> Pair {
        let output = openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
            .output()
            .unwrap();
        let key = String::from_utf8(output.stdout).unwrap();
        let key = KeyPair::from_pem_and_sign_algo(&key, &PKCS_RSA_SHA256).unwrap();
        self.issue_with(key, names, |_| {})
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::pem(self.certificate.as_bytes()).unwrap()
    }
}

/// A connection to ourselves, as both ends see it.
pub(crate) async fn pair(
    acceptor: &TlsAcceptor,
    connector: &TlsConnector,
    name: &str,
) -> std::io::Result<(TlsStream<TcpStream>, TlsStream<TcpStream>)> {
    let (client, server) = tcp_pair().await;
    future::try_zip(connector.connect(name, client), acceptor.accept(server)).await
}

pub(crate) async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = smolkit_net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// A folder that is gone after the test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("smolkit-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left lies among the temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The test `test` of this program once more, in a child. Its environment has to tell it so.
pub(crate) fn child(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).stdout(Stdio::null());
    command
}

pub(crate) fn openssl(arguments: &[&str]) -> Command {
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// `openssl s_client` or `s_server`, with all that it says.
pub(crate) struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
    pub(crate) heard: String,
}

impl Peer {
    pub(crate) fn start(arguments: &[&str]) -> Peer {
        let mut child = openssl(arguments).spawn().unwrap_or_else(|error| {
            panic!(
                "these tests need the program openssl (Debian: apt-get install openssl): {error}"
            )
        });
        let (sender, lines) = mpsc::channel();
        let outputs: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for output in outputs {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut output = BufReader::new(output);
                let mut line = Vec::new();
                // What it says at the end of a line of ours may have no end of its own.
                while output.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                    if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                        return;
                    }
                    line.clear();
                }
            });
        }
        let stdin = child.stdin.take();
        Peer { child, stdin, lines, heard: String::new() }
    }

    /// A client of our own port, that says what it has agreed on.
    pub(crate) fn client(port: u16, arguments: &[&str]) -> Peer {
        let address = format!("127.0.0.1:{port}");
        let mut all = vec!["s_client", "-connect", &address];
        all.extend(arguments);
        Peer::start(&all)
    }

    /// A server, and its port.
    pub(crate) fn server(pair: &Pair, folder: &Folder, arguments: &[&str]) -> (Peer, u16) {
        let (certificate, key) = pair.write(&folder.0, "peer");
        let mut all = vec!["s_server", "-accept", "127.0.0.1:0", "-cert"];
        all.push(certificate.to_str().unwrap());
        all.extend(["-key", key.to_str().unwrap()]);
        all.extend(arguments);
        let mut peer = Peer::start(&all);
        let line = peer.hear("ACCEPT 127.0.0.1:");
        let port = line.trim().rsplit(':').next().unwrap().parse().unwrap();
        (peer, port)
    }

    /// The first line, of those not heard yet, that has `key` in it.
    pub(crate) fn hear(&mut self, key: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.heard.push_str(&line);
                    if line.contains(key) {
                        return line;
                    }
                }
                Err(error) => panic!("openssl never said {key:?} ({error}) but:\n{}", self.heard),
            }
        }
    }

    pub(crate) fn say(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// Ends its input, waits for its end, and gives all that it has said.
    pub(crate) fn end(mut self) -> (bool, String) {
        self.stdin = None;
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.heard.push_str(&line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(_) => panic!("openssl does not end; it said:\n{}", self.heard),
            }
        }
        let is_ok = self.child.wait().unwrap().success();
        (is_ok, std::mem::take(&mut self.heard))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
