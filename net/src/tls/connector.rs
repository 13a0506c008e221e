//! TLS for clients.

use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{
    ClientConnection, ClientSessionMemoryCache, Resumption, WebPkiServerVerifier,
};
use rustls::{ClientConfig, Connection};
use rustls_pki_types::ServerName;
use smolkit_runtime::unblock;

use super::danger::AcceptAnyone;
use super::keys::{CertificateStatus, Keys};
use super::{Identity, Provider, Roots, TlsError, TlsStream, bounded, handshake, versions};
use crate::{TcpConnector, TcpStream};

/// So many servers' sessions are kept to be resumed. rustls's default.
const SESSIONS_MAX: usize = 256;

/// Speaks TLS as a client. Clones share the sessions that can be resumed.
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
/// ```no_run
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use smolkit_net::tls::{Roots, TlsConnector};
/// # use smolkit_runtime as smolkit;
///
/// let connector = TlsConnector::builder(Roots::pem_file("ca.pem")?).alpn(["http/1.1"]).build()?;
/// smolkit::block_on(async {
///     let mut stream = connector.connect_tcp("example.org", 443).await?;
///     stream.write_all(b"GET / HTTP/1.0\r\nhost: example.org\r\n\r\n").await?;
///     let mut page = String::new();
///     stream.read_to_string(&mut page).await?;
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct TlsConnector {
    config: Arc<RwLock<Arc<ClientConfig>>>,
    keys: Option<Arc<Keys>>,
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

    /// Reads the files of its identities again. New connections use what they have now, and no session of a former identity is resumed. Whether anything
    /// was replaced.
    ///
    /// # Cancel safety
    ///
    /// When it is dropped the files may still be read, and taken over, by the thread that is at it.
    ///
    /// # Errors
    ///
    /// What is wrong with which file. That identity stays as it was; others are replaced all the same.
    pub async fn reload(&self) -> Result<bool, TlsError> {
        let Some(keys) = self.keys.clone() else { return Ok(false) };
        let connector = self.clone();
        let reload = move || {
            let reloaded = keys.reload(true);
            if reloaded.has_changed {
                connector.forget_sessions();
            }
            reloaded.into_result()
        };
        unblock(reload).await
    }

    fn config(&self) -> Arc<ClientConfig> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A resumed session is that of the identity it was begun with. Handshakes under way, which may have that still, put theirs where nobody finds it.
    fn forget_sessions(&self) {
        let mut config = ClientConfig::clone(&self.config());
        config.resumption = resumption(self.sessions_max);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// Its own certificates.
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
        TlsConnector { config, keys: None, sessions_max: 0, handshake_timeout: handshake::TIMEOUT }
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

/// What a [`TlsConnector`] is made of.
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
    /// No roots, roots or identities that cannot be used, settings that do not go together.
    pub fn build(self) -> Result<TlsConnector, TlsError> {
        let (verifier, issuers_max) = (self.verifier()?, self.issuers_max);
        let verifier = Arc::new(bounded::Bounded { verifier, issuers_max });
        let TlsConnectorBuilder { provider, identities, .. } = self;
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
        Ok(TlsConnector { config, keys, sessions_max, handshake_timeout })
    }

    fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
        let crypto = self.provider.crypto.clone();
        if self.accepts_anyone {
            return Ok(Arc::new(AcceptAnyone::new(crypto)));
        }
        #[cfg(feature = "tls-platform-roots")]
        if self.roots.has_platform {
            if self.roots.store.roots.len() > self.roots.certificates.len() {
                return Err(TlsError::settings(
                    "the system's roots cannot be joined by Mozilla's: take one of them",
                ));
            }
            let extra = self.roots.certificates.iter().cloned();
            let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(extra, crypto);
            return Ok(Arc::new(verifier.map_err(|error| {
                TlsError::settings(format_args!("the system's roots cannot be used: {error}"))
            })?));
        }
        if self.roots.store.is_empty() {
            return Err(TlsError::settings("nobody is trusted: give the connector roots"));
        }
        let roots = Arc::new(self.roots.store.clone());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, crypto).build();
        Ok(verifier.map_err(TlsError::settings)?)
    }
}
