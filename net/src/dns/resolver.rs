//! Looking up names.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::Name;
use smolkit_runtime::time::{timeout, timeout_at};

use super::builder::{ResolverBuilder, Settings};
use super::error::LookupError;
use super::files::{Files, State};
use super::metrics::{Counters, Metrics};
use super::names::{self, Special, special};
use super::records::{HostName, Kind, LOOPBACK, Mx, Srv, Txt};
use super::sift::{ALIASES_MAX, Reply};
use super::upstream::{Unanswered, Upstream};
use super::{exchange::Failed, order, resolv_conf};

/// How long a name's addresses of one family wait for those of the other.
const OTHER_FAMILY: Duration = Duration::from_secs(1);

/// How long those of IPv4 wait for those of IPv6 where somebody wants to connect (RFC 8305 §3, the recommended value).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

const ADDRESSES: &str = "A and AAAA";

/// Looks up names: a cache, the hosts file, and servers that are asked when neither knows. Clones share all of it.
///
/// See the [module](super) for the limits and for what comes from where.
///
/// # Cancel safety
///
/// A look-up that is dropped closes its sockets, unless somebody else waits for the same question; a connection over TLS stays for the next one. Nothing goes on in the
/// background but a look at the files that has begun. One that is neither dropped nor polled keeps its place among the questions under way.
///
/// # Errors
///
/// Of all look-ups, with a [`LookupError`] inside from which the message comes:
///
/// | kind | cause | will it help to try again? |
/// |---|---|---|
/// | `NotFound` | the name does not exist, or has no record of this type | when the cache has forgotten it |
/// | `TimedOut` | no server has answered in time | yes |
/// | `ConnectionRefused`, `NetworkUnreachable` and others of `connect(2)` | no server could be reached | when one runs |
/// | `Other` | no server would answer (SERVFAIL, REFUSED), or the name's aliases lead nowhere | perhaps |
/// | `InvalidData` | replies are malformed or cut off | perhaps |
/// | `UnexpectedEof`, `BrokenPipe`, `ConnectionReset` | the last server closed the connection without an answer | perhaps |
///
/// And without it: `InvalidInput` for what is no name; those of reading the files for the first time, `InvalidData` if one is too long, and `Other` after
/// [`blocking::shutdown`](smolkit_runtime::blocking::shutdown).
///
/// # Panics
///
/// A panic of foreign code on the way, such as a certificate verifier of the program's own, goes to all look-ups that wait for this question.
///
/// # Examples
///
/// ```
/// use smolkit_net::dns::Resolver;
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let addrs = Resolver::system().lookup_ip("localhost").await?;
///     assert!(addrs.iter().all(|addr| addr.is_loopback()));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct Resolver {
    inner: Arc<Inner>,
    /// How long addresses of IPv4 wait for those of IPv6.
    v6_wait: Duration,
}

struct Inner {
    files: Arc<Files>,
    deadline: Duration,
    counters: Arc<Counters>,
}

static SYSTEM: OnceLock<Resolver> = OnceLock::new();
static INSTALLED: OnceLock<Resolver> = OnceLock::new();

impl Resolver {
    /// For one that is not the system's: see [`ResolverBuilder`].
    pub fn builder() -> ResolverBuilder {
        ResolverBuilder::new()
    }

    /// The one that the system's files describe, `/etc/resolv.conf` and `/etc/hosts`. It is made with the first call; all others return the same one, with its cache.
    pub fn system() -> Resolver {
        let system = || Resolver::new(ResolverBuilder::new().into_settings());
        SYSTEM.get_or_init(system).clone()
    }

    pub(super) fn new(settings: Settings) -> Resolver {
        let counters = Arc::<Counters>::default();
        let deadline = settings.deadline;
        let files = Arc::new(Files::new(settings, Arc::clone(&counters)));
        let inner = Arc::new(Inner { files, deadline, counters });
        Resolver { inner, v6_wait: OTHER_FAMILY }
    }

