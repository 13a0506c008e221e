//! Goal: no client holds a connection by doing nothing, or next to nothing (faults H4, H5), and none that behaves is cut.
//! Method: sockets that dribble or stop at each point of a request, under deadlines of a fraction of a second.
#![cfg(feature = "http")]

mod support;

use std::io::Write;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use smolkit_runtime::Timer;

use self::support::client::Client;
use self::support::{PATIENCE, Running, in_one_of_several};

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(600);

/// More than the kernel takes; the same for all connections.
static LARGE: LazyLock<Bytes> = LazyLock::new(|| vec![b'x'; 64 << 20].into());

fn app() -> Router {
    Router::new()
        .route("/", get(|| async { "ok" }))
        .route("/echo", post(|body: Bytes| async move { body }))
        .route("/large", get(|| async { LARGE.clone() }))
        .route(
            "/slow",
            get(|| async {
                Timer::after(4 * SHORT).await;
                "late"
            }),
        )
}

/// Deadlines that no test reaches, except for the one that it sets.
fn long(server: smolkit_service::http::Server) -> smolkit_service::http::Server {
    server.first_byte_timeout(LONG).header_timeout(LONG).stall_timeout(LONG).idle_timeout(LONG)
}

fn assert_closed_after(deadline: Duration, client: &mut Client) -> Vec<u8> {
    let (elapsed, read) = client.closed(PATIENCE);
    assert!(elapsed >= deadline, "closed too early: {elapsed:?}");
    read
}

#[test]
fn a_silent_connection_is_closed() {
    let server = Running::start(app(), |server| long(server).first_byte_timeout(SHORT));
    let mut client = Client::connect(server.addr);
    assert!(assert_closed_after(SHORT, &mut client).is_empty());
}

#[test]
fn a_dribbled_head_is_closed_while_others_are_served() {
    let server = Running::start(app(), |server| long(server).header_timeout(SHORT));
    let start = Instant::now();
    let mut slow: Vec<_> = (0..200).map(|_| Client::connect(server.addr)).collect();
    for client in &mut slow {
        client.send("GET / HTTP/1.1\r\nhost: test\r\nx-slow: ");
    }
    let mut good = Client::connect(server.addr);
    let mut open = slow.len();
    while open > 0 {
        assert!(start.elapsed() < PATIENCE, "{open} slow clients are still open");
        assert_eq!(good.get("/").status, 200);
        slow.retain_mut(|client| client.stream.write_all(b"x").is_ok());
        open = slow.len();
        thread::sleep(Duration::from_millis(10));
    }
    assert!(start.elapsed() >= SHORT, "closed too early");
}

#[test]
fn a_dribbled_preface_is_closed() {
    let server = Running::start(app(), |server| long(server).header_timeout(SHORT));
    let mut client = Client::connect(server.addr);
    client.send("PRI * HTTP/2.0\r\n");
    assert!(assert_closed_after(SHORT, &mut client).is_empty());
}

#[test]
fn the_head_of_a_later_request_has_the_same_deadline() {
    let server = Running::start(app(), |server| long(server).header_timeout(SHORT));
    let mut client = Client::connect(server.addr);
    assert_eq!(client.get("/").status, 200);
    client.send("GET / HT");
    assert_closed_after(SHORT, &mut client);
}

#[test]
fn an_idle_connection_is_closed() {
    in_one_of_several("each request begins the wait anew", SHORT, |timeout| {
        let server = Running::start(app(), move |server| long(server).idle_timeout(timeout));
        let mut client = Client::connect(server.addr);
        let is_served = (0..4).all(|_| {
            thread::sleep(timeout / 2);
            client.try_get("/").is_ok_and(|response| response.status == 200)
        });
        assert!(!is_served || assert_closed_after(timeout, &mut client).is_empty());
        is_served
    });
}

#[test]
fn an_idle_http2_connection_is_told_and_closed() {
    let server =
        Running::start(app(), |server| long(server).idle_timeout(SHORT).stall_timeout(SHORT));
    let mut client = Client::connect(server.addr);
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    let read = assert_closed_after(SHORT, &mut client);
    assert!(frames(&read).contains(&7), "no GOAWAY in {read:?}");
}

/// The types of the HTTP/2 frames in `bytes`.
fn frames(mut bytes: &[u8]) -> Vec<u8> {
    let mut types = Vec::new();
    while let [a, b, c, kind, rest @ ..] = bytes {
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        types.push(*kind);
        bytes = rest.get(length + 5..).unwrap_or_default();
    }
    types
}

#[test]
fn a_body_that_stops_is_closed() {
    let server = Running::start(app(), |server| long(server).stall_timeout(SHORT));
    let mut client = Client::connect(server.addr);
    client.send("POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 100\r\n\r\nhalf");
    assert_closed_after(SHORT, &mut client);
}

#[test]
fn a_dribbled_body_is_closed() {
    let server = Running::start(app(), |server| long(server).stall_timeout(SHORT));
    let mut client = Client::connect(server.addr);
    let start = Instant::now();
    client.send("POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 100000\r\n\r\n");
    while client.stream.write_all(b"x").is_ok() {
        assert!(start.elapsed() < PATIENCE, "still open");
        thread::sleep(Duration::from_millis(10));
    }
    assert!(start.elapsed() >= SHORT, "closed too early");
}

#[test]
fn a_body_that_is_slow_but_moves_is_served() {
    in_one_of_several("it is served", SHORT, |timeout| {
        let server = Running::start(app(), move |server| long(server).stall_timeout(timeout));
        let mut client = Client::connect(server.addr);
        client.send("POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 16384\r\n\r\n");
        let is_taken = (0..16).all(|_| {
            thread::sleep(timeout / 6);
            client.try_send([b'x'; 1024]).is_ok()
        });
        is_taken && client.response().is_ok_and(|response| response.body.len() == 16384)
    });
}

#[test]
fn a_response_that_nobody_reads_is_closed() {
    let server = Running::start(app(), |server| long(server).stall_timeout(SHORT));
    let mut clients: Vec<_> = (0..8).map(|_| Client::connect(server.addr)).collect();
    let start = Instant::now();
    for client in &mut clients {
        client.send("GET /large HTTP/1.1\r\nhost: test\r\n\r\n");
    }
    while !clients.is_empty() {
        assert!(start.elapsed() < PATIENCE, "{} are still open", clients.len());
        // A write finds out: the socket was reset.
        clients.retain_mut(|client| client.stream.write_all(b"x").is_ok());
        thread::sleep(Duration::from_millis(10));
    }
    assert!(start.elapsed() >= SHORT, "closed too early");
}

#[test]
fn an_http2_response_whose_window_stays_shut_is_closed() {
    let server = Running::start(app(), |server| long(server).stall_timeout(SHORT));
    let mut client = Client::connect(server.addr);
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    // HEADERS, END_STREAM and END_HEADERS, stream 1: GET http /large, without an authority. The window of 64 KiB never opens further.
    let headers = b"\x82\x86\x04\x06/large";
    client.send([&[0, 0, headers.len() as u8, 1, 5, 0, 0, 0, 1], &headers[..]].concat());
    let read = assert_closed_after(SHORT, &mut client);
    assert!(read.len() > 60_000, "the response has begun: {} bytes", read.len());
}

#[test]
fn a_slow_handler_is_no_stall() {
    let server = Running::start(app(), |server| {
        long(server).stall_timeout(SHORT).idle_timeout(SHORT).header_timeout(SHORT)
    });
    let mut client = Client::connect(server.addr);
    assert_eq!(client.get("/slow").text(), "late");
}
