//! A server that is asked over TLS (RFC 7858), and the connection to it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_lock::{Mutex, Semaphore};
use hickory_resolver::net::NetError;
use hickory_resolver::proto::op::{Message, Query};
use rustls_pki_types::ServerName;
use smolkit_runtime::time::timeout;

use super::exchange::{Failed, Manner, failed};
use super::line::{Line, QUESTIONS_MAX};
use super::metrics::Counters;
use super::provider::{Transport, connect};
use crate::TcpStream;
use crate::tls::{TlsConnector, TlsStream};

/// A connection that was silent for so long is not used again: a server closes it about then (RFC 7766 §6.2.3), and others on the way may have forgotten it, without a word.
const IDLE_MAX: Duration = Duration::from_secs(10);

type TlsLine = Line<Transport<TlsStream<TcpStream>>>;

pub(super) struct TlsServer {
    addr: SocketAddr,
    name: String,
    connector: TlsConnector,
    /// Held while it is being made, so that all who ask meanwhile share it.
    line: Mutex<Option<Arc<TlsLine>>>,
    permits: Semaphore,
}

impl TlsServer {
    pub(super) fn new(addr: SocketAddr, name: String, connector: TlsConnector) -> TlsServer {
        let (line, permits) = (Mutex::new(None), Semaphore::new(QUESTIONS_MAX));
        TlsServer { addr, name, connector, line, permits }
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
            let (line, is_new) = self.line(counters).await?;
            match line.ask(question, manner).await {
                // A server may close a connection whenever it likes (RFC 7858 §3.4), but not each before it says anything.
                Err(_) if line.has_ended() && (line.was_heard() || !is_new) => {}
                answer => return answer,
            }
        }
    }

    /// The connection, and whether it was made for this question.
    async fn line(&self, counters: &Counters) -> io::Result<(Arc<TlsLine>, bool)> {
        let mut place = self.line.lock().await;
        if let Some(line) = &*place {
            if !line.has_ended() && line.idle() < IDLE_MAX {
                return Ok((Arc::clone(line), false));
            }
        }
        *place = None;
        counters.tls_connections();
        let transport = connect(self.addr).await?;
        let stream = self.connector.connect(&self.name, transport).await?;
        let line = Arc::new(Line::new(Transport(stream), self.addr));
        *place = Some(Arc::clone(&line));
        Ok((line, true))
    }

    /// Leaves a connection on which the server was silent since `start`. One that only takes long for one question is kept.
    fn hang_up(&self, start: Instant) {
        // If somebody holds it there is a new one.
        if let Some(mut place) = self.line.try_lock() {
            if place.as_ref().is_some_and(|line| line.was_silent_since(start)) {
                *place = None;
            }
        }
    }
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