    /// From now on all names of the process go through this resolver: those that [`TcpStream::connect`](crate::TcpStream::connect),
    /// [`bind`](crate::TcpListener::bind), [`resolve`](crate::resolve) and all else that takes [`AsyncToSocketAddrs`](crate::AsyncToSocketAddrs)
    /// is given. Without this call they go to `getaddrinfo`, whatever features are enabled.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if there is one: it stays.
    ///
    /// # Examples
    ///
    /// ```
    /// use smolkit_net::dns::Resolver;
    ///
    /// // At the beginning of `main`.
    /// Resolver::system().install()?;
    /// assert!(Resolver::installed().is_some());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn install(&self) -> io::Result<()> {
        INSTALLED.set(self.clone()).map_err(|_| {
            let message = "cannot install the resolver: the process has one";
            io::Error::new(io::ErrorKind::AlreadyExists, message)
        })
    }

    /// The one that was [installed](Resolver::install).
    pub fn installed() -> Option<Resolver> {
        INSTALLED.get().cloned()
    }

    /// The same one for somebody who wants to connect as soon as possible.
    pub(crate) fn for_connections(&self) -> Resolver {
        Resolver { inner: self.inner.clone(), v6_wait: RESOLUTION_DELAY }
    }

    /// The addresses of a host, IPv6 before IPv4 and those without a route last. An address is its own answer.
    ///
    /// # Errors
    ///
    /// As [above](Resolver#errors). If one family cannot be found out the addresses of the other are the answer.
    pub async fn lookup_ip(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![ip]);
        }
        let lookup = self.start(host, ADDRESSES).await?;
        let mut addrs = lookup.state.hosts.addrs(host).to_vec();
        if addrs.is_empty() {
            addrs = match special(&lookup.name) {
                Some(Special::Localhost) => LOOPBACK.to_vec(),
                Some(Special::Nobody) => return Err(lookup.error(Trouble::Nothing)),
                None => lookup.search::<IpAddr>().await?,
            };
        }
        order::sort(&mut addrs);
        Ok(addrs)
    }

    /// The IPv4 addresses of a host.
    ///
    /// # Errors
    ///
    /// As [above](Resolver#errors).
    pub async fn a(&self, host: &str) -> io::Result<Vec<Ipv4Addr>> {
        let own = |ip: &IpAddr| if let IpAddr::V4(ip) = ip { Some(*ip) } else { None };
        self.addrs(host, own).await
    }

    /// The IPv6 addresses of a host.
    ///
    /// # Errors
    ///
    /// As [above](Resolver#errors).
    pub async fn aaaa(&self, host: &str) -> io::Result<Vec<Ipv6Addr>> {
        let own = |ip: &IpAddr| if let IpAddr::V6(ip) = ip { Some(*ip) } else { None };
        self.addrs(host, own).await
    }

    /// Where a service is, `_http._tcp.example.org`: by priority, and the heaviest first in each.
    ///
    /// # Errors
    ///
    /// As [above](Resolver#errors).
    ///
    /// # Examples
    ///
    /// See [`Srv`].
    pub async fn srv(&self, name: &str) -> io::Result<Vec<Srv>> {
        self.records(name).await
    }

    /// The texts about a name.
    ///
    /// # Errors
    ///
    /// As [above](Resolver#errors).
    ///
    /// # Examples
    ///
    /// See [`Txt`].
    pub async fn txt(&self, name: &str) -> io::Result<Vec<Txt>> {
        self.records(name).await
    }

    /// Who takes the mail for a domain, those to be tried first in front.
    ///
    /// # Errors
    ///
    /// As [above](Resolver#errors).
    ///
    /// # Examples
    ///
    /// See [`Mx`].
    pub async fn mx(&self, domain: &str) -> io::Result<Vec<Mx>> {
        self.records(domain).await
    }

    /// The names of an address: those of the hosts file, or of its PTR records. Anybody can give an address any name; look that up to be sure.
    ///
    /// # Errors
    ///
    /// As [above](Resolver#errors).
    ///
    /// # Examples
    ///
    /// ```
    /// use smolkit_net::dns::Resolver;
    /// # use smolkit_runtime as smolkit;
    ///
    /// let resolver = Resolver::builder().hosts_file(None).build()?;
    /// assert_eq!(smolkit::block_on(resolver.ptr([127, 0, 0, 1].into()))?, ["localhost"]);
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn ptr(&self, ip: IpAddr) -> io::Result<Vec<String>> {
        let asked = ip.to_string();
        let lookup = self.start_at(&asked, names::reverse(ip), HostName::NAME).await?;
        let known = lookup.state.hosts.names(ip);
        if !known.is_empty() {
            return Ok(known.to_vec());
        }
        if ip.to_canonical().is_loopback() {
            return Ok(vec!["localhost".to_owned()]);
        }
        let names = lookup.search::<HostName>().await?;
        Ok(names.into_iter().map(|HostName(name)| name).collect())
    }

    /// [`lookup_ip`](Resolver::lookup_ip) with a port, as `connect` wants it. An address of IPv6 may have a zone here, `fe80::1%2` or on Linux `fe80::1%eth0`.
    ///
    /// # Errors
    ///
    /// As [above](Resolver#errors).
    pub async fn socket_addrs(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Some(addr) = resolv_conf::with_zone(host, port) {
            return Ok(vec![addr.into()]);
        }
        let addrs = self.lookup_ip(host).await?;
        Ok(addrs.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }

    /// Forgets all answers. Questions under way still get theirs, which are not kept.
    pub fn clear_cache(&self) {
        if let Some(state) = self.inner.files.last() {
            state.upstream.clear_cache();
        }
    }

    /// What it has done so far. Clones count together.
    pub fn metrics(&self) -> Metrics {
        self.inner.counters.read()
    }

    async fn addrs<K: Kind>(
        &self,
        host: &str,
        own: impl Fn(&IpAddr) -> Option<K>,
    ) -> io::Result<Vec<K>> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            let Some(ip) = own(&ip) else {
                let nothing = io::ErrorKind::NotFound;
                let why = "it is an address of the other family";
                return Err(LookupError::error(nothing, host, K::NAME, why, &[]));
            };
            return Ok(vec![ip]);
        }
        let lookup = self.start(host, K::NAME).await?;
        let known: Vec<K> = lookup.state.hosts.addrs(host).iter().filter_map(&own).collect();
        if !known.is_empty() {
            return Ok(known);
        }
        match special(&lookup.name) {
            Some(Special::Localhost) => Ok(LOOPBACK.iter().filter_map(own).collect()),
            Some(Special::Nobody) => Err(lookup.error(Trouble::Nothing)),
            None => lookup.search::<K>().await,
        }
    }

    async fn records<K: Kind>(&self, name: &str) -> io::Result<Vec<K>> {
        let lookup = self.start(name, K::NAME).await?;
        if special(&lookup.name).is_some() {
            return Err(lookup.error(Trouble::Nothing));
        }
        let mut records = lookup.search::<K>().await?;
        K::sort(&mut records);
        Ok(records)
    }

    async fn start<'a>(&self, asked: &'a str, kind: &'static str) -> io::Result<Lookup<'a>> {
        self.start_at(asked, names::parse(asked)?, kind).await
    }

    async fn start_at<'a>(
        &self,
        asked: &'a str,
        name: Name,
        kind: &'static str,
    ) -> io::Result<Lookup<'a>> {
        // A deadline that overflows means "never".
        let deadline = Instant::now().checked_add(self.inner.deadline);
        let state = self.inner.files.state();
        let state = match deadline {
            Some(deadline) => match timeout_at(deadline, state).await {
                Ok(state) => state?,
                Err(_) => {
                    let why = "its files were not read before the deadline";
                    return Err(LookupError::error(io::ErrorKind::TimedOut, asked, kind, why, &[]));
                }
            },
            None => state.await?,
        };
        Ok(Lookup { asked, name, kind, state, deadline, v6_wait: self.v6_wait })
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("metrics", &self.metrics()).finish_non_exhaustive()
    }
}

