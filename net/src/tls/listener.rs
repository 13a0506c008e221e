//! A TCP listener whose connections come with their handshake done.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use smolkit_runtime::{Task, spawn};

use super::{TlsAcceptor, TlsStream};
use crate::{TcpListener, TcpStream};

/// So many connections may be between the TCP connection and `accept`.
const HANDSHAKES_MAX: usize = 1_024;

/// A TCP listener whose connections come with their handshake done. `TCP_NODELAY` is set on them.
///
/// Handshakes run beside each other, in tasks of their own: one that takes long, or a client that says nothing, holds up nobody. A handshake that fails is not an
/// error of [`accept`](TlsListener::accept); it is counted, and [`on_failure`](TlsListener::on_failure) hears of it.
///
/// # Limits
///
/// A handshake ends with the acceptor's deadline (10 s). At most 1,024 connections ([`handshakes_max`](TlsListener::handshakes_max)) are in a handshake or wait to be accepted. When there are
/// that many, the next one takes the place of the one that has been silent longest; if all of them have said something, it waits in the kernel's queue.
///
/// # Panics
///
/// Accepting panics as [`spawn`](smolkit_runtime::spawn) does: outside of a runtime, if the global one cannot start a single thread.
///
/// # Examples
///
/// ```
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use smolkit_net::TcpListener;
/// use smolkit_net::tls::{Identity, TlsAcceptor, TlsListener};
/// # use smolkit_net::tls::{Roots, TlsConnector};
/// # use smolkit_runtime as smolkit;
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// # let (certificate, key) = (certificate.as_bytes(), key.as_bytes());
///
/// smolkit::block_on(async {
///     let acceptor = TlsAcceptor::builder(Identity::from_pem(certificate, key)?).build()?;
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let mut listener = TlsListener::new(listener, acceptor)
///         .handshakes_max(256)
///         .on_failure(|peer, error| eprintln!("{peer}: {error}"));
/// #   let connector = TlsConnector::builder(Roots::pem(certificate)?).build()?;
/// #   let port = listener.tcp().local_addr()?.port();
/// #   let _client = smolkit::spawn(async move {
/// #       let mut stream = connector.connect_tcp("localhost", port).await?;
/// #       stream.read_to_end(&mut Vec::new()).await
/// #   });
///     loop {
///         let (mut stream, _peer) = listener.accept().await?;
///         let task = smolkit::spawn(async move {
///             stream.write_all(b"hello").await?;
///             stream.close().await
///         });
/// #       assert_eq!(listener.metrics().completed, 1);
/// #       task.await?;
/// #       break std::io::Result::Ok(());
///         task.detach();
///     }
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    handshakes_max: usize,
    on_failure: Option<Arc<OnFailure>>,
    shared: Arc<Shared>,
    next_id: u64,
}

type OnFailure = dyn Fn(SocketAddr, &io::Error) + Send + Sync;

/// What has become of the connections of a [`TlsListener`].
///
/// # Examples
///
/// See [`TlsListener::metrics`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandshakeMetrics {
    /// In a handshake now.
    pub running: usize,
    /// Done, and not accepted yet.
    pub waiting: usize,
    /// Done, since the beginning.
    pub completed: u64,
    /// Failed, the late ones included.
    pub failed: u64,
    /// Not finished before the deadline.
    pub timed_out: u64,
    /// Silent, and closed to make room.
    pub evicted: u64,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    completed: AtomicU64,
    failed: AtomicU64,
    timed_out: AtomicU64,
    evicted: AtomicU64,
}

#[derive(Default)]
struct State {
    /// By age.
    running: BTreeMap<u64, Handshake>,
    done: VecDeque<(TlsStream<TcpStream>, SocketAddr)>,
    accepting: Option<Waker>,
    /// It waits for a place, not for a connection.
    is_stuck: bool,
}

/// What a client has said so far.
mod said {
    /// Nobody has looked.
    pub(super) const UNKNOWN: u8 = 0;
    pub(super) const NOTHING: u8 = 1;
    pub(super) const SOMETHING: u8 = 2;
}

