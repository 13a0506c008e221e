//! The server: its limits, and its run from the first connection to the last.

use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::RouterIntoService;
use smolkit_net::{TcpListener, TcpStream};
use smolkit_runtime::Timer;

use super::accept::Acceptor;
use super::backlog;
use super::connection::Connection;
use super::hub::{Hub, Stage};
use super::limits::Limits;

/// Serves an axum router on one listener, over HTTP/1 and HTTP/2 with prior knowledge.
///
/// # Limits
///
/// All deadlines and limits have defaults: see the table of [the module](super#limits). `Duration::MAX` switches a deadline off.
///
/// # Examples
///
/// ```no_run
/// use axum::{Router, routing::get};
/// use smolkit_net::TcpListener;
/// use smolkit_runtime::{block_on, signal};
/// use smolkit_service::http::Server;
///
/// block_on(async {
///     let app = Router::new().route("/", get(|| async { "hello" }));
///     let listener = TcpListener::bind("0.0.0.0:8080").await?;
///     let drained = Server::new(listener, app).shutdown(signal::shutdown_signal()?).run().await?;
///     println!("good bye: {drained:?}");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[must_use = "a server does nothing until it is `run`"]
pub struct Server {
    listener: TcpListener,
    router: RouterIntoService<Body>,
    limits: Limits,
    shutdown: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// How the connections ended that were open when the server was told to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Connections that ended by themselves: idle, or with their last response.
    pub finished: usize,
    /// Connections that were cut when the drain timeout was over.
    pub aborted: usize,
    /// Handlers and bodies of responses that have panicked in the life of the server.
    pub panics: u64,
}

impl Server {
    /// A server with the default limits, which runs until an error of the listener.
    pub fn new(listener: TcpListener, router: Router) -> Server {
        Server {
            listener,
            // axum prepares its routes here, once, instead of at each request.
            router: router.with_state(()).into_service(),
            limits: Limits::default(),
            shutdown: Box::pin(pending()),
        }
    }

    /// How long a new connection may take to send its first byte. Default: 10 s.
    pub fn first_byte_timeout(mut self, timeout: Duration) -> Server {
        self.limits.first_byte = timeout;
        self
    }

    /// How long the head of a request may take from its first byte to its last; also HTTP/2's preface. Default: 10 s.
    pub fn header_timeout(mut self, timeout: Duration) -> Server {
        self.limits.header = timeout;
        self
    }

    /// How long a client may let us wait for 1 KiB: of a body that the handler reads, or taken of a response. Default: 30 s.
    ///
    /// A slow handler is not stalled; only waits for the client count. On HTTP/2 one stream that moves is enough for its connection.
    pub fn stall_timeout(mut self, timeout: Duration) -> Server {
        self.limits.stall = timeout;
        self
    }

    /// How long a connection may be open without a request. Default: 60 s.
    pub fn idle_timeout(mut self, timeout: Duration) -> Server {
        self.limits.idle = timeout;
        self
    }

    /// How long requests in flight may take after the shutdown has begun. Default: 25 s, as Kubernetes kills after 30 s.
    pub fn drain_timeout(mut self, timeout: Duration) -> Server {
        self.limits.drain = timeout;
        self
    }

    /// How many connections are served at a time, 1 at least; more wait in the kernel's queue. Default: 25,000.
    pub fn max_connections(mut self, count: usize) -> Server {
        self.limits.connections_max = count.max(1);
        self
    }

    /// Begins the graceful shutdown when this future resolves.
    pub fn shutdown(mut self, shutdown: impl Future<Output = ()> + Send + 'static) -> Server {
        self.shutdown = Box::pin(shutdown);
        self
    }

    /// Serves until the shutdown, then drains.
    ///
    /// Connections are tasks of [`smolkit_runtime::spawn`]. When the shutdown has resolved,
    /// - connections that wait in the kernel's queue are taken, and the listener is closed;
    /// - a connection without a request is closed if none comes within 200 ms (one may be on its way); HTTP/2 ones are told at once (GOAWAY);
    /// - a request that was begun, if only by its first byte, is finished, its response says `Connection: close`;
    /// - after the drain timeout, what is left is cut.
    ///
    /// # Errors
    ///
    /// Those of the listener that no waiting helps (EBADF, EINVAL, ENOTSOCK); open connections are cut. Errors of single connections and shortages
    /// (EMFILE, ENFILE, ENOBUFS, ENOMEM) are logged, at most once a second, and sat out.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the listener and cuts all connections.
    pub async fn run(self) -> io::Result<Drained> {
        let Server { listener, router, limits, mut shutdown } = self;
        let hub = Arc::new(Hub::new(limits));
        let _abort = AbortOnDrop(hub.clone());
        let serve = |stream: TcpStream| {
            let connection = Connection::new(stream, router.clone(), &hub);
            smolkit_runtime::spawn(connection).detach();
        };

        let mut acceptor = Acceptor::new(listener, hub.clone());
        let mut next = |cx: &mut Context<'_>| {
            if shutdown.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            acceptor.poll_next(cx).map(Some)
        };
        while let Some(stream) = poll_fn(&mut next).await {
            serve(stream?);
        }

        let room = hub.limits().connections_max.saturating_sub(hub.count());
        backlog::empty(acceptor.into_listener(), room, serve);
        Ok(drain(&hub).await)
    }
}

async fn drain(hub: &Hub) -> Drained {
    let mut timer = Timer::after(hub.limits().drain);
    let ended_before = hub.ended();
    hub.advance(Stage::Draining);
    poll_fn(|cx| {
        let polled = hub.poll_fewer(1, cx);
        if polled.is_ready() { polled } else { Pin::new(&mut timer).poll(cx).map(drop) }
    })
    .await;
    let finished = usize::try_from(hub.ended() - ended_before).unwrap_or(usize::MAX);
    Drained { finished, aborted: hub.count(), panics: hub.panics() }
}

struct AbortOnDrop(Arc<Hub>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.advance(Stage::Aborting);
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("listener", &self.listener)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
