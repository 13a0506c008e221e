//! How a resolver is made.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
#[cfg(feature = "_tls")]
use std::sync::Arc;
use std::time::Duration;

use super::Resolver;
use super::cache::Limits;
use super::names::{self, Completion};
#[cfg(feature = "_tls")]
use super::over_tls::TlsServer;
use super::resolv_conf::ResolvConf;
use super::upstream::{Server, Servers};
#[cfg(feature = "_tls")]
use crate::tls::TlsConnector;

/// Makes a [`Resolver`]. What is not set comes from `resolv.conf`, or is the default of the [table](super#limits).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use smolkit_net::dns::Resolver;
///
/// let resolver = Resolver::builder()
///     .servers([([192, 0, 2, 53], 53).into()])
///     .search(["example.org"])
///     .timeout(Duration::from_millis(500))
///     .deadline(Duration::from_secs(3))
///     .resolv_conf(None)
///     .build()?;
/// # std::io::Result::Ok(())
/// ```
pub struct ResolverBuilder {
    settings: Settings,
}

/// What the builder was told.
#[derive(Clone)]
pub(super) struct Settings {
    servers: Option<Vec<SocketAddr>>,
    #[cfg(feature = "_tls")]
    tls_servers: Option<Vec<Arc<TlsServer>>>,
    search: Option<Vec<String>>,
    ndots: Option<usize>,
    timeout: Option<Duration>,
    attempts: Option<u32>,
    rotate: Option<bool>,
    tcp_only: Option<bool>,
    randomize_case: bool,
    pub(super) deadline: Duration,
    pub(super) limits: Limits,
    pub(super) in_flight_max: usize,
    pub(super) resolv_conf: Option<PathBuf>,
    pub(super) hosts: Option<PathBuf>,
    pub(super) reload_interval: Duration,
}

impl Settings {
    fn new() -> Settings {
        Settings {
            servers: None,
            #[cfg(feature = "_tls")]
            tls_servers: None,
            search: None,
            ndots: None,
            timeout: None,
            attempts: None,
            rotate: None,
            tcp_only: None,
            randomize_case: true,
            deadline: Duration::from_secs(10),
            limits: Limits {
                size: 1_024,
                min_ttl: Duration::ZERO,
                max_ttl: Duration::from_secs(86_400),
                max_negative_ttl: Duration::from_secs(300),
            },
            in_flight_max: 256,
            resolv_conf: Some("/etc/resolv.conf".into()),
            hosts: Some("/etc/hosts".into()),
            reload_interval: Duration::from_secs(1),
        }
    }

    pub(super) fn has_files(&self) -> bool {
        self.resolv_conf.is_some() || self.hosts.is_some()
    }

    pub(super) fn servers(&self, conf: &ResolvConf) -> Servers {
        Servers {
            list: self.list(conf),
            timeout: self.timeout.or(conf.timeout).unwrap_or(Duration::from_secs(2)),
            attempts: self.attempts.or(conf.attempts).unwrap_or(2),
            rotate: self.rotate.unwrap_or(conf.rotate),
            tcp_only: self.tcp_only.unwrap_or(conf.tcp_only),
            randomize_case: self.randomize_case,
        }
    }

    fn list(&self, conf: &ResolvConf) -> Vec<Server> {
        let plain = self.servers.iter().flatten().copied().map(Server::plain);
        #[cfg(feature = "_tls")]
        if let Some(servers) = &self.tls_servers {
            let secure = |server: &Arc<TlsServer>| Server {
                addr: server.addr(),
                tls: Some(Arc::clone(server)),
            };
            return servers.iter().map(secure).chain(plain).collect();
        }
        match &self.servers {
            Some(_) => plain.collect(),
            None => conf.servers.iter().copied().map(Server::plain).collect(),
        }
    }

    pub(super) fn completion(&self, conf: &ResolvConf) -> Completion {
        let search = self.search.as_ref().unwrap_or(&conf.search);
        Completion::new(search, self.ndots.unwrap_or(conf.ndots))
    }
}

impl ResolverBuilder {
    pub(super) fn new() -> ResolverBuilder {
        ResolverBuilder { settings: Settings::new() }
    }

    pub(super) fn into_settings(self) -> Settings {
        self.settings
    }

    /// The servers to ask, in this order, instead of those of `resolv.conf`.
    pub fn servers(mut self, servers: impl IntoIterator<Item = SocketAddr>) -> ResolverBuilder {
        self.settings.servers = Some(servers.into_iter().collect());
        self
    }

    /// The servers to ask over TLS (RFC 7858), in this order, instead of those of `resolv.conf`: each with the name, or the address, that its certificate has to have. The usual port is 853.
    /// Needs the features `dns` and `tls`.
    ///
    /// Nothing is sent to anybody in plain text, whatever goes wrong, unless [`servers`](ResolverBuilder::servers) names some as well: those are asked when none of these has answered.
    /// All questions to a server go over one connection, as long as it is used at least every 10 s; the connector's sessions make the next one cheaper. Questions are padded (RFC 8467).
    ///
    /// # Examples
    ///
    /// ```
    /// use smolkit_net::dns::Resolver;
    /// use smolkit_net::tls::{Roots, TlsConnector};
    /// # let made = rcgen::generate_simple_self_signed(["dns.example.org".to_owned()]).unwrap();
    /// # let certificate = made.cert.pem();
    ///
    /// let connector = TlsConnector::builder(Roots::pem(certificate.as_bytes())?).build()?;
    /// let server = ([192, 0, 2, 53], 853).into();
    /// let resolver = Resolver::builder()
    ///     .tls_servers([(server, "dns.example.org")], &connector)
    ///     .build()?;
    /// # std::io::Result::Ok(())
    /// ```
    #[cfg(feature = "_tls")]
    pub fn tls_servers<S: Into<String>>(
        mut self,
        servers: impl IntoIterator<Item = (SocketAddr, S)>,
        connector: &TlsConnector,
    ) -> ResolverBuilder {
        let server =
            |(addr, name): (_, S)| Arc::new(TlsServer::new(addr, name.into(), connector.clone()));
        self.settings.tls_servers = Some(servers.into_iter().map(server).collect());
        self
    }

