//! TLS for clients.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{
    ClientConnection, ClientSessionMemoryCache, Resumption, WebPkiServerVerifier,
};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, Connection};
use rustls_pki_types::ServerName;
use smolkit_runtime::unblock;

use super::danger::AcceptAnyone;
use super::keys::{self, CertificateStatus, Keys, Reloaded};
use super::{Identity, Provider, Roots, TlsError, TlsStream, bounded, handshake, versions};
use crate::{TcpConnector, TcpStream};

/// So many servers' sessions are kept to be resumed. rustls's default.
const SESSIONS_MAX: usize = 256;

/// Speaks TLS as a client. Clones share roots, certificates, and the sessions that can be resumed.
///
/// # Limits
///
/// | what | default | set by |
/// |---|---|---|
/// | a handshake | 10 s | [`handshake_timeout`](TlsConnectorBuilder::handshake_timeout) |
/// | servers whose sessions are kept | 256 | [`sessions_max`](TlsConnectorBuilder::sessions_max) |
/// | certificates that a server may present beside its own | 6 | [`issuers_max`](TlsConnectorBuilder::issuers_max) |
///
/// # Examples
///
/// ```
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use smolkit_net::tls::{Roots, TlsConnector};
/// # use smolkit_net::TcpListener;
/// # use smolkit_net::tls::{Identity, TlsAcceptor, TlsListener};
/// # use smolkit_runtime as smolkit;
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// # let (certificate, key) = (certificate.as_bytes(), key.as_bytes());
///
/// let connector = TlsConnector::builder(Roots::pem(certificate)?).alpn(["http/1.1"]).build()?;
/// smolkit::block_on(async {
/// #   let acceptor = TlsAcceptor::builder(Identity::from_pem(certificate, key)?).build()?;
/// #   let mut server = TlsListener::new(TcpListener::bind("127.0.0.1:0").await?, acceptor);
/// #   let port = server.tcp().local_addr()?.port();
/// #   let _server = smolkit::spawn(async move {
/// #       let (mut stream, _) = server.accept().await?;
/// #       stream.read_exact(&mut [0; 35]).await?;
/// #       stream.write_all(b"HTTP/1.0 204 No Content\r\n\r\n").await?;
/// #       stream.close().await
/// #   });
///     let mut stream = connector.connect_tcp("localhost", port).await?;
///     stream.write_all(b"GET / HTTP/1.0\r\nhost: localhost\r\n\r\n").await?;
///     let mut answer = String::new();
///     stream.read_to_string(&mut answer).await?;
///     assert!(answer.starts_with("HTTP/1.0 204"));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct TlsConnector {
    config: Arc<RwLock<Arc<ClientConfig>>>,
    keys: Option<Arc<Keys>>,
    /// `None` with settings of rustls's own.
    trust: Option<Arc<Mutex<Trust>>>,
    sessions_max: usize,
    handshake_timeout: Duration,
}

impl TlsConnector {
    /// One that trusts servers which these have issued certificates for.
    pub fn builder(roots: Roots) -> TlsConnectorBuilder {
        TlsConnectorBuilder {
            roots,
            provider: Provider::default(),
            identities: Vec::new(),
            alpn: Vec::new(),
            handshake_timeout: handshake::TIMEOUT,
            sessions_max: SESSIONS_MAX,
            issuers_max: bounded::ISSUERS_MAX,
            only_tls13: false,
            accepts_anyone: false,
            logs_keys: false,
        }
    }

