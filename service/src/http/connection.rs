//! One connection: from the first byte to the last, its deadlines, and its part in the drain.

use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use axum::body::Body;
use axum::routing::RouterIntoService;
use futures_io::AsyncRead;
use hyper::server::conn::{http1, http2};
use rustix::net::{RecvFlags, recv};
use smolkit_net::TcpStream;
use smolkit_runtime::Timer;

use super::activity::Activity;
use super::adapter::Adapter;
use super::clock::{self, Ticks};
use super::detect::{Protocol, detect};
use super::hub::{Hub, Stage, Ticket};
use super::io::Io;
use super::limits;

/// The first read. Most first requests fit, so that hyper needs no second one.
const FIRST_READ_BYTES: usize = 1024;
/// How long, and how much, is read from a client that still sends after the last response, so that a reset does not overtake the response.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 256 * 1024;
/// How long an idle connection stays open when the drain begins: its client's next request may be on the way, and a close would cut it. What comes is answered
/// with `Connection: close`.
const LAST_REQUEST_WAIT: Duration = Duration::from_millis(200);
/// How soon to look again at an idle connection whose next request has just come.
const LOOK_AGAIN: Ticks = 100;

pub(super) struct Connection {
    stream: TcpStream,
    activity: Arc<Activity>,
    state: State,
    opened: Ticks,
    /// The watchdog, which wakes through the activity.
    timer: Timer,
    timer_waker: Waker,
    task: Option<Waker>,
    drain: Drain,
    /// HTTP/2: the client has been told to go, and until when it may take to do so.
    goodbye: Option<Ticks>,
    _ticket: Ticket,
}