struct Handshake {
    said: Arc<AtomicU8>,
    /// `None` until it is spawned.
    task: Option<Task<()>>,
}

impl State {
    fn count(&self) -> usize {
        self.running.len() + self.done.len()
    }

    fn oldest_silent(&self) -> Option<u64> {
        // Relaxed: whoever changes it takes the lock next, and comes to see whether somebody waits for that.
        let silent =
            |handshake: &Handshake| handshake.said.load(Ordering::Relaxed) == said::NOTHING;
        self.running.iter().find(|(_, handshake)| silent(handshake)).map(|(&id, _)| id)
    }
}

impl TlsListener {
    /// Does the acceptor's handshake on the listener's connections, as soon as [`accept`](TlsListener::accept) is called.
    pub fn new(listener: TcpListener, acceptor: TlsAcceptor) -> TlsListener {
        TlsListener {
            listener,
            acceptor,
            handshakes_max: HANDSHAKES_MAX,
            on_failure: None,
            shared: Arc::new(Shared::default()),
            next_id: 0,
        }
    }

    /// How many connections may be in a handshake or wait to be accepted; at least 1.
    pub fn handshakes_max(mut self, handshakes_max: usize) -> TlsListener {
        self.handshakes_max = handshakes_max.max(1);
        self
    }

    /// Called with each handshake that fails, on the thread that finds it out. Whoever connects can cause that: log with care.
    ///
    /// If it panics, that ends the task of this handshake and nothing else.
    pub fn on_failure(
        mut self,
        on_failure: impl Fn(SocketAddr, &io::Error) + Send + Sync + 'static,
    ) -> TlsListener {
        self.on_failure = Some(Arc::new(on_failure));
        self
    }

    /// The next connection whose handshake is done.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing: handshakes go on, and the next call gets them. New connections are taken only while it is awaited.
    ///
    /// # Errors
    ///
    /// Those of [`TcpListener::accept`].
    pub async fn accept(&mut self) -> io::Result<(TlsStream<TcpStream>, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// [`accept`](TlsListener::accept) as a poll function. Of several tasks that poll, the last one is woken.
    ///
    /// # Errors
    ///
    /// As [`accept`](TlsListener::accept).
    pub fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(TlsStream<TcpStream>, SocketAddr)>> {
        loop {
            let is_full = {
                let mut state = self.shared.lock();
                if let Some(done) = state.done.pop_front() {
                    return Poll::Ready(Ok(done));
                }
                let old = state.accepting.replace(cx.waker().clone());
                let is_full = state.count() >= self.handshakes_max;
                let is_stuck = is_full && state.oldest_silent().is_none();
                state.is_stuck = is_stuck;
                drop(state);
                // A waker may do anything when it is dropped; not under the lock.
                drop(old);
                if is_stuck {
                    return Poll::Pending;
                }
                is_full
            };
            let (stream, peer) = match self.listener.poll_accept(cx) {
                Poll::Ready(result) => result?,
                Poll::Pending => return Poll::Pending,
            };
            if is_full {
                self.shared.evict();
            }
            self.start(stream, peer);
        }
    }

    fn start(&mut self, stream: TcpStream, peer: SocketAddr) {
        // It is a question of latency only.
        let _ = stream.set_nodelay(true);
        let id = self.next_id;
        self.next_id += 1;
        let said = Arc::new(AtomicU8::new(said::UNKNOWN));
        let handshake = Handshake { said: said.clone(), task: None };
        self.shared.lock().running.insert(id, handshake);
        let (shared, acceptor) = (self.shared.clone(), self.acceptor.clone());
        let on_failure = self.on_failure.clone();
        let task = spawn(async move {
            // However this ends, even with a panic of `on_failure`, it gives its place back.
            let place = Place { shared: &shared, id };
            let looked = |has_heard| shared.looked(&said, has_heard);
            match acceptor.accept_watched(stream, looked).await {
                Ok(stream) => {
                    shared.completed.fetch_add(1, Ordering::Relaxed);
                    place.fill(stream, peer);
                }
                Err(error) => {
                    shared.failed.fetch_add(1, Ordering::Relaxed);
                    if error.kind() == io::ErrorKind::TimedOut {
                        shared.timed_out.fetch_add(1, Ordering::Relaxed);
                    }
                    if let Some(on_failure) = on_failure {
                        on_failure(peer, &error);
                    }
                }
            }
        });
        let mut state = self.shared.lock();
        match state.running.get_mut(&id) {
            Some(handshake) => handshake.task = Some(task),
            None => {
                drop(state);
                task.detach();
            }
        }
    }

    /// What has become of its connections.
    ///
    /// # Examples
    ///
    /// ```
    /// # use smolkit_net::TcpListener;
    /// # use smolkit_net::tls::{Identity, TlsAcceptor, TlsListener};
    /// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    /// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    /// # let (certificate, key) = (certificate.as_bytes(), key.as_bytes());
    /// # let acceptor = TlsAcceptor::builder(Identity::from_pem(certificate, key)?).build()?;
    /// # let listener = smolkit_runtime::block_on(TcpListener::bind("127.0.0.1:0"))?;
    /// # let listener = TlsListener::new(listener, acceptor);
    /// let metrics = listener.metrics();
    /// println!("{} of {} have failed", metrics.failed, metrics.failed + metrics.completed);
    /// # assert_eq!((metrics.running, metrics.evicted), (0, 0));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn metrics(&self) -> HandshakeMetrics {
        let state = self.shared.lock();
        HandshakeMetrics {
            running: state.running.len(),
            waiting: state.done.len(),
            completed: self.shared.completed.load(Ordering::Relaxed),
            failed: self.shared.failed.load(Ordering::Relaxed),
            timed_out: self.shared.timed_out.load(Ordering::Relaxed),
            evicted: self.shared.evicted.load(Ordering::Relaxed),
        }
    }