    /// Does the handshake with the server at the other end of `transport`, which has to prove that it is `server`: a DNS name or an IP address.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the transport.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if `server` is neither a name nor an address; `TimedOut` after the handshake's deadline; `InvalidData` with a
    /// [`TlsFailure`](super::TlsFailure) inside if the server is not trusted or does not speak TLS; `UnexpectedEof` if it hangs up; those of the transport.
    /// A server that does not like our certificate may say so only when its answer is read.
    pub async fn connect<S>(&self, server: &str, transport: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Ok(name) = ServerName::try_from(server) else {
            let message = format!(
                "TLS to {server:?}: neither a DNS name nor an IP address (no port, no scheme)"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        };
        let conn = ClientConnection::new(self.config(), name.to_owned());
        let conn = Connection::Client(conn.map_err(super::failure::of_session)?);
        handshake::run(conn, transport, self.handshake_timeout, |_| {}).await
    }

    /// Connects to a host with the defaults of a [`TcpConnector`] and `TCP_NODELAY`, and does the handshake. For a deadline of the whole, or other
    /// options, give [`connect`](TlsConnector::connect) a transport of your own.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends all attempts, or drops the transport.
    ///
    /// # Errors
    ///
    /// Those of [`TcpConnector::connect`] and [`connect`](TlsConnector::connect).
    pub async fn connect_tcp(&self, host: &str, port: u16) -> io::Result<TlsStream<TcpStream>> {
        let tcp = TcpConnector::new().configure(|socket| socket.set_nodelay(true));
        let transport = tcp.connect((host, port)).await?;
        self.connect(host, transport).await
    }

    /// Reads the files of its roots ([`Roots::pem_file`]) and identities again. New connections use what they have now, and no session of a former identity,
    /// or with a server that the former roots have vouched for, is resumed; connections that are there go on. Whether anything was replaced.
    ///
    /// The system's roots are read again only when a file of other roots has changed.
    ///
    /// # Cancel safety
    ///
    /// When it is dropped the files may still be read, and taken over, by the thread that is at it.
    ///
    /// # Errors
    ///
    /// What is wrong with which file. Those roots or that identity stay as they were; others are replaced all the same.
    ///
    /// # Panics
    ///
    /// After [`blocking::shutdown`](smolkit_runtime::blocking::shutdown), unless it was made of rustls's own settings: no thread is there to read files.
    pub async fn reload(&self) -> Result<bool, TlsError> {
        self.reload_if(true).await.into_result()
    }

    async fn reload_if(&self, always: bool) -> Reloaded {
        let Some(trust) = self.trust.clone() else { return Reloaded::default() };
        let connector = self.clone();
        unblock(move || {
            // One at a time: files are read meanwhile, so nobody else may take it.
            let mut trust = trust.lock().unwrap_or_else(PoisonError::into_inner);
            let keys = connector.keys.as_ref();
            let of_keys = keys.map_or_else(Reloaded::default, |keys| keys.reload(always));
            let (of_roots, verifier) = trust.reload(always);
            if of_keys.has_changed || of_roots.has_changed {
                connector.begin_anew(verifier);
            }
            of_keys.and(of_roots)
        })
        .await
    }

    /// Looks at the files of its roots and identities every so often, for ever, and reads them again when they have changed, as [`reload`](TlsConnector::reload) does;
    /// `report` hears of each replacement (`Ok`) and of each failure.
    ///
    /// A file may be written anew, renamed, or reached through a symlink that is exchanged, as in Kubernetes. Looking costs a `stat` call for each file.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the watch. What is being read then may still be taken over, without a report.
    ///
    /// # Panics
    ///
    /// As [`reload`](TlsConnector::reload).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use smolkit_net::tls::{Roots, TlsConnector};
    /// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    /// # let path = std::env::temp_dir().join(format!("smolkit-watch-{}.pem", std::process::id()));
    /// # std::fs::write(&path, made.cert.pem())?;
    ///
    /// let connector = TlsConnector::builder(Roots::pem_file(&path)?).build()?;
    /// let watch = connector.watch(Duration::from_secs(60), |result| match result {
    ///     Ok(()) => println!("roots or certificates are replaced"),
    ///     Err(error) => eprintln!("{error}"),
    /// });
    /// smolkit_runtime::spawn(watch).detach();
    /// # std::fs::remove_file(path)?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn watch(
        &self,
        every: Duration,
        report: impl FnMut(Result<(), TlsError>) + Send + 'static,
    ) -> impl Future<Output = Infallible> + Send + 'static {
        let connector = self.clone();
        async move { keys::watch(every, || connector.reload_if(false), report).await }
    }

    fn config(&self) -> Arc<ClientConfig> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A resumed session is that of the identity it was begun with: it must not be found any more. Handshakes under way, which may have that identity still, put
    /// theirs where nobody looks. What another verifier has let in rustls does not resume anyway.
    fn begin_anew(&self, verifier: Option<Arc<dyn ServerCertVerifier>>) {
        let mut config = ClientConfig::clone(&self.config());
        config.resumption = resumption(self.sessions_max);
        if let Some(verifier) = verifier {
            config.dangerous().set_certificate_verifier(verifier);
        }
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// Its own certificates, with their ends.
    pub fn certificates(&self) -> Vec<CertificateStatus> {
        self.keys.as_ref().map_or_else(Vec::new, |keys| keys.status())
    }
}

