//! A server that is asked over TLS (RFC 7858), and the connection to it.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::{FutureExt, Shared, WeakShared};
use hickory_resolver::net::NetError;
use hickory_resolver::proto::op::{Message, Query};
use rustls_pki_types::ServerName;
use smolkit_runtime::time::timeout;

use super::exchange::{Failed, Manner, failed};
use super::line::{Line, QUESTIONS_MAX};
use super::metrics::Counters;
use super::permits::Permits;
use super::provider::{Transport, connect};
use super::upstream::lock;
use crate::TcpStream;
use crate::tls::{TlsConnector, TlsStream};

/// A connection that was silent for so long is not used again: a server closes it about then (RFC 7766 §6.2.3), and others on the way may have forgotten it, without a word.
const IDLE_MAX: Duration = Duration::from_secs(10);

type TlsLine = Line<Transport<TlsStream<TcpStream>>>;
/// A connection in the making. It belongs to all who wait for it: one who does not look any more holds up nobody.
type Making = Pin<Box<dyn Future<Output = Result<Arc<TlsLine>, NetError>> + Send>>;

#[derive(Default)]
enum Place {
    #[default]
    Empty,
    Making(WeakShared<Making>),
    Made(Arc<TlsLine>),
}

pub(super) struct TlsServer {
    addr: SocketAddr,
    name: String,
    connector: TlsConnector,
    place: Arc<Mutex<Place>>,
    permits: Permits,
}

impl TlsServer {
    pub(super) fn new(addr: SocketAddr, name: String, connector: TlsConnector) -> TlsServer {
        let (place, permits) = (Arc::default(), Permits::new(QUESTIONS_MAX));
        TlsServer { addr, name, connector, place, permits }
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Whether its name is one.
    pub(super) fn check(&self) -> io::Result<()> {
        match ServerName::try_from(self.name.as_str()) {
            Ok(_) => Ok(()),
            Err(_) => {
                let message = format!(
                    "cannot ask {} over TLS: {:?} is neither a DNS name nor an IP address",
                    self.addr, self.name
                );
                Err(io::Error::new(io::ErrorKind::InvalidInput, message))
            }
        }
    }

    /// Asks this server, in no other way than this.
    pub(super) async fn exchange(
        &self,
        question: &Query,
        manner: Manner,
        counters: &Counters,
    ) -> Result<Message, Failed> {
        // Nobody can slip anything in, so the case of the letters need not tell; but the length of a question could, to those who see it pass by.
        let manner = Manner { randomize_case: false, pads: true, ..manner };
        counters.sent_over_tls();
        let start = Instant::now();
        match timeout(manner.timeout, self.ask(question, manner, counters)).await {
            Ok(answer) => answer.map_err(|error| failed(error, "TLS", manner)),
            Err(_) => {
                self.hang_up(start);
                Err(failed(NetError::Timeout, "TLS", manner))
            }
        }
    }

    async fn ask(
        &self,
        question: &Query,
        manner: Manner,
        counters: &Counters,
    ) -> Result<Message, NetError> {
        let _permit = self.permits.acquire().await;
        loop {
            let (line, is_new) = match self.line(manner.timeout, counters) {
                Found::Made(line) => (line, false),
                Found::Making(making) => (making.await?, true),
            };
            match line.ask(question, manner).await {
                // A server may close a connection whenever it likes (RFC 7858 §3.4), but not each before it has answered anything.
                Err(_) if line.has_ended() && (line.was_of_use() || !is_new) => {}
                answer => return answer,
            }
        }
    }

    /// The connection, or the one that is being made for all who ask meanwhile.
    fn line(&self, wait: Duration, counters: &Counters) -> Found {
        let mut place = lock(&self.place);
        match &*place {
            Place::Made(line) if !line.has_ended() && line.idle() < IDLE_MAX => {
                return Found::Made(Arc::clone(line));
            }
            Place::Making(making) => {
                // Without those who waited for it there is nothing left of it.
                if let Some(making) = making.upgrade() {
                    return Found::Making(making);
                }
            }
            Place::Made(_) | Place::Empty => {}
        }
        counters.tls_connections();
        let making = self.make(wait).boxed().shared();
        let former = std::mem::take(&mut *place);
        *place = making.downgrade().map_or(Place::Empty, Place::Making);
        drop(place);
        drop(former);
        Found::Making(making)
    }

    /// Makes a connection and puts it in its place, whoever is there to see it.
    fn make(
        &self,
        wait: Duration,
    ) -> impl Future<Output = Result<Arc<TlsLine>, NetError>> + Send + use<> {
        let (addr, name, connector) = (self.addr, self.name.clone(), self.connector.clone());
        let place = Arc::clone(&self.place);
        async move {
            let made = timeout(wait, async {
                let transport = connect(addr).await?;
                io::Result::Ok(Transport(connector.connect(&name, transport).await?))
            });
            let (result, now) = match made.await {
                Ok(Ok(stream)) => {
                    let line = Arc::new(Line::new(stream, addr));
                    (Ok(Arc::clone(&line)), Place::Made(line))
                }
                Ok(Err(error)) => (Err(error.into()), Place::Empty),
                Err(_) => (Err(NetError::Timeout), Place::Empty),
            };
            *lock(&place) = now;
            result
        }
    }

    /// Leaves a connection on which the server was silent since `start`. One that only takes long for one question is kept.
    fn hang_up(&self, start: Instant) {
        let mut place = lock(&self.place);
        let former = match &*place {
            Place::Made(line) if line.was_silent_since(start) => std::mem::take(&mut *place),
            _ => return,
        };
        drop(place);
        drop(former);
    }
}

enum Found {
    Made(Arc<TlsLine>),
    Making(Shared<Making>),
}

/// The same server is the same connection.
impl PartialEq for TlsServer {
    fn eq(&self, other: &TlsServer) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for TlsServer {}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer").field("name", &self.name).finish_non_exhaustive()
    }
}
