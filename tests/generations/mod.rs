//! A server of which one process after the other takes over, while clients connect all the time.

use std::collections::BTreeSet;
use std::env;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use smolkit::net::TcpListener;
use smolkit::net::handover::{Sockets, Successor};
use smolkit::process::{Child, Command};
use smolkit::{Timer, block_on};

use crate::support::{child, is_child, within};

const LEFT: &str = "SMOLKIT_TEST_LEFT";
const NAME: &str = "test";

/// The question that ends the last generation.
pub(crate) const LAST: u8 = 255;

pub(crate) fn start(sockets: &Sockets, mut command: Command) -> (Successor, Child) {
    let (successor, fd) = sockets.successor().unwrap();
    let (name, value) = successor.variable(3);
    let child = command.env(name, value).fd(3, fd).spawn().unwrap();
    (successor, child)
}

/// What a process has served so far.
#[derive(Default)]
pub(crate) struct Served {
    count: AtomicUsize,
    last: AtomicBool,
}

impl Served {
    pub(crate) fn count(&self, is_last: bool) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.last.fetch_or(is_last, Ordering::SeqCst);
    }
}

/// A process that takes over, serves, and hands over.
pub(crate) struct Generation {
    test: &'static str,
    /// How many come after it.
    left: usize,
    pub(crate) served: Arc<Served>,
    child: Option<Child>,
}

impl Generation {
    pub(crate) async fn take_over(&self) -> io::Result<TcpListener> {
        let mut sockets = Sockets::inherited()?;
        let listener = sockets.tcp_listener(NAME)?.expect("the predecessor has one");
        sockets.ready()?;
        Ok(listener)
    }

    /// Returns when this process should stop accepting: the next one does, or the last one was told to end.
    pub(crate) async fn successor(&mut self, listener: &TcpListener) -> io::Result<()> {
        let served = self.served.clone();
        let is_due = || match self.left {
            0 => served.last.load(Ordering::SeqCst),
            // Some clients for each generation.
            _ => served.count.load(Ordering::SeqCst) >= 50,
        };
        while !is_due() {
            Timer::after(Duration::from_millis(1)).await;
        }
        if self.left > 0 {
            let mut sockets = Sockets::new();
            sockets.add(NAME, listener)?;
            let (successor, child) = start(&sockets, command(self.test, self.left - 1));
            successor.ready().await?;
            self.child = Some(child);
        }
        Ok(())
    }

    /// The test waits for the first generation, so each one waits for the next.
    pub(crate) async fn end(self) -> io::Result<()> {
        if let Some(mut child) = self.child {
            assert!(child.status().await?.success());
        }
        Ok(())
    }
}

fn command(test: &str, left: usize) -> Command {
    let mut command = child(test, "generation");
    command.env(LEFT, left.to_string());
    command
}

/// The test, and its children: `ask` is a client's question with a number from 0 to 254, answered by the number of the process.
pub(crate) fn run<F: Future<Output = io::Result<()>>>(
    test: &'static str,
    serve: impl FnOnce(Generation) -> F,
    ask: fn(SocketAddr, u8) -> io::Result<u32>,
) {
    if is_child("generation") {
        let left = env::var(LEFT).unwrap().parse().unwrap();
        let served = Arc::default();
        return within(serve(Generation { test, left, served, child: None })).unwrap();
    }
    let generations = if env::var_os("SMOLKIT_FULL").is_some() { 50 } else { 20 };
    let listener = block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let addr = listener.local_addr().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    // The processes that have answered.
    let pids = Arc::new(Mutex::new(BTreeSet::new()));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (stop, pids) = (stop.clone(), pids.clone());
            thread::spawn(move || {
                for question in (0..LAST).cycle() {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let pid = ask(addr, question).expect("every connection is served");
                    pids.lock().unwrap().insert(pid);
                }
            })
        })
        .collect();
    let mut sockets = Sockets::new();
    sockets.add(NAME, &listener).unwrap();
    let (successor, mut first) = start(&sockets, command(test, generations - 1));
    within(successor.ready()).unwrap();
    drop((sockets, listener));
    let deadline = Instant::now() + Duration::from_secs(300);
    while pids.lock().unwrap().len() < generations {
        let failed = clients.iter().any(|client| client.is_finished());
        if failed || Instant::now() > deadline {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().expect("no client has failed");
    }
    assert_eq!(pids.lock().unwrap().len(), generations);
    ask(addr, LAST).expect("the last generation is there");
    assert!(within(first.status()).unwrap().success());
}