    /// The domains that complete a name, instead of those of `resolv.conf`.
    pub fn search<S: Into<String>>(
        mut self,
        domains: impl IntoIterator<Item = S>,
    ) -> ResolverBuilder {
        self.settings.search = Some(domains.into_iter().map(Into::into).collect());
        self
    }

    /// A name with so many dots is asked for as it stands before it is completed; one with fewer, after that.
    pub fn ndots(mut self, ndots: usize) -> ResolverBuilder {
        self.settings.ndots = Some(ndots);
        self
    }

    /// How long a server may take for an answer; if it has to be asked over TCP as well, for each of the two.
    pub fn timeout(mut self, timeout: Duration) -> ResolverBuilder {
        self.settings.timeout = Some(timeout);
        self
    }

    /// How often each server is asked before the look-up fails; 0 is taken as 1.
    pub fn attempts(mut self, attempts: u32) -> ResolverBuilder {
        self.settings.attempts = Some(attempts.max(1));
        self
    }

    /// The time for a whole look-up, whatever it takes: all servers, attempts, aliases and search domains. One that overflows the clock means "never".
    pub fn deadline(mut self, deadline: Duration) -> ResolverBuilder {
        self.settings.deadline = deadline;
        self
    }

    /// Begins with another server each time.
    pub fn rotate(mut self, rotate: bool) -> ResolverBuilder {
        self.settings.rotate = Some(rotate);
        self
    }

    /// Asks over TCP alone.
    pub fn tcp_only(mut self, tcp_only: bool) -> ResolverBuilder {
        self.settings.tcp_only = Some(tcp_only);
        self
    }

    /// Whether letters of the name are sent in random case, which a reply has to repeat. A server that does not is asked over TCP.
    pub fn randomize_case(mut self, randomize_case: bool) -> ResolverBuilder {
        self.settings.randomize_case = randomize_case;
        self
    }

    /// How many answers are kept; none with 0.
    pub fn cache_size(mut self, answers: u64) -> ResolverBuilder {
        self.settings.limits.size = answers;
        self
    }

    /// Keeps answers at least for this time, whole seconds, even if the server says less. It takes precedence over [`max_ttl`](ResolverBuilder::max_ttl).
    pub fn min_ttl(mut self, ttl: Duration) -> ResolverBuilder {
        self.settings.limits.min_ttl = ttl;
        self
    }

    /// Keeps answers at most for this time, whole seconds, even if the server says more.
    pub fn max_ttl(mut self, ttl: Duration) -> ResolverBuilder {
        self.settings.limits.max_ttl = ttl;
        self
    }

    /// Believes at most for this time, whole seconds, that a name does not exist or has no such record.
    pub fn max_negative_ttl(mut self, ttl: Duration) -> ResolverBuilder {
        self.settings.limits.max_negative_ttl = ttl;
        self
    }

    /// How many questions may be under way; further ones wait. 0 is taken as 1.
    pub fn in_flight_max(mut self, questions: usize) -> ResolverBuilder {
        self.settings.in_flight_max = questions.max(1);
        self
    }

    /// The file that names the servers; `None` reads none. One that is missing is empty; one that cannot be read fails the first look-up.
    pub fn resolv_conf<'a>(mut self, path: impl Into<Option<&'a str>>) -> ResolverBuilder {
        self.settings.resolv_conf = path.into().map(PathBuf::from);
        self
    }

    /// The file whose names no server is asked for; `None` reads none. One that is missing is empty; one that cannot be read fails the first look-up.
    pub fn hosts_file<'a>(mut self, path: impl Into<Option<&'a str>>) -> ResolverBuilder {
        self.settings.hosts = path.into().map(PathBuf::from);
        self
    }

    /// How long the files are trusted before a look-up finds out whether they have changed.
    pub fn reload_interval(mut self, interval: Duration) -> ResolverBuilder {
        self.settings.reload_interval = interval;
        self
    }

    /// The resolver. Nothing is read or asked yet.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the list of servers is empty, or a search domain or the name of a server is none.
    pub fn build(self) -> io::Result<Resolver> {
        let settings = self.settings;
        if settings.list(&ResolvConf::default()).is_empty() {
            let message = "cannot make a resolver: the list of servers is empty";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        #[cfg(feature = "_tls")]
        settings.tls_servers.iter().flatten().try_for_each(|server| server.check())?;
        for domain in settings.search.iter().flatten() {
            names::parse(domain)?;
        }
        Ok(Resolver::new(settings))
    }
}

impl fmt::Debug for ResolverBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResolverBuilder").finish_non_exhaustive()
    }
}
