//! Goal: a client that is still sending a body which nobody wants gets its response, not a reset (fault H9).
//! Method: send on after the response has arrived, and read it only then: a reset would have destroyed it.
#![cfg(feature = "http")]

mod support;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;

use self::support::client::Client;
use self::support::{PATIENCE, Running};

#[test]
fn the_response_outlives_the_body() {
    let app = Router::new().route("/", post(|| async { StatusCode::PAYLOAD_TOO_LARGE }));
    let server = Running::start(app, |server| server);
    let mut client = Client::connect(server.addr);
    client.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000\r\n\r\n");
    client.send([b'x'; 10_000]);
    assert!(client.stream.peek(&mut [0]).expect("a response") > 0);
    for _ in 0..20 {
        client.send([b'x'; 1000]);
    }
    assert_eq!(client.response().expect("a response").status, 413);
    drop(client);
    server.stop();
    assert_eq!(server.drained(PATIENCE).aborted, 0);
}
