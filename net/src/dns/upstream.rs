//! The servers: which is asked when, and what is known from them already.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{FutureExt, Shared, WeakShared};
use hickory_resolver::proto::op::{Message, Query, ResponseCode};
use smolkit_runtime::time::timeout_at;

use super::cache::{Cache, Limits};
use super::exchange::{Failed, Manner, exchange};
use super::metrics::Counters;
#[cfg(feature = "_tls")]
use super::over_tls::TlsServer;
use super::permits::Permits;
use super::sift::{Reply, Unfit, sift};

/// A server that did not answer is asked after the others for this time.
const SORE: Duration = Duration::from_secs(30);

/// Whom to ask and how often; from `resolv.conf`, the builder, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Servers {
    pub(super) list: Vec<Server>,
    pub(super) timeout: Duration,
    pub(super) attempts: u32,
    pub(super) rotate: bool,
    pub(super) randomize_case: bool,
    pub(super) tcp_only: bool,
}

/// A server, and how it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) addr: SocketAddr,
    /// Over TLS, and in no other way.
    #[cfg(feature = "_tls")]
    pub(super) tls: Option<Arc<TlsServer>>,
}

impl Server {
    pub(super) fn plain(addr: SocketAddr) -> Server {
        Server {
            addr,
            #[cfg(feature = "_tls")]
            tls: None,
        }
    }

    fn is_plain(&self) -> bool {
        #[cfg(feature = "_tls")]
        return self.tls.is_none();
        #[cfg(not(feature = "_tls"))]
        true
    }
}

/// What came of asking one server.
pub(super) type Attempt = (SocketAddr, Failed);
type Answer = Result<Arc<Reply>, Arc<[Attempt]>>;
type Flight = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// The servers with their cache and the questions under way.
pub(super) struct Upstream {
    servers: Servers,
    /// For each server until when it is sore, in milliseconds from `start`.
    sore: Vec<AtomicU64>,
    start: Instant,
    turn: AtomicUsize,
    cache: Mutex<Arc<Cache>>,
    flights: Mutex<HashMap<Query, Entry>>,
    permits: Permits,
    counters: Arc<Counters>,
}

/// A question under way. The flight itself belongs to its passengers, so that it ends when the last one leaves.
struct Entry {
    flight: WeakShared<Flight>,
    log: Arc<Log>,
    passengers: usize,
}

/// What is known of a question under way.
#[derive(Default)]
struct Log {
    attempts: Mutex<Vec<Attempt>>,
    /// When somebody last looked after it, in milliseconds from the upstream's start.
    looked: AtomicU64,
    /// Whether it is over, by an answer, by none, or by a panic.
    is_landed: AtomicBool,
}

/// The end of a flight, however it ends.
struct Landing(Arc<Log>);

impl Drop for Landing {
    fn drop(&mut self) {
        self.0.is_landed.store(true, Ordering::SeqCst);
    }
}

/// A question that got no answer, and how each server failed.
#[derive(Debug)]
pub(super) struct Unanswered {
    pub(super) attempts: Vec<Attempt>,
    pub(super) is_late: bool,
}

impl Unanswered {
    /// Whether a server said something, whatever befell the others.
    pub(super) fn was_refused(&self) -> bool {
        let is_refusal = |(_, failed): &Attempt| failed.kind == io::ErrorKind::Other;
        !self.is_late && self.attempts.iter().any(is_refusal)
    }
}

impl Upstream {
    pub(super) fn new(
        servers: Servers,
        limits: Limits,
        in_flight_max: usize,
        counters: Arc<Counters>,
    ) -> Upstream {
        Upstream {
            sore: servers.list.iter().map(|_| AtomicU64::new(0)).collect(),
            servers,
            start: Instant::now(),
            turn: AtomicUsize::new(0),
            cache: Mutex::new(Arc::new(Cache::new(limits))),
            flights: Mutex::default(),
            permits: Permits::new(in_flight_max),
            counters,
        }
    }