#[expect(clippy::large_enum_variant, reason = "nearly every connection is in the large one")]
enum State {
    Detecting { seen: Vec<u8>, router: Option<RouterIntoService<Body>> },
    Http1(http1::Connection<Io, Adapter>),
    Http2(Box<http2::Connection<Io, Adapter, Spawn>>),
    Lingering { until: Ticks, bytes_left: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drain {
    No,
    /// The server drains, but a request may be on its way, to the socket or through the parser. If none has come at this time, there is none.
    Wanted {
        until: Ticks,
    },
    Begun,
}

impl Connection {
    pub(super) fn new(
        stream: TcpStream,
        router: RouterIntoService<Body>,
        hub: &Arc<Hub>,
    ) -> Connection {
        let activity = Arc::new(Activity::new(hub.clone()));
        // It fails only on a connection that is gone.
        let _ = stream.set_nodelay(true);
        Connection {
            stream,
            state: State::Detecting { seen: Vec::new(), router: Some(router) },
            opened: clock::now(),
            timer: Timer::never(),
            timer_waker: activity.clone().into(),
            task: None,
            drain: Drain::No,
            goodbye: None,
            _ticket: hub.enter(activity.clone()),
            activity,
        }
    }

    /// Looks at the server's stage and at the deadlines. `Break`: the connection ends now.
    fn look(&mut self) -> ControlFlow<()> {
        let stage = self.activity.hub().stage();
        if stage == Stage::Aborting {
            return ControlFlow::Break(());
        }
        if stage == Stage::Draining && self.drain == Drain::No {
            let until = clock::after(clock::now(), clock::ticks(LAST_REQUEST_WAIT));
            self.drain = Drain::Wanted { until };
        }
        let now = clock::now();
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.expire(now)?;
        }
        self.arm(now);
        ControlFlow::Continue(())
    }

    fn deadline(&self) -> Option<Ticks> {
        let deadline = self.own_deadline();
        match (self.drain, &self.state) {
            (Drain::Wanted { until }, State::Detecting { seen, .. }) if seen.is_empty() => {
                Some(deadline.map_or(until, |deadline| deadline.min(until)))
            }
            (Drain::Wanted { until }, State::Http1(_)) if self.is_at_rest() => {
                Some(deadline.map_or(until, |deadline| deadline.min(until)))
            }
            _ => deadline,
        }
    }

    fn is_at_rest(&self) -> bool {
        self.activity.is_idle() && !self.activity.is_owed() && !self.activity.has_partial_head()
    }

    fn own_deadline(&self) -> Option<Ticks> {
        match &self.state {
            State::Detecting { seen, .. } if seen.is_empty() => {
                let first_byte = clock::ticks(self.activity.hub().limits().first_byte);
                Some(clock::after(self.opened, first_byte))
            }
            State::Lingering { until, .. } => Some(*until),
            _ => match self.goodbye {
                Some(until) if self.activity.is_idle() => Some(until),
                _ => self.activity.deadline(),
            },
        }
    }

    fn expire(&mut self, now: Ticks) -> ControlFlow<()> {
        let is_at_rest = self.is_at_rest();
        match &mut self.state {
            // It has come, we only have not read it: late is who looks, not the client.
            State::Detecting { seen, .. } if seen.is_empty() && has_bytes(&self.stream) => {
                ControlFlow::Continue(())
            }
            // The next request has come, hyper only has not seen it.
            State::Http1(_) if is_at_rest && has_bytes(&self.stream) => ControlFlow::Continue(()),
            State::Http2(http) if is_at_rest && self.goodbye.is_none() => {
                Pin::new(&mut **http).graceful_shutdown();
                self.goodbye = Some(clock::after(now, self.activity.stall()));
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Break(()),
        }
    }

    fn arm(&mut self, now: Ticks) {
        let mut until = self.activity.arm(now);
        if let Some(deadline) = self.deadline() {
            let deadline = if deadline > now { deadline } else { now + LOOK_AGAIN };
            if deadline < until || until <= now {
                until = deadline;
                self.activity.arm_until(until);
            }
        }
        let mut cx = Context::from_waker(&self.timer_waker);
        self.timer.set_after(Duration::from_millis(until.saturating_sub(now)));
        if Pin::new(&mut self.timer).poll(&mut cx).is_ready() {
            self.activity.sound();
        }
    }

    /// Begins the drain, unless a request may be on its way: hyper would close the connection under it.
    fn retire(&mut self) {
        match &mut self.state {
            State::Detecting { .. } | State::Lingering { .. } => return,
            State::Http1(http) => {
                // Between requests: the last one may be on its way. `deadline` ends the wait.
                if self.activity.is_idle() {
                    if let (Drain::Wanted { until }, true) = (self.drain, self.is_at_rest()) {
                        self.activity.expect(until);
                    }
                    return;
                }
                Pin::new(http).graceful_shutdown();
            }
            State::Http2(http) => Pin::new(&mut **http).graceful_shutdown(),
        }
        self.drain = Drain::Begun;
        // What was asked of hyper happens at its next poll.
        if let Some(task) = &self.task {
            task.wake_by_ref();
        }
    }

    fn poll_state(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.state {
                State::Detecting { .. } => {
                    let is_http = ready!(self.poll_detect(cx));
                    if !is_http {
                        return Poll::Ready(());
                    }
                }
                State::Http1(http) => {
                    let result = ready!(Pin::new(http).poll(cx));
                    let is_unread = result.is_err() || self.activity.has_unread_body();
                    if !is_unread || self.stream.shutdown(Shutdown::Write).is_err() {
                        return Poll::Ready(());
                    }
                    let until = clock::after(clock::now(), clock::ticks(LINGER));
                    self.state = State::Lingering { until, bytes_left: LINGER_BYTES_MAX };
                    self.activity.expect(until);
                }
                State::Http2(http) => {
                    // Its errors are the client's; hyper has sent a GOAWAY.
                    let _ = ready!(Pin::new(&mut **http).poll(cx));
                    return Poll::Ready(());
                }
                State::Lingering { bytes_left, .. } => {
                    let mut sink = [0; 4096];
                    match ready!(AsyncRead::poll_read(Pin::new(&mut self.stream), cx, &mut sink)) {
                        Ok(bytes) if bytes > 0 && bytes < *bytes_left => *bytes_left -= bytes,
                        _ => return Poll::Ready(()),
                    }
                }
            }
        }
    }

    /// Ready with false: the connection ends before the first request.
    fn poll_detect(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let State::Detecting { seen, router } = &mut self.state else { return Poll::Ready(true) };
        let mut buffer = [0; FIRST_READ_BYTES];
        let protocol = loop {
            let polled = AsyncRead::poll_read(Pin::new(&mut self.stream), cx, &mut buffer);
            match polled {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(false),
                Poll::Ready(Ok(bytes)) => seen.extend_from_slice(&buffer[..bytes]),
            }
            self.activity.head_begins();
            if let Some(protocol) = detect(seen) {
                break protocol;
            }
        };
        let seen = std::mem::take(seen);
        let router = router.take().expect("detection ends once");
        let io = Io::new(self.stream.clone(), seen, protocol, self.activity.clone());
        let adapter = Adapter::new(router, self.activity.clone());
        self.state = match protocol {
            Protocol::Http1 => State::Http1(http1(io, adapter)),
            Protocol::Http2 => {
                self.activity.head_ends();
                State::Http2(Box::new(http2(io, adapter)))
            }
        };
        Poll::Ready(true)
    }
}

impl Future for Connection {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if !this.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            this.task = Some(cx.waker().clone());
            this.activity.watched_by(cx.waker());
        }
        if this.activity.take_alarm() && this.look().is_break() {
            return Poll::Ready(());
        }
        if this.poll_state(cx).is_ready() {
            return Poll::Ready(());
        }
        if matches!(this.drain, Drain::Wanted { .. }) {
            this.retire();
        }
        this.activity.expect_head();
        Poll::Pending
    }
}

fn http1(io: Io, adapter: Adapter) -> http1::Connection<Io, Adapter> {
    http1::Builder::new()
        .half_close(true)
        .max_buf_size(limits::HEAD_BYTES_MAX)
        .serve_connection(io, adapter)
}

fn http2(io: Io, adapter: Adapter) -> http2::Connection<Io, Adapter, Spawn> {
    http2::Builder::new(Spawn)
        .max_concurrent_streams(limits::STREAMS_MAX)
        .max_header_list_size(limits::HEADER_LIST_BYTES_MAX)
        .max_pending_accept_reset_streams(limits::PENDING_RESETS_MAX)
        .max_local_error_reset_streams(limits::LOCAL_RESETS_MAX)
        .max_send_buf_size(limits::SEND_BUFFER_BYTES_MAX)
        .serve_connection(io, adapter)
}

/// Whether there are bytes in the socket that nobody has read.
fn has_bytes(stream: &TcpStream) -> bool {
    let mut byte = [0u8; 1];
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    matches!(recv(stream, &mut byte[..], flags).map_err(io::Error::from), Ok((_, 1..)))
}

/// Runs the streams of HTTP/2 as tasks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spawn;

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Spawn {
    fn execute(&self, stream: F) {
        smolkit_runtime::spawn(stream).detach();
    }
}
