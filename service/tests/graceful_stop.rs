//! Goal: SIGTERM under load loses no request that was begun, a stuck client delays the exit by the drain timeout at most, and a second
//! signal ends the process at once (faults H22, H23).
//! Method: a child process under load over HTTP/1 and HTTP/2; each handler tells its number, so that none is missing among the responses.
#![cfg(feature = "http")]

mod support;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use smolkit_net::TcpListener;
use smolkit_runtime::{Timer, block_on, signal};
use smolkit_service::http::Server;

use self::support::child::{self, Process};
use self::support::client::Client;
use self::support::http2::Http2Client;
use self::support::{PATIENCE, Running, delivered, eventually, in_one_of_several, within};

/// The drain timeout that no test meets, but for the one that says so.
const LONG: Duration = Duration::from_secs(600);
/// In milliseconds, for the child.
const DRAIN: &str = "SMOLKIT_TEST_DRAIN";

/// Told when the server has ended, next to what it counted.
static BEGUN: AtomicU64 = AtomicU64::new(0);

fn app() -> Router {
    let count = || async {
        BEGUN.fetch_add(1, Ordering::SeqCst);
        Timer::after(Duration::from_millis(2)).await;
        "x".repeat(1000)
    };
    let stuck = || async {
        child::tell("stuck");
        Timer::never().await;
    };
    Router::new().route("/", get(count)).route("/stuck", get(stuck))
}

#[test]
fn child_server() {
    if !child::plays("child_server") {
        return;
    }
    block_on(async {
        let shutdown = signal::shutdown_signal().expect("handlers");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        child::tell(&listener.local_addr().expect("its address").to_string());
        let drain = std::env::var(DRAIN).expect("a time").parse().expect("milliseconds");
        let drain = Duration::from_millis(drain);
        let server = Server::new(listener, app()).drain_timeout(drain).shutdown(shutdown);
        // No other deadline ends a connection in these tests.
        let server = server.first_byte_timeout(LONG).header_timeout(LONG).idle_timeout(LONG);
        let drained = server.run().await.expect("a server without errors");
        child::tell(&format!("{} {}", BEGUN.load(Ordering::SeqCst), drained.aborted));
    });
}

fn start(drain: Duration) -> Process {
    let mut command = child::command("child_server", &[]);
    Process::start(command.env(DRAIN, drain.as_millis().to_string()), "the test")
}

/// Whether the server closed between two requests, before a byte of the response: by RFC 9112 §9.3.1 a client asks again elsewhere.
fn was_not_begun(error: &io::Error, client: &Client) -> bool {
    let is_close = matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    );
    is_close && !client.has_read_ahead()
}

#[test]
fn no_request_of_http1_is_lost() {
    let mut server = start(LONG);
    let addr = server.addr();
    let served = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..16)
        .map(|number| {
            let served = served.clone();
            // Before there is any load that could end the server.
            let mut client = Client::connect(addr);
            thread::spawn(move || {
                loop {
                    let request = b"GET / HTTP/1.1\r\nhost: test\r\n\r\n";
                    if io::Write::write_all(&mut client.stream, request).is_err() {
                        return;
                    }
                    match client.response() {
                        Ok(response) => {
                            assert_eq!(response.body.len(), 1000);
                            served.fetch_add(1, Ordering::SeqCst);
                            let is_last = response.header("connection") == Some("close");
                            // A part of the clients connects for each request.
                            if is_last || number % 4 == 0 {
                                match Client::try_connect(addr) {
                                    Ok(next) => client = next,
                                    Err(_) => return,
                                }
                            }
                        }
                        Err(error) => {
                            assert!(was_not_begun(&error, &client), "cut: {error}");
                            return;
                        }
                    }
                }
            })
        })
        .collect();
    eventually(PATIENCE, "load", || served.load(Ordering::SeqCst) > 2000);
    server.signal("TERM");
    let told = server.told(PATIENCE);
    assert!(server.ended(PATIENCE).success());
    for client in clients {
        client.join().expect("a client that lost nothing");
    }
    assert_eq!(told, format!("{} 0", served.load(Ordering::SeqCst)));
}

