//! Goal: a server without descriptors neither spins nor dies, serves what is open, and is back when there are some again (fault H1).
//! Method: a child process with a limit of 64, 150 clients (those that are not accepted fit in the kernel's queue); its processor time is read from /proc, its log lines are counted.
#![cfg(all(feature = "http", target_os = "linux"))]

mod support;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use rustix::process::{Resource, Rlimit, setrlimit};
use smolkit_net::TcpListener;
use smolkit_runtime::block_on;
use smolkit_service::http::Server;

use self::support::child::{self, Process};
use self::support::client::Client;
use self::support::{PATIENCE, eventually};

static WARNINGS: AtomicU64 = AtomicU64::new(0);

/// Counts what is logged.
struct Counter;

impl tracing::Subscriber for Counter {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        if *event.metadata().level() == tracing::Level::WARN {
            WARNINGS.fetch_add(1, Ordering::SeqCst);
        }
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn child_with_64_descriptors() {
    if !child::plays("child_with_64_descriptors") {
        return;
    }
    tracing::subscriber::set_global_default(Counter).expect("the first subscriber");
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum: Some(64) }).expect("a limit");
    let app = Router::new()
        .route("/", get(|| async { "ok" }))
        .route("/warnings", get(|| async { WARNINGS.load(Ordering::SeqCst).to_string() }));
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        child::tell(&listener.local_addr().expect("its address").to_string());
        Server::new(listener, app).run().await.expect("a server that goes on");
    });
}

#[test]
fn a_shortage_is_sat_out() {
    let server = Process::start(&mut child::command("child_with_64_descriptors", &[]), "the test");
    let addr: SocketAddr = server.addr();
    let mut open: Vec<_> = (0..8).map(|_| Client::connect(addr)).collect();
    for client in &mut open {
        assert_eq!(client.get("/").text(), "ok");
    }
    // The least of several: what else a busy machine does comes and goes, a spin comes each time.
    let (mut used_min, mut back_min) = (Duration::MAX, Duration::MAX);
    for _ in 0..8 {
        let start = Instant::now();
        let before = warnings(&mut open[0]);
        let crowd: Vec<_> = (0..150).map(|_| Client::connect(addr)).collect();
        eventually(PATIENCE, "the shortage is logged", || warnings(&mut open[0]) > before);
        let (cpu, calm) = (server.cpu(), Instant::now());
        while calm.elapsed() < Duration::from_secs(3) {
            for client in &mut open {
                assert_eq!(client.get("/").text(), "ok");
            }
            thread::sleep(Duration::from_millis(100));
        }
        let used = server.cpu() - cpu;
        let lines = warnings(&mut open[0]) - before;
        let seconds = start.elapsed().as_secs();
        assert!(lines <= seconds + 2, "{lines} lines in {seconds} s");

        drop(crowd);
        let start = Instant::now();
        let mut client = Client::connect(addr);
        assert_eq!(client.get("/").text(), "ok");
        (used_min, back_min) = (used_min.min(used), back_min.min(start.elapsed()));
        // /proc counts in steps of 10 ms; a spin would be 3 s.
        if used_min < Duration::from_millis(300) && back_min < Duration::from_secs(1) {
            return;
        }
    }
    panic!(
        "at least {used_min:?} of processor time in 3 s of shortage, and {back_min:?} to be back"
    );
}

/// How many lines have been logged.
fn warnings(client: &mut Client) -> u64 {
    client.get("/warnings").text().parse().expect("a number")
}