/// Why there are no records.
enum Trouble {
    Nothing,
    Aliases,
    Unanswered(Unanswered),
}

/// What a look-up brings: records of one type, or addresses of both families.
trait Wanted: Sized {
    fn ask(
        lookup: &Lookup<'_>,
        name: &Name,
    ) -> impl Future<Output = Result<Vec<Self>, Trouble>> + Send;
}

impl<K: Kind> Wanted for K {
    async fn ask(lookup: &Lookup<'_>, name: &Name) -> Result<Vec<K>, Trouble> {
        lookup.one::<K>(name).await
    }
}

impl Wanted for IpAddr {
    async fn ask(lookup: &Lookup<'_>, name: &Name) -> Result<Vec<IpAddr>, Trouble> {
        lookup.both(name).await
    }
}

/// A look-up under way.
struct Lookup<'a> {
    asked: &'a str,
    name: Name,
    kind: &'static str,
    state: Arc<State>,
    deadline: Option<Instant>,
    v6_wait: Duration,
}

impl Lookup<'_> {
    /// Asks for the name as it stands and completed, in the order of `resolv.conf(5)`, until one exists.
    ///
    /// After an answer that is none (SERVFAIL) the next name is asked for, as glibc does; without any answer not, for it would bring none either.
    async fn search<W: Wanted>(&self) -> io::Result<Vec<W>> {
        let mut worst = Trouble::Nothing;
        for name in self.state.completion.candidates(&self.name) {
            match W::ask(self, &name).await {
                Ok(found) => return Ok(found),
                Err(Trouble::Nothing) => {}
                Err(Trouble::Unanswered(unanswered)) if !unanswered.was_refused() => {
                    return Err(self.error(Trouble::Unanswered(unanswered)));
                }
                Err(trouble) if matches!(worst, Trouble::Nothing) => worst = trouble,
                Err(_) => {}
            }
        }
        Err(self.error(worst))
    }

    /// The addresses of both families.
    async fn both(&self, name: &Name) -> Result<Vec<IpAddr>, Trouble> {
        let v6 = pin!(self.one::<Ipv6Addr>(name));
        let v4 = pin!(self.one::<Ipv4Addr>(name));
        let (v6, v4) = match select(v6, v4).await {
            Either::Left((v6, v4)) => {
                let v4 = other(&v6, v4, OTHER_FAMILY).await;
                (v6, v4)
            }
            Either::Right((v4, v6)) => {
                let v6 = other(&v4, v6, self.v6_wait).await;
                (v6, v4)
            }
        };
        match (v6, v4) {
            (Ok(v6), Ok(v4)) => {
                Ok(v6.into_iter().map(IpAddr::V6).chain(v4.into_iter().map(IpAddr::V4)).collect())
            }
            (Ok(v6), Err(_)) => Ok(v6.into_iter().map(IpAddr::V6).collect()),
            (Err(_), Ok(v4)) => Ok(v4.into_iter().map(IpAddr::V4).collect()),
            (Err(Trouble::Nothing), Err(trouble)) | (Err(trouble), Err(Trouble::Nothing)) => {
                Err(trouble)
            }
            (Err(Trouble::Unanswered(mut one)), Err(Trouble::Unanswered(mut other))) => {
                one.attempts.append(&mut other.attempts);
                one.is_late |= other.is_late;
                Err(Trouble::Unanswered(one))
            }
            (Err(trouble), Err(_)) => Err(trouble),
        }
    }

    /// The records of one type, through aliases.
    async fn one<K: Kind>(&self, name: &Name) -> Result<Vec<K>, Trouble> {
        let upstream: &Arc<Upstream> = &self.state.upstream;
        let mut name = name.clone();
        let mut passed = HashSet::new();
        let mut count = 0;
        loop {
            let question = Query::query(name.clone(), K::TYPE);
            let reply = upstream.ask(question, self.deadline).await;
            match &*reply.map_err(Trouble::Unanswered)? {
                Reply::Records(records) => {
                    let found: Vec<K> =
                        records.iter().filter_map(|record| K::from_data(&record.data)).collect();
                    return if found.is_empty() { Err(Trouble::Nothing) } else { Ok(found) };
                }
                Reply::Nothing { .. } => return Err(Trouble::Nothing),
                Reply::Alias { target, aliases, .. } => {
                    count += aliases;
                    if count > ALIASES_MAX || *target == name || !passed.insert(name) {
                        return Err(Trouble::Aliases);
                    }
                    name = target.clone();
                }
            }
        }
    }

    fn error(&self, trouble: Trouble) -> io::Error {
        let (kind, why, attempts) = match trouble {
            Trouble::Nothing => {
                (io::ErrorKind::NotFound, "there is no such name or no such record", Vec::new())
            }
            Trouble::Aliases => {
                (io::ErrorKind::Other, "its aliases lead in a circle or too far", Vec::new())
            }
            Trouble::Unanswered(Unanswered { mut attempts, is_late: true }) => {
                attempts.dedup_by(|one, other| one.0 == other.0 && one.1.text == other.1.text);
                (io::ErrorKind::TimedOut, "no answer before the deadline of the look-up", attempts)
            }
            Trouble::Unanswered(unanswered) => {
                let was_refused = unanswered.was_refused();
                let attempts = unanswered.attempts;
                let kind = match attempts.last() {
                    Some((_, Failed { kind, .. })) if !was_refused => *kind,
                    _ => io::ErrorKind::Other,
                };
                (kind, "no server has answered", attempts)
            }
        };
        LookupError::error(kind, self.asked, self.kind, why, &attempts)
    }
}

/// Waits for the second family: to the end if the first one brought nothing, else for a while.
async fn other<T, U>(
    first: &Result<T, Trouble>,
    second: impl Future<Output = Result<U, Trouble>>,
    patience: Duration,
) -> Result<U, Trouble> {
    if first.is_err() {
        return second.await;
    }
    timeout(patience, second).await.unwrap_or(Err(Trouble::Nothing))
}
