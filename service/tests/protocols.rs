//! Goal: HTTP/1 and HTTP/2 are served on one port, however the first bytes arrive.
//! Method: curl as a user's client, and sockets that send one byte at a time.
#![cfg(feature = "http")]

mod support;

use std::io::Read;
use std::pin::Pin;
use std::process::Command;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Version;
use axum::response::Response;
use axum::routing::{get, post};

use self::support::Running;
use self::support::client::Client;

fn app() -> Router {
    Router::new()
        .route("/version", get(|version: Version| async move { format!("{version:?}") }))
        .route("/echo", post(|body: Bytes| async move { body }))
        .route("/large", get(|| async { vec![b'x'; 3_000_000] }))
}

fn curl(args: &[&str]) -> Vec<u8> {
    let mut command = Command::new("curl");
    // Without the user's settings and proxies.
    command.args(["--disable", "--noproxy", "*"]);
    command.args(["--silent", "--show-error", "--fail", "--max-time", "60"]).args(args);
    let output = command.output().expect("curl is needed: install the package `curl`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn curl_is_answered_in_its_protocol() {
    let server = Running::start(app(), |server| server);
    let version = format!("http://{}/version", server.addr);
    assert_eq!(curl(&["--http1.0", &version]), b"HTTP/1.0");
    assert_eq!(curl(&["--http1.1", &version]), b"HTTP/1.1");
    assert_eq!(curl(&["--http2-prior-knowledge", &version]), b"HTTP/2.0");
}

#[test]
fn bodies_of_any_size_pass_in_both_protocols() {
    let server = Running::start(app(), |server| server);
    let large = format!("http://{}/large", server.addr);
    let echo = format!("http://{}/echo", server.addr);
    let upload = "y".repeat(100_000);
    for protocol in ["--http1.1", "--http2-prior-knowledge"] {
        assert_eq!(curl(&[protocol, &large]).len(), 3_000_000);
        assert_eq!(curl(&[protocol, "--data-binary", &upload, &echo]), upload.as_bytes());
    }
}

#[test]
fn a_connection_serves_many_requests() {
    let server = Running::start(app(), |server| server);
    let mut client = Client::connect(server.addr);
    for _ in 0..100 {
        assert_eq!(client.get("/version").text(), "HTTP/1.1");
    }
    client.send("GET /version HTTP/1.1\r\nhost: test\r\n\r\n".repeat(100));
    for _ in 0..100 {
        assert_eq!(client.response().expect("a response").text(), "HTTP/1.1");
    }
}

#[test]
fn the_first_bytes_may_come_one_by_one() {
    let server = Running::start(app(), |server| server);
    // "P" begins both the preface and this.
    let mut http1 = Client::connect(server.addr);
    for byte in b"POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\nhi" {
        http1.send([*byte]);
    }
    assert_eq!(http1.response().expect("a response").text(), "hi");

    let mut http2 = Client::connect(server.addr);
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00" {
        http2.send([*byte]);
    }
    let mut frame = [0; 9];
    http2.stream.read_exact(&mut frame).expect("a frame");
    assert_eq!((frame[3], &frame[5..]), (4, &[0; 4][..]), "the first frame is SETTINGS");
}

/// Two chunks that are written one after the other.
struct Halves(u8);

impl http_body::Body for Halves {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        self.0 += 1;
        match self.0 {
            1 | 3 => Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(b"half"))))),
            2 => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Ready(None),
        }
    }
}

/// Without TCP_NODELAY, the second write waits for the client's delayed acknowledgement: 40 ms each, but for the first few.
#[test]
fn a_second_small_write_is_not_delayed() {
    let halves = || async { Response::new(Body::new(Halves(0))) };
    let server = Running::start(Router::new().route("/", get(halves)), |server| server);
    let mut client = Client::connect(server.addr);
    let times = (0..200).map(|_| {
        let start = Instant::now();
        assert_eq!(client.get("/").text(), "halfhalf");
        start.elapsed()
    });
    let mut times: Vec<_> = times.collect();
    times.sort();
    // A busy machine delays, too, but not half of them.
    assert!(times[100] < Duration::from_millis(35), "{times:?}");
}
