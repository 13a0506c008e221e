//! Goal: a client that is still sending a body which nobody wants gets its response, not a reset (fault H9).
//! Method: send on after the response has arrived, and read it only then: a reset would have destroyed it.
#![cfg(feature = "http")]

mod support;

use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;

use self::support::client::Client;
use self::support::{PATIENCE, Running, in_one_of_several};

/// How long the server reads on after its response.
const LINGER: Duration = Duration::from_secs(2);

#[test]
fn the_response_outlives_the_body() {
    let app = Router::new().route("/", post(|| async { StatusCode::PAYLOAD_TOO_LARGE }));
    let server = Running::start(app, |server| server);
    in_one_of_several("all is sent while the server waits for more", LINGER, |_| {
        let begun = Instant::now();
        let mut client = Client::connect(server.addr);
        client.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000\r\n\r\n");
        let _ = client.try_send([b'x'; 10_000]);
        assert!(client.stream.peek(&mut [0]).expect("a response") > 0);
        let is_sent = (0..20).all(|_| {
            // A server that does not wait has closed by then.
            thread::sleep(Duration::from_millis(10));
            client.try_send([b'x'; 1000]).is_ok()
        });
        // Who takes longer may be too late.
        let is_in_time = begun.elapsed() < LINGER;
        assert!(is_sent || !is_in_time, "a reset");
        assert_eq!(client.response().expect("a response").status, 413);
        is_in_time
    });
    server.stop();
    assert_eq!(server.drained(PATIENCE).aborted, 0);
}