    pub(super) fn servers(&self) -> &Servers {
        &self.servers
    }

    pub(super) fn clear_cache(&self) {
        let mut cache = lock(&self.cache);
        *cache = Arc::new(cache.remove_all());
    }

    /// The reply to `question`: from the cache, from a flight that somebody started for the same question, or from the servers.
    ///
    /// The same question is never under way twice: each copy would be another chance for who guesses numbers and ports
    /// (RFC 5452 §5).
    pub(super) async fn ask(
        self: &Arc<Self>,
        question: Query,
        deadline: Option<Instant>,
    ) -> Result<Arc<Reply>, Unanswered> {
        let cache = Arc::clone(&lock(&self.cache));
        if let Some(reply) = cache.find(&question, Instant::now()) {
            self.counters.cache_hits();
            return Ok(Arc::new(reply));
        }
        let passenger = self.board(&question, cache);
        let answer = match deadline {
            Some(deadline) => timeout_at(deadline, passenger.flight.clone()).await.ok(),
            None => Some(passenger.flight.clone().await),
        };
        match answer {
            Some(Ok(reply)) => Ok(reply),
            Some(Err(attempts)) => Err(Unanswered { attempts: attempts.to_vec(), is_late: false }),
            None => {
                Err(Unanswered { attempts: lock(&passenger.log.attempts).clone(), is_late: true })
            }
        }
    }

    /// Joins the flight for `question`, or starts one: also beside one that nobody looks after, which may bring what was true once, or run into its own deadlines.
    fn board(self: &Arc<Self>, question: &Query, cache: Arc<Cache>) -> Passenger<'_> {
        let mut flights = lock(&self.flights);
        if let Some(entry) = flights.get_mut(question) {
            let is_neglected = self.is_neglected(&entry.log);
            if let Some(flight) = entry.flight.upgrade().filter(|_| !is_neglected) {
                entry.passengers += 1;
                self.counters.shared();
                let log = Arc::clone(&entry.log);
                return Passenger { flight, log, question: question.clone(), upstream: self };
            }
        }
        let log = Arc::new(Log::default());
        log.looked.store(self.now(), Ordering::SeqCst);
        let flight = fly(Arc::clone(self), question.clone(), cache, Arc::clone(&log));
        let flight: Flight = Box::pin(flight);
        let flight = flight.shared();
        if let Some(weak) = flight.downgrade() {
            let entry = Entry { flight: weak, log: Arc::clone(&log), passengers: 1 };
            flights.insert(question.clone(), entry);
        }
        Passenger { flight, log, question: question.clone(), upstream: self }
    }

    /// Whether a flight was left alone for longer than it ever has nothing to do.
    fn is_neglected(&self, log: &Log) -> bool {
        let wait = self.servers.timeout.saturating_add(self.servers.timeout / 4).as_millis();
        u128::from(self.now().saturating_sub(log.looked.load(Ordering::SeqCst))) > wait
    }

    /// Asks the servers in turn until one has something to say. Also when that one was asked.
    async fn ask_servers(&self, question: &Query, log: &Log) -> Option<(Reply, Instant)> {
        let mut is_plain = vec![false; self.servers.list.len()];
        for _ in 0..self.servers.attempts {
            for index in self.order() {
                let server = &self.servers.list[index];
                loop {
                    let asked = Instant::now();
                    let message = self.exchange(server, question, !is_plain[index]).await;
                    match message.map(|message| sift(question, &message)) {
                        Ok(Ok(reply)) => {
                            self.sore[index].store(0, Ordering::SeqCst);
                            return Some((reply, asked));
                        }
                        // Older than EDNS: once more without.
                        Ok(Err(Unfit::Code(
                            ResponseCode::FormErr | ResponseCode::NotImp | ResponseCode::BADVERS,
                        ))) if !is_plain[index] && server.is_plain() => {
                            is_plain[index] = true;
                            continue;
                        }
                        Ok(Err(unfit)) => self.note(log, server.addr, describe(&unfit)),
                        Err(failed) => {
                            self.hurt(index);
                            // Some drop what they do not understand; none of those speaks TLS, where the padding would be lost.
                            is_plain[index] |=
                                server.is_plain() && failed.kind == io::ErrorKind::TimedOut;
                            self.note(log, server.addr, failed);
                        }
                    }
                    break;
                }
            }
        }
        None
    }

    async fn exchange(
        &self,
        server: &Server,
        question: &Query,
        edns: bool,
    ) -> Result<Message, Failed> {
        let Servers { timeout, randomize_case, tcp_only, .. } = self.servers;
        let manner = Manner { timeout, edns, randomize_case, tcp_only, pads: false };
        exchange(server, question, manner, &self.counters).await
    }

    fn note(&self, log: &Log, server: SocketAddr, failed: Failed) {
        self.counters.failures();
        lock(&log.attempts).push((server, failed));
    }

    /// The servers in the order of the configuration, those that are sore behind the others. Those without TLS come last in any case.
    fn order(&self) -> Vec<usize> {
        let count = self.sore.len();
        let mut order: Vec<usize> = (0..count).collect();
        if self.servers.rotate && count > 0 {
            order.rotate_left(self.turn.fetch_add(1, Ordering::SeqCst) % count);
        }
        let now = self.now();
        order.sort_by_key(|&index| {
            let is_sore = self.sore[index].load(Ordering::SeqCst) > now;
            (self.servers.list[index].is_plain(), is_sore)
        });
        order
    }

    fn hurt(&self, index: usize) {
        let until = self.now() + SORE.as_millis() as u64;
        self.sore[index].store(until, Ordering::SeqCst);
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }
}