fn resumption(sessions_max: usize) -> Resumption {
    match sessions_max {
        0 => Resumption::disabled(),
        max => Resumption::store(Arc::new(ClientSessionMemoryCache::new(max))),
    }
}

/// With settings of rustls's own, and a handshake of at most 10 s.
impl From<Arc<ClientConfig>> for TlsConnector {
    fn from(config: Arc<ClientConfig>) -> TlsConnector {
        let config = Arc::new(RwLock::new(config));
        TlsConnector {
            config,
            keys: None,
            trust: None,
            sessions_max: 0,
            handshake_timeout: handshake::TIMEOUT,
        }
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector")
            .field("certificates", &self.certificates())
            .field("handshake_timeout", &self.handshake_timeout)
            .finish_non_exhaustive()
    }
}

/// What a [`TlsConnector`] is made of. What is not set is the default of its [table](TlsConnector#limits).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use smolkit_net::tls::{Identity, Roots, TlsConnector};
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// # let (certificate, key) = (certificate.as_bytes(), key.as_bytes());
///
/// let connector = TlsConnector::builder(Roots::pem(certificate)?)
///     .identity(Identity::from_pem(certificate, key)?)
///     .handshake_timeout(Duration::from_secs(3))
///     .sessions_max(0)
///     .build()?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct TlsConnectorBuilder {
    roots: Roots,
    provider: Provider,
    identities: Vec<Identity>,
    alpn: Vec<Vec<u8>>,
    handshake_timeout: Duration,
    sessions_max: usize,
    issuers_max: usize,
    only_tls13: bool,
    accepts_anyone: bool,
    logs_keys: bool,
}

impl TlsConnectorBuilder {
    /// Whose cryptography is used.
    pub fn provider(mut self, provider: Provider) -> TlsConnectorBuilder {
        self.provider = provider;
        self
    }

    /// Presents a certificate to servers that ask for one. Of several the first whose kind of key the server can check; whom the server trusts does not count.
    pub fn identity(mut self, identity: Identity) -> TlsConnectorBuilder {
        self.identities.push(identity);
        self
    }

    /// The protocols that may be spoken inside, the best one first, such as `h2` and `http/1.1`.
    pub fn alpn<P: AsRef<[u8]>>(
        mut self,
        protocols: impl IntoIterator<Item = P>,
    ) -> TlsConnectorBuilder {
        self.alpn = protocols.into_iter().map(|protocol| protocol.as_ref().to_vec()).collect();
        self
    }

    /// How long a handshake may take. [`Duration::MAX`]: for ever.
    pub fn handshake_timeout(mut self, timeout: Duration) -> TlsConnectorBuilder {
        self.handshake_timeout = timeout;
        self
    }

    /// How many servers' sessions are kept to be resumed; 0 resumes none.
    pub fn sessions_max(mut self, sessions_max: usize) -> TlsConnectorBuilder {
        self.sessions_max = sessions_max;
        self
    }

    /// How many certificates the other end may present beside its own.
    pub fn issuers_max(mut self, issuers_max: usize) -> TlsConnectorBuilder {
        self.issuers_max = issuers_max;
        self
    }

    /// Refuses TLS 1.2.
    pub fn only_tls13(mut self) -> TlsConnectorBuilder {
        self.only_tls13 = true;
        self
    }

