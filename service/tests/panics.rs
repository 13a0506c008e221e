//! Goal: a handler that panics costs its own request, and nothing else (fault H18).
//! Method: handlers that panic at every point where they run, next to good requests; the counter must have moved.
#![cfg(feature = "http")]

mod support;

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use axum::routing::get;
use smolkit_runtime::Timer;

use self::support::client::Client;
use self::support::http2::Http2Client;
use self::support::{PATIENCE, Running, within};

/// A chunk, a pause in which it is sent, and then a panic.
struct Bomb(u8);

impl http_body::Body for Bomb {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        self.0 += 1;
        match self.0 {
            1 => Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(b"half"))))),
            2 => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            _ => panic!("this body panics on purpose"),
        }
    }
}

fn app() -> Router {
    Router::new()
        .route("/", get(|| async { "ok" }))
        .route("/at-once", get(|| async { panic_on_purpose() }))
        .route(
            "/later",
            get(|| async {
                Timer::after(std::time::Duration::from_millis(1)).await;
                panic_on_purpose()
            }),
        )
        .route("/body", get(|| async { Response::new(Body::new(Bomb(0))) }))
}

fn panic_on_purpose() -> &'static str {
    panic!("this handler panics on purpose")
}

#[test]
fn a_panic_is_a_500_and_the_connection_lives_on() {
    let server = Running::start(app(), |server| server);
    let mut other = Client::connect(server.addr);
    let mut client = Client::connect(server.addr);
    for path in ["/at-once", "/later"] {
        assert_eq!(client.get(path).status, 500);
        assert_eq!(client.get("/").text(), "ok");
        assert_eq!(other.get("/").text(), "ok");
    }
    server.stop();
    assert_eq!(server.drained(PATIENCE).panics, 2);
}

#[test]
fn http2_streams_share_the_connection_with_a_panic() {
    let server = Running::start(app(), |server| server);
    let addr = server.addr;
    within(PATIENCE, async move {
        let mut client = Http2Client::connect(addr).await.expect("a connection");
        for path in ["/at-once", "/later"] {
            let (status, _) = client.get(path).await.expect("a response");
            assert_eq!(status, 500);
            assert_eq!(client.get("/").await.expect("a response").1, 2);
        }
        client.get("/body").await.expect_err("half a body");
        assert_eq!(client.get("/").await.expect("a response").1, 2);
    });
    server.stop();
    assert_eq!(server.drained(PATIENCE).panics, 3);
}

#[test]
fn a_panic_in_a_body_ends_that_response_only() {
    let server = Running::start(app(), |server| server);
    let mut other = Client::connect(server.addr);
    assert_eq!(other.get("/").text(), "ok");
    let mut client = Client::connect(server.addr);
    client.send("GET /body HTTP/1.1\r\nhost: test\r\n\r\n");
    let (_, read) = client.closed(PATIENCE);
    let read = String::from_utf8_lossy(&read);
    assert!(read.starts_with("HTTP/1.1 200") && !read.ends_with("0\r\n\r\n"), "{read}");
    assert_eq!(other.get("/").text(), "ok");
    server.stop();
    assert_eq!(server.drained(PATIENCE).panics, 1);
}