    /// The listener below, for its address.
    pub fn tcp(&self) -> &TcpListener {
        &self.listener
    }

    /// The acceptor, to reload its certificates.
    pub fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A handshake has looked at its client. The first look may find one that can be sent away.
    fn looked(&self, said: &AtomicU8, has_heard: bool) {
        let now = if has_heard { said::SOMETHING } else { said::NOTHING };
        let before = said.swap(now, Ordering::Relaxed);
        if (before, now) != (said::UNKNOWN, said::NOTHING) {
            return;
        }
        let mut state = self.lock();
        let waker = if state.is_stuck { state.accepting.take() } else { None };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Ends the handshake that has been silent longest.
    fn evict(&self) {
        let mut state = self.lock();
        let id = state.oldest_silent();
        let evicted = id.and_then(|id| state.running.remove(&id));
        drop(state);
        if evicted.is_some() {
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
        // Dropping the task drops the connection.
        drop(evicted);
    }
}

/// The place of a handshake among those that run.
struct Place<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Place<'_> {
    fn fill(self, stream: TlsStream<TcpStream>, peer: SocketAddr) {
        let mut state = self.shared.lock();
        // Whoever has lost its place is to end.
        if state.running.contains_key(&self.id) {
            state.done.push_back((stream, peer));
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let left = state.running.remove(&self.id);
        let waker = state.accepting.take();
        drop(state);
        // It is this task's own handle: it must not cancel what it is in the middle of.
        if let Some(task) = left.and_then(|handshake| handshake.task) {
            task.detach();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let (running, done) = (std::mem::take(&mut state.running), std::mem::take(&mut state.done));
        drop(state);
        drop((running, done));
    }
}

impl fmt::Debug for TlsListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsListener")
            .field("listener", &self.listener)
            .field("acceptor", &self.acceptor)
            .field("metrics", &self.metrics())
            .finish_non_exhaustive()
    }
}