    /// INSECURE. Talks to whoever answers, with any certificate: it protects against listening, not against somebody in between. For tests.
    pub fn danger_insecure_accept_any_server(mut self) -> TlsConnectorBuilder {
        self.accepts_anyone = true;
        self
    }

    /// INSECURE. Writes the keys of each session to the file that the environment variable `SSLKEYLOGFILE` names, for wireshark.
    pub fn danger_insecure_log_keys_to_sslkeylogfile(mut self) -> TlsConnectorBuilder {
        self.logs_keys = true;
        self
    }

    /// The connector. It may read the system's roots from files.
    ///
    /// # Errors
    ///
    /// Identities that cannot be used: [`Unusable`](TlsError::Unusable), [`KeyMismatch`](TlsError::KeyMismatch), [`Pem`](TlsError::Pem), [`NoCertificate`](TlsError::NoCertificate);
    /// [`Settings`](TlsError::Settings) for no roots, the system's roots that cannot be read, and settings that do not go together.
    pub fn build(self) -> Result<TlsConnector, TlsError> {
        let TlsConnectorBuilder {
            provider, identities, roots, issuers_max, accepts_anyone, ..
        } = self;
        let crypto = provider.crypto.clone();
        let trust = Trust { roots, crypto, issuers_max, accepts_anyone };
        let verifier = trust.verifier()?;
        let builder = ClientConfig::builder_with_provider(provider.crypto.clone())
            .with_protocol_versions(versions(self.only_tls13))
            .map_err(TlsError::settings)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let keys = match identities.is_empty() {
            true => None,
            false => Some(Arc::new(Keys::new(identities, provider)?)),
        };
        let mut config = match &keys {
            Some(keys) => builder.with_client_cert_resolver(keys.clone()),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn;
        config.resumption = resumption(self.sessions_max);
        if self.logs_keys {
            config.key_log = Arc::new(rustls::KeyLogFile::new());
        }
        let config = Arc::new(RwLock::new(Arc::new(config)));
        let (sessions_max, handshake_timeout) = (self.sessions_max, self.handshake_timeout);
        let trust = Some(Arc::new(Mutex::new(trust)));
        Ok(TlsConnector { config, keys, trust, sessions_max, handshake_timeout })
    }
}

/// What servers are verified with.
struct Trust {
    roots: Roots,
    crypto: Arc<CryptoProvider>,
    issuers_max: usize,
    accepts_anyone: bool,
}

impl Trust {
    /// And a verifier, if the roots are others now. It blocks.
    fn reload(&mut self, always: bool) -> (Reloaded, Option<Arc<dyn ServerCertVerifier>>) {
        let mut roots = self.roots.clone();
        let mut reloaded = roots.reload(always);
        let former = std::mem::replace(&mut self.roots, roots);
        if !reloaded.has_changed {
            return (reloaded, None);
        }
        match self.verifier() {
            Ok(verifier) => (reloaded, Some(verifier)),
            Err(error) => {
                self.roots = former;
                reloaded.has_changed = false;
                reloaded.errors.push(error);
                (reloaded, None)
            }
        }
    }

    fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
        let (verifier, issuers_max) = (self.unbounded_verifier()?, self.issuers_max);
        Ok(Arc::new(bounded::Bounded { verifier, issuers_max }))
    }

    fn unbounded_verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
        let crypto = self.crypto.clone();
        if self.accepts_anyone {
            return Ok(Arc::new(AcceptAnyone::new(crypto)));
        }
        #[cfg(feature = "tls-platform-roots")]
        if self.roots.has_platform {
            let Some(extra) = self.roots.certificates() else {
                return Err(TlsError::settings(
                    "the system's roots cannot be joined by Mozilla's: take one of them",
                ));
            };
            let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(extra, crypto);
            return Ok(Arc::new(verifier.map_err(|error| {
                TlsError::settings(format_args!("the system's roots cannot be used: {error}"))
            })?));
        }
        let store = self.roots.store();
        if store.is_empty() {
            return Err(TlsError::settings("nobody is trusted: give the connector roots"));
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), crypto).build();
        Ok(verifier.map_err(TlsError::settings)?)
    }
}