/// Asks the servers and keeps what they say.
async fn fly(upstream: Arc<Upstream>, question: Query, cache: Arc<Cache>, log: Arc<Log>) -> Answer {
    let _landing = Landing(Arc::clone(&log));
    let mut answer = pin!(async {
        let _permit = upstream.permits.acquire().await;
        upstream.ask_servers(&question, &log).await
    });
    let answer = poll_fn(|cx| {
        log.looked.store(upstream.now(), Ordering::SeqCst);
        answer.as_mut().poll(cx)
    });
    match answer.await {
        Some((reply, asked)) => {
            cache.insert(&question, &reply, asked);
            Ok(Arc::new(reply))
        }
        None => Err(lock(&log.attempts).clone().into()),
    }
}

/// One that waits for a flight. The last one to leave takes it off the list.
struct Passenger<'a> {
    flight: Shared<Flight>,
    log: Arc<Log>,
    question: Query,
    upstream: &'a Upstream,
}

impl Drop for Passenger<'_> {
    fn drop(&mut self) {
        // Not by a look at the future itself, which would panic once it has panicked.
        let is_landed = self.log.is_landed.load(Ordering::SeqCst);
        let mut flights = lock(&self.upstream.flights);
        let Some(entry) = flights.get_mut(&self.question) else { return };
        // A flight that had landed may have made room for another one.
        if !Arc::ptr_eq(&entry.log, &self.log) {
            return;
        }
        entry.passengers -= 1;
        if is_landed || entry.passengers == 0 {
            flights.remove(&self.question);
        }
    }
}

fn describe(unfit: &Unfit) -> Failed {
    let text = match unfit {
        Unfit::Code(code) => format!("it answers: {code}"),
        Unfit::Lame => "it neither knows the answer nor asks others".to_owned(),
        Unfit::AliasLoop => "the name is an alias of itself".to_owned(),
        Unfit::TooManyAliases => "too many aliases".to_owned(),
    };
    Failed::new(io::ErrorKind::Other, text)
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing that is done under these locks leaves a value half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
