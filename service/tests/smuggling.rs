//! Goal: no bytes that one party takes for a body are ever dispatched as a request (faults H7, H9).
//! Method: ambiguous heads, each with a second request behind it that counts its calls; and handlers that ignore bodies which hold a request.
#![cfg(feature = "http")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::{get, post};

use self::support::client::Client;
use self::support::{PATIENCE, Running};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: test\r\n\r\n";

fn app(smuggled: &Arc<AtomicUsize>) -> Router {
    let smuggled = smuggled.clone();
    Router::new()
        .route("/echo", post(|body: Bytes| async move { body }))
        .route("/ignore", post(|| async { "ignored" }))
        .route("/refuse", post(|| async { StatusCode::PAYLOAD_TOO_LARGE }))
        .route(
            "/smuggled",
            get(async move || { smuggled.fetch_add(1, Ordering::SeqCst) }.to_string()),
        )
}

#[test]
fn an_ambiguous_length_is_refused() {
    let smuggled = Arc::new(AtomicUsize::new(0));
    let server = Running::start(app(&smuggled), |server| server);
    let chunked = "0\r\n\r\n";
    for (name, version, headers, body) in [
        ("two lengths", "1.1", "content-length: 0\r\ncontent-length: 5\r\n", ""),
        ("a list of lengths", "1.1", "content-length: 0, 5\r\n", ""),
        ("a signed length", "1.1", "content-length: +0\r\n", ""),
        ("a negative length", "1.1", "content-length: -1\r\n", ""),
        ("a space in the length", "1.1", "content-length: 0 5\r\n", ""),
        ("a hexadecimal length", "1.1", "content-length: 0x0\r\n", ""),
        ("an endless length", "1.1", "content-length: 99999999999999999999\r\n", ""),
        ("chunked misspelt", "1.1", "transfer-encoding: chunkedd\r\n", chunked),
        ("chunked not last", "1.1", "transfer-encoding: chunked, x\r\n", chunked),
        ("chunked in 1.0", "1.0", "transfer-encoding: chunked\r\n", chunked),
        ("a space before the colon", "1.1", "content-length : 0\r\n", ""),
    ] {
        let mut client = Client::connect(server.addr);
        client.send(format!(
            "POST /echo HTTP/{version}\r\nhost: test\r\n{headers}\r\n{body}{SMUGGLED}"
        ));
        let (_, read) = client.closed(PATIENCE);
        let read = String::from_utf8_lossy(&read);
        assert!(read.starts_with("HTTP/1.1 400"), "{name}: {read}");
        assert_eq!(read.matches("HTTP/1.").count(), 1, "{name}: {read}");
        assert_eq!(smuggled.load(Ordering::SeqCst), 0, "{name}");
    }
}

/// RFC 9112 §6.3: chunked wins, and the connection is closed; the request behind it must not be run by both readings.
#[test]
fn length_and_chunked_together_end_the_connection() {
    let smuggled = Arc::new(AtomicUsize::new(0));
    let server = Running::start(app(&smuggled), |server| server);
    for headers in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
    ] {
        let mut client = Client::connect(server.addr);
        client
            .send(format!("POST /echo HTTP/1.1\r\nhost: test\r\n{headers}\r\n0\r\n\r\n{SMUGGLED}"));
        client.closed(PATIENCE);
        assert_eq!(smuggled.load(Ordering::SeqCst), 0, "{headers}");
    }
}

#[test]
fn a_body_that_is_ignored_is_no_request() {
    let smuggled = Arc::new(AtomicUsize::new(0));
    let server = Running::start(app(&smuggled), |server| server);
    for path in ["/ignore", "/refuse", "/no-such-path"] {
        for padding in [0, 100, 200_000] {
            let body = format!("{SMUGGLED}{}", "x".repeat(padding));
            let mut client = Client::connect(server.addr);
            // The response arrives, although the server may close before all is sent.
            let _ = client.try_send(format!(
                "POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ));
            let status = client.response().expect("a response").status;
            assert!(matches!(status, 200 | 404 | 413), "{path}: {status}");
            assert_eq!(smuggled.load(Ordering::SeqCst), 0, "{path}, {padding}");
        }
    }
}
