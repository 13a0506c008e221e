//! A server in this process or in a child, and a client on std's blocking sockets. Every wait has a deadline.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

pub mod child;
pub mod client;
pub mod http2;

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use smolkit_net::TcpListener;
use smolkit_runtime::{Timer, block_on};
use smolkit_service::http::{Drained, Server};

/// What every wait of the tests has at most, unless the test is about a longer one: only what hangs takes as long, however busy the machine is.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A server on a thread of its own.
pub struct Running {
    pub addr: SocketAddr,
    stop: Arc<Mutex<(bool, Option<Waker>)>>,
    outcome: mpsc::Receiver<io::Result<Drained>>,
}

impl Running {
    pub fn start(
        router: Router,
        configure: impl FnOnce(Server) -> Server + Send + 'static,
    ) -> Running {
        Running::driven_by(block_on, router, configure)
    }

    /// Where `drive` lets its connections run.
    pub fn driven_by(
        drive: impl FnOnce(Pin<Box<dyn Future<Output = ()>>>) + Send + 'static,
        router: Router,
        configure: impl FnOnce(Server) -> Server + Send + 'static,
    ) -> Running {
        let (sender, outcome) = mpsc::channel();
        let (addr_sender, addr) = mpsc::channel();
        let stop = Arc::new(Mutex::new((false, None::<Waker>)));
        let stopped = stop.clone();
        thread::spawn(move || {
            drive(Box::pin(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
                addr_sender.send(listener.local_addr().expect("its address")).expect("a test");
                let shutdown = poll_fn(move |cx| {
                    let mut stop = stopped.lock().expect("a lock");
                    if stop.0 {
                        return Poll::Ready(());
                    }
                    stop.1 = Some(cx.waker().clone());
                    Poll::Pending
                });
                let server = configure(Server::new(listener, router)).shutdown(shutdown);
                let _ = sender.send(server.run().await);
            }));
        });
        let addr = addr.recv_timeout(PATIENCE).expect("a server in time");
        Running { addr, stop, outcome }
    }

    /// Begins the graceful shutdown.
    pub fn stop(&self) {
        let mut stop = self.stop.lock().expect("a lock");
        stop.0 = true;
        if let Some(waker) = stop.1.take() {
            waker.wake();
        }
    }

    pub fn drained(&self, within: Duration) -> Drained {
        let outcome = self.outcome.recv_timeout(within);
        outcome.expect("a drain in time").expect("a server without errors")
    }
}

/// Waits until all that was sent to `addr` lies in its sockets' queues: a busy kernel may leave that to a thread which has to wait for a core.
pub fn delivered(addr: SocketAddr) {
    if cfg!(target_os = "linux") {
        eventually(PATIENCE, "delivery", || {
            let sockets = std::fs::read_to_string("/proc/self/net/tcp").expect("proc");
            let mut fields = sockets.lines().map(|line| line.split_whitespace().skip(2).take(3));
            fields.all(|mut fields| {
                // The other end, the state, and the bytes that are to be acknowledged and to be read.
                let [other, _, queues] = [(); 3].map(|()| fields.next().unwrap_or_default());
                !other.ends_with(&format!(":{:04X}", addr.port()))
                    || queues.starts_with("00000000:")
            })
        });
    }
}

/// Runs the future; fails after `limit`.
pub fn within<T>(limit: Duration, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut timer = Timer::after(limit);
    block_on(poll_fn(|cx| {
        let polled = future.as_mut().poll(cx);
        let is_late = polled.is_pending() && Pin::new(&mut timer).poll(cx).is_ready();
        assert!(!is_late, "not within {limit:?}");
        polled
    }))
}

/// Runs `attempt` with times that grow, until it says true. For what takes no longer than it should unless the machine is busy with other things: a
/// fault shows each time.
pub fn in_one_of_several(
    what: &str,
    shortest: Duration,
    mut attempt: impl FnMut(Duration) -> bool,
) {
    let mut times = [1, 3, 9, 27].map(|factor| factor * shortest).into_iter();
    assert!(times.any(&mut attempt), "never: {what}");
}

/// Runs `step` until it says true; fails after `within`.
pub fn eventually(within: Duration, what: &str, mut step: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !step() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
