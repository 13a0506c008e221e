//! Accepting connections, whatever `accept(2)` says.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use smolkit_net::{TcpListener, TcpStream};
use smolkit_runtime::Timer;

use super::hub::Hub;

const PAUSE_MIN: Duration = Duration::from_millis(5);
/// Half a second, so that the server is back within one when descriptors are there again.
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// So many errors in a row that concern one connection each are something else.
const RETRIES_MAX: u32 = 16;
const LOG_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Of the one connection that was to be accepted.
    Connection,
    /// Of the system, which is short of something.
    Exhaustion,
    /// Of the listener.
    Listener,
}

fn classify(error: &io::Error) -> Fault {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Fault::Exhaustion,
        // `accept(2)`: Linux passes pending errors of the new socket's network on, to be treated like EAGAIN; EPERM comes from a firewall.
        Some(
            Errno::CONNABORTED
            | Errno::INTR
            | Errno::PROTO
            | Errno::PERM
            | Errno::NETDOWN
            | Errno::NOPROTOOPT
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::OPNOTSUPP
            | Errno::NETUNREACH
            | Errno::TIMEDOUT
            | Errno::CONNRESET
            | Errno::NOTCONN,
        ) => Fault::Connection,
        #[cfg(any(target_os = "linux", target_os = "android"))]
        Some(Errno::NONET) => Fault::Connection,
        _ => Fault::Listener,
    }
}

/// The accept loop: a listener, and what to do when it fails or the server is full.
pub(super) struct Acceptor {
    listener: TcpListener,
    hub: Arc<Hub>,
    pause: Option<Pause>,
    pause_next: Duration,
    retries: u32,
    log: LogGate,
}

struct Pause {
    timer: Timer,
    /// A connection that ends gives back what we are short of.
    ended_before: u64,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener, hub: Arc<Hub>) -> Acceptor {
        let log = LogGate { last: None, suppressed: 0 };
        Acceptor { listener, hub, pause: None, pause_next: PAUSE_MIN, retries: 0, log }
    }

    /// The next connection.
    ///
    /// # Errors
    ///
    /// Only such that leave the listener useless.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        loop {
            if let Some(pause) = &mut self.pause {
                let has_ended = self.hub.poll_ended(pause.ended_before, cx).is_ready();
                if !has_ended {
                    ready!(Pin::new(&mut pause.timer).poll(cx));
                }
                self.pause = None;
            }
            ready!(self.hub.poll_fewer(self.hub.limits().connections_max, cx));
            match ready!(self.listener.poll_accept(cx)) {
                Ok((stream, _)) => {
                    self.pause_next = PAUSE_MIN;
                    self.retries = 0;
                    return Poll::Ready(Ok(stream));
                }
                Err(error) => self.recover(error)?,
            }
        }
    }

    pub(super) fn into_listener(self) -> TcpListener {
        self.listener
    }

    fn recover(&mut self, error: io::Error) -> io::Result<()> {
        let fault = classify(&error);
        if fault == Fault::Listener {
            let message = format!("the server cannot accept connections: {error}");
            return Err(io::Error::new(error.kind(), message));
        }
        self.retries += 1;
        if fault == Fault::Connection && self.retries < RETRIES_MAX {
            return Ok(());
        }
        if let Some(suppressed) = self.log.open(Instant::now()) {
            let pause = self.pause_next;
            tracing::warn!(%error, ?pause, suppressed, "no connection can be accepted now");
        }
        let ended_before = self.hub.ended();
        self.pause = Some(Pause { timer: Timer::after(self.pause_next), ended_before });
        self.pause_next = (self.pause_next * 2).min(PAUSE_MAX);
        Ok(())
    }
}

/// One line per [`LOG_INTERVAL`], and how many were left out.
struct LogGate {
    last: Option<Instant>,
    suppressed: u64,
}

impl LogGate {
    fn open(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.duration_since(last) < LOG_INTERVAL) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_of_the_listener_end_the_server() {
        for (errno, fault) in [
            (Errno::MFILE, Fault::Exhaustion),
            (Errno::NFILE, Fault::Exhaustion),
            (Errno::NOBUFS, Fault::Exhaustion),
            (Errno::NOMEM, Fault::Exhaustion),
            (Errno::CONNABORTED, Fault::Connection),
            (Errno::PROTO, Fault::Connection),
            (Errno::PERM, Fault::Connection),
            (Errno::INTR, Fault::Connection),
            (Errno::BADF, Fault::Listener),
            (Errno::INVAL, Fault::Listener),
            (Errno::NOTSOCK, Fault::Listener),
        ] {
            assert_eq!(classify(&errno.into()), fault, "{errno:?}");
        }
    }

    #[test]
    fn logs_a_line_per_second() {
        let start = Instant::now();
        let mut gate = LogGate { last: None, suppressed: 0 };
        assert_eq!(gate.open(start), Some(0));
        for millis in [1, 500, 999] {
            assert_eq!(gate.open(start + Duration::from_millis(millis)), None);
        }
        assert_eq!(gate.open(start + LOG_INTERVAL), Some(3));
    }
}