#[test]
fn no_request_of_http2_is_lost() {
    let mut server = start(LONG);
    let addr = server.addr();
    let served = Arc::new(AtomicU64::new(0));
    let counted = served.clone();
    let load = thread::spawn(move || {
        within(4 * PATIENCE, async move {
            let mut clients = Vec::new();
            for _ in 0..4 {
                clients.push(Http2Client::connect(addr).await.expect("a connection"));
            }
            // The load, which ends the server, begins when all are there.
            let mut streams = Vec::new();
            for client in clients {
                for _ in 0..10 {
                    let (mut client, counted) = (client.clone(), counted.clone());
                    streams.push(smolkit_runtime::spawn(async move {
                        loop {
                            match client.get("/").await {
                                Ok(response) => assert_eq!(response, (StatusCode::OK, 1000)),
                                // Refused, or never sent.
                                Err((false, _)) => return,
                                Err((true, error)) => panic!("cut: {error}"),
                            }
                            counted.fetch_add(1, Ordering::SeqCst);
                        }
                    }));
                }
            }
            for stream in streams {
                stream.await;
            }
        });
    });
    eventually(PATIENCE, "load", || served.load(Ordering::SeqCst) > 2000);
    server.signal("TERM");
    let told = server.told(PATIENCE);
    assert!(server.ended(PATIENCE).success());
    load.join().expect("clients that lost nothing");
    assert_eq!(told, format!("{} 0", served.load(Ordering::SeqCst)));
}

#[test]
fn a_stuck_client_delays_the_exit_by_the_drain_timeout() {
    in_one_of_several("half as long again at the most", Duration::from_secs(1), |drain| {
        let (closed, ended) = stop_with_stuck_clients(drain);
        assert!(ended >= drain, "ended after {ended:?}");
        closed < drain / 2 && ended < drain * 3 / 2
    });
}

/// How long after the signal an idle connection is closed, and the process ends.
fn stop_with_stuck_clients(drain: Duration) -> (Duration, Duration) {
    let mut server = start(drain);
    let addr = server.addr();
    let mut stuck = Client::connect(addr);
    stuck.send("GET /stuck HTTP/1.1\r\nhost: test\r\n\r\n");
    let mut stuck_http2 = Client::connect(addr);
    stuck_http2.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    let headers = b"\x82\x86\x04\x06/stuck";
    stuck_http2.send([&[0, 0, headers.len() as u8, 1, 5, 0, 0, 0, 1], &headers[..]].concat());
    let mut half = Client::connect(addr);
    half.send("GET / HT");
    // Two that have sent nothing, and a part of the preface.
    let _silent = [Client::connect(addr), Client::connect(addr)];
    let mut preface = Client::connect(addr);
    preface.send("PRI * HT");
    let mut idle = Client::connect(addr);
    assert_eq!(idle.get("/").status, 200);
    assert_eq!([server.told(PATIENCE), server.told(PATIENCE)], ["stuck", "stuck"]);
    delivered(addr);

    let start = Instant::now();
    server.signal("TERM");
    assert!(idle.closed(PATIENCE).1.is_empty(), "an idle connection is closed");
    let closed = start.elapsed();
    // The idle one is not among them: it was closed before.
    assert!(server.told(PATIENCE + drain).ends_with(" 4"), "four connections are cut");
    assert!(server.ended(PATIENCE).success());
    (closed, start.elapsed())
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut server = start(LONG);
        let addr = server.addr();
        let mut idle = Client::connect(addr);
        assert_eq!(idle.get("/").status, 200);
        let mut stuck = Client::connect(addr);
        stuck.send("GET /stuck HTTP/1.1\r\nhost: test\r\n\r\n");
        assert_eq!(server.told(PATIENCE), "stuck");
        server.signal("TERM");
        // The first signal has arrived when the idle connection is closed.
        idle.closed(PATIENCE);
        // The drain goes on for much longer.
        server.signal(signal);
        assert_eq!(server.ended(PATIENCE).code(), Some(code));
    }
}

/// A head of which the server has read half is a request that was begun.
#[test]
fn a_half_read_head_is_finished() {
    let server = Running::start(app(), |server| server);
    let mut fresh = Client::connect(server.addr);
    let mut used = Client::connect(server.addr);
    assert_eq!(used.get("/").status, 200);
    let mut idle = Client::connect(server.addr);
    assert_eq!(idle.get("/").status, 200);
    for client in [&mut fresh, &mut used] {
        client.send("GET / HTTP/1.1\r\nho");
    }
    delivered(server.addr);
    server.stop();
    idle.closed(PATIENCE);
    for client in [&mut fresh, &mut used] {
        client.send("st: test\r\n\r\n");
        let response = client.response().expect("a response");
        assert_eq!((response.status, response.header("connection")), (200, Some("close")));
        assert!(client.closed(PATIENCE).1.is_empty());
    }
    let drained = server.drained(PATIENCE);
    assert_eq!((drained.finished, drained.aborted), (3, 0));
}

/// What waits in the kernel's queue was connected, and has sent its request: it is served.
#[test]
fn the_backlog_is_served() {
    let server = Running::start(app(), |server| server.max_connections(1000));
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = Client::connect(server.addr);
        client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        clients.push(client);
    }
    delivered(server.addr);
    server.stop();
    for client in &mut clients {
        assert_eq!(client.response().expect("a response").status, 200);
    }
    assert_eq!(server.drained(PATIENCE).aborted, 0);
}
