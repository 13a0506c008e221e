//! TLS for servers.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    NoClientAuth, NoServerSessionStorage, ServerConnection, ServerSessionMemoryCache,
    WebPkiClientVerifier,
};
use rustls::{Connection, ServerConfig};
use smolkit_runtime::unblock;

use super::keys::{self, CertificateStatus, Keys, Reloaded};
use super::{Identity, Provider, Roots, TlsError, TlsStream, bounded, handshake, versions};

/// So many sessions are kept by a server that gives no tickets.
const SESSIONS_MAX: usize = 1_024;

/// Speaks TLS as a server. Clones share certificates and sessions.
///
/// [`accept`](TlsAcceptor::accept) does one handshake. Call it in the connection's own task, not in the loop that accepts connections; a
/// [`TlsListener`](super::TlsListener) sees to that.
///
/// # Limits
///
/// | what | default | set by |
/// |---|---|---|
/// | a handshake | 10 s | [`handshake_timeout`](TlsAcceptorBuilder::handshake_timeout) |
/// | sessions kept in memory (without tickets) | 1,024 | [`sessions_max`](TlsAcceptorBuilder::sessions_max) |
/// | certificates that a client may present beside its own | 6 | [`issuers_max`](TlsAcceptorBuilder::issuers_max) |
/// | a ticket's life | 12 h at most; its key changes every 6 h | |
///
/// # Examples
///
/// ```
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use smolkit_net::tls::{Identity, TlsAcceptor};
/// use smolkit_net::unix::UnixStream;
/// # use smolkit_net::tls::{Roots, TlsConnector};
/// # use smolkit_runtime as smolkit;
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// # let (certificate, key) = (certificate.as_bytes(), key.as_bytes());
///
/// let identity = Identity::from_pem(certificate, key)?;
/// let acceptor = TlsAcceptor::builder(identity).alpn(["h2", "http/1.1"]).build()?;
/// smolkit::block_on(async {
///     let (transport, client) = UnixStream::pair()?;
/// #   let connector = TlsConnector::builder(Roots::pem(certificate)?).alpn(["h2"]).build()?;
/// #   let _client = smolkit::spawn(async move {
/// #       let mut stream = connector.connect("localhost", client).await?;
/// #       stream.read_to_end(&mut Vec::new()).await
/// #   });
///     let mut stream = acceptor.accept(transport).await?;
///     assert_eq!(stream.alpn_protocol(), Some(&b"h2"[..]));
///     stream.write_all(b"hello").await?;
///     stream.close().await
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct TlsAcceptor {
    config: Arc<ServerConfig>,
    keys: Option<Arc<Keys>>,
    handshake_timeout: Duration,
}

impl TlsAcceptor {
    /// One that proves to be `identity`.
    pub fn builder(identity: Identity) -> TlsAcceptorBuilder {
        TlsAcceptorBuilder {
            identities: vec![identity],
            provider: Provider::default(),
            clients: Clients::Anybody,
            alpn: Vec::new(),
            handshake_timeout: handshake::TIMEOUT,
            sessions_max: SESSIONS_MAX,
            issuers_max: bounded::ISSUERS_MAX,
            gives_tickets: true,
            only_tls13: false,
            logs_keys: false,
        }
    }

    /// Does the handshake with the client at the other end of `transport`.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the transport.
    ///
    /// # Errors
    ///
    /// `TimedOut` after the handshake's deadline; `InvalidData` with a [`TlsFailure`](super::TlsFailure) inside if the client is not trusted or does
    /// not speak TLS; `UnexpectedEof` if it hangs up; those of the transport.
    pub async fn accept<S>(&self, transport: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.accept_watched(transport, |_| {}).await
    }

    /// Calls `looked` after each look, with whether the client has said anything so far.
    pub(crate) async fn accept_watched<S>(
        &self,
        transport: S,
        looked: impl Fn(bool),
    ) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let conn = ServerConnection::new(self.config.clone());
        let conn = Connection::Server(conn.map_err(super::failure::of_session)?);
        handshake::run(conn, transport, self.handshake_timeout, looked).await
    }

    /// Reads the files of its identities again. New connections use what they have now, those that are there go on. Whether anything was replaced.
    ///
    /// # Cancel safety
    ///
    /// When it is dropped the files may still be read, and taken over, by the thread that is at it.
    ///
    /// # Errors
    ///
    /// What is wrong with which file. That identity stays as it was; others are replaced all the same.
    ///
    /// # Panics
    ///
    /// After [`blocking::shutdown`](smolkit_runtime::blocking::shutdown), unless it was made of rustls's own settings: no thread is there to read files.
    pub async fn reload(&self) -> Result<bool, TlsError> {
        self.reload_if(true).await.into_result()
    }

    async fn reload_if(&self, always: bool) -> Reloaded {
        match self.keys.clone() {
            Some(keys) => unblock(move || keys.reload(always)).await,
            None => Reloaded::default(),
        }
    }

    /// Looks at the files of its identities every so often, for ever, and reads them again when they have changed; `report` hears of each replacement (`Ok`) and of each failure.
    ///
    /// A file may be written anew, renamed, or reached through a symlink that is exchanged, as in Kubernetes. Looking costs two `stat` calls for each identity.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the watch. What is being read then may still be taken over, without a report.
    ///
    /// # Panics
    ///
    /// As [`reload`](TlsAcceptor::reload).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use smolkit_net::tls::{Identity, TlsAcceptor};
    /// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    /// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    /// # let (certificate, key) = (certificate.as_bytes(), key.as_bytes());
    /// # let identity = Identity::from_pem(certificate, key)?;
    ///
    /// let acceptor = TlsAcceptor::builder(identity).build()?;
    /// let watch = acceptor.watch(Duration::from_secs(60), |result| match result {
    ///     Ok(()) => println!("the certificate is replaced"),
    ///     Err(error) => eprintln!("{error}"),
    /// });
    /// smolkit_runtime::spawn(watch).detach();
    /// # std::io::Result::Ok(())
    /// ```
    pub fn watch(
        &self,
        every: Duration,
        report: impl FnMut(Result<(), TlsError>) + Send + 'static,
    ) -> impl Future<Output = Infallible> + Send + 'static {
        let acceptor = self.clone();
        async move { keys::watch(every, || acceptor.reload_if(false), report).await }
    }

    /// Its certificates, with their ends.
    pub fn certificates(&self) -> Vec<CertificateStatus> {
        self.keys.as_ref().map_or_else(Vec::new, |keys| keys.status())
    }
}

/// With settings of rustls's own, and a handshake of at most 10 s.
impl From<Arc<ServerConfig>> for TlsAcceptor {
    fn from(config: Arc<ServerConfig>) -> TlsAcceptor {
        TlsAcceptor { config, keys: None, handshake_timeout: handshake::TIMEOUT }
    }
}

impl fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAcceptor")
            .field("certificates", &self.certificates())
            .field("handshake_timeout", &self.handshake_timeout)
            .finish_non_exhaustive()
    }
}

/// Who may connect.
#[derive(Debug)]
enum Clients {
    Anybody,
    Asked(Roots),
    Required(Roots),
}

/// What a [`TlsAcceptor`] is made of. What is not set is the default of its [table](TlsAcceptor#limits).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use smolkit_net::tls::{Identity, Roots, TlsAcceptor};
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// # let (certificate, key) = (certificate.as_bytes(), key.as_bytes());
///
/// let acceptor = TlsAcceptor::builder(Identity::from_pem(certificate, key)?)
///     .require_clients(Roots::pem(certificate)?)
///     .handshake_timeout(Duration::from_secs(3))
///     .only_tls13()
///     .build()?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct TlsAcceptorBuilder {
    identities: Vec<Identity>,
    provider: Provider,
    clients: Clients,
    alpn: Vec<Vec<u8>>,
    handshake_timeout: Duration,
    sessions_max: usize,
    issuers_max: usize,
    gives_tickets: bool,
    only_tls13: bool,
    logs_keys: bool,
}

impl TlsAcceptorBuilder {
    /// Whose cryptography is used.
    pub fn provider(mut self, provider: Provider) -> TlsAcceptorBuilder {
        self.provider = provider;
        self
    }

    /// One more certificate. Clients get the first one for the name that they ask for (SNI) whose key they can check; the first of all if there is none, or if they ask for none.
    pub fn identity(mut self, identity: Identity) -> TlsAcceptorBuilder {
        self.identities.push(identity);
        self
    }

    /// Admits only clients that prove who they are, with a certificate issued by one of these. See [`TlsStream::peer_certificates`].
    pub fn require_clients(mut self, roots: Roots) -> TlsAcceptorBuilder {
        self.clients = Clients::Required(roots);
        self
    }

    /// Asks clients for a certificate, and admits those that have none too. One that is not issued by one of these is refused.
    pub fn ask_clients(mut self, roots: Roots) -> TlsAcceptorBuilder {
        self.clients = Clients::Asked(roots);
        self
    }

    /// The protocols that may be spoken inside, the best one first, such as `h2` and `http/1.1`. A client that offers others only is refused; one that offers none is not.
    pub fn alpn<P: AsRef<[u8]>>(
        mut self,
        protocols: impl IntoIterator<Item = P>,
    ) -> TlsAcceptorBuilder {
        self.alpn = protocols.into_iter().map(|protocol| protocol.as_ref().to_vec()).collect();
        self
    }

    /// How long a handshake may take. [`Duration::MAX`]: for ever.
    pub fn handshake_timeout(mut self, timeout: Duration) -> TlsAcceptorBuilder {
        self.handshake_timeout = timeout;
        self
    }

    /// Keeps sessions in memory, so many at most, instead of giving tickets to clients. With 0 none are resumed.
    ///
    /// Tickets (the default) need no memory; but whoever steals their key, which is in memory only and changes every six hours, can read the TLS 1.2 sessions that they stand for.
    pub fn sessions_max(mut self, sessions_max: usize) -> TlsAcceptorBuilder {
        self.gives_tickets = false;
        self.sessions_max = sessions_max;
        self
    }

    /// How many certificates the other end may present beside its own.
    pub fn issuers_max(mut self, issuers_max: usize) -> TlsAcceptorBuilder {
        self.issuers_max = issuers_max;
        self
    }

    /// Refuses TLS 1.2.
    pub fn only_tls13(mut self) -> TlsAcceptorBuilder {
        self.only_tls13 = true;
        self
    }

    /// INSECURE. Writes the keys of each session to the file that the environment variable `SSLKEYLOGFILE` names, for wireshark.
    pub fn danger_insecure_log_keys_to_sslkeylogfile(mut self) -> TlsAcceptorBuilder {
        self.logs_keys = true;
        self
    }

    /// The acceptor.
    ///
    /// # Errors
    ///
    /// Identities or roots that cannot be used: [`Unusable`](TlsError::Unusable), [`KeyMismatch`](TlsError::KeyMismatch), [`Pem`](TlsError::Pem), [`NoCertificate`](TlsError::NoCertificate);
    /// [`Settings`](TlsError::Settings) for clients' roots that are none, or the system's.
    pub fn build(self) -> Result<TlsAcceptor, TlsError> {
        let TlsAcceptorBuilder { provider, identities, .. } = self;
        let verifier = self.clients.verifier(&provider)?;
        let verifier = Arc::new(bounded::Bounded { verifier, issuers_max: self.issuers_max });
        let keys = Arc::new(Keys::new(identities, provider.clone())?);
        let mut config = ServerConfig::builder_with_provider(provider.crypto.clone())
            .with_protocol_versions(versions(self.only_tls13))
            .map_err(TlsError::settings)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(keys.clone());
        config.alpn_protocols = self.alpn;
        match provider.new_ticketer {
            Some(new_ticketer) if self.gives_tickets => {
                config.ticketer = new_ticketer().map_err(TlsError::settings)?;
                config.session_storage = Arc::new(NoServerSessionStorage {});
            }
            _ if self.sessions_max == 0 => {
                config.session_storage = Arc::new(NoServerSessionStorage {});
                config.send_tls13_tickets = 0;
            }
            _ => config.session_storage = ServerSessionMemoryCache::new(self.sessions_max),
        }
        if self.logs_keys {
            config.key_log = Arc::new(rustls::KeyLogFile::new());
        }
        let handshake_timeout = self.handshake_timeout;
        Ok(TlsAcceptor { config: Arc::new(config), keys: Some(keys), handshake_timeout })
    }
}

impl Clients {
    fn verifier(&self, provider: &Provider) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let (roots, is_optional) = match self {
            Clients::Anybody => return Ok(Arc::new(NoClientAuth)),
            Clients::Asked(roots) => (roots, true),
            Clients::Required(roots) => (roots, false),
        };
        if roots.has_platform {
            return Err(TlsError::settings(
                "the system's roots are for servers: clients need roots from PEM",
            ));
        }
        let store = Arc::new(roots.store());
        let builder = WebPkiClientVerifier::builder_with_provider(store, provider.crypto.clone());
        let builder = if is_optional { builder.allow_unauthenticated() } else { builder };
        builder.build().map_err(TlsError::settings)
    }
}
