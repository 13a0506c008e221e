//! Goal: no more connections are served than the limit says, and those above it are served when there is room.
//! Method: fill the limit with connections that are known to be served, ask on one more, close one.
#![cfg(feature = "http")]

mod support;

use std::io::Read;
use std::time::Duration;

use axum::Router;
use axum::routing::get;

use self::support::client::{Client, is_timeout};
use self::support::{PATIENCE, Running};

#[test]
fn those_above_the_limit_wait() {
    let app = Router::new().route("/", get(|| async { "ok" }));
    let server = Running::start(app, |server| server.max_connections(4));
    let mut clients: Vec<_> = (0..4).map(|_| Client::connect(server.addr)).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "ok");
    }
    let mut waiting = Client::connect(server.addr);
    waiting.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    let brief = Some(Duration::from_millis(300));
    waiting.stream.set_read_timeout(brief).expect("a timeout");
    let error = waiting.stream.read(&mut [0]).expect_err("no room");
    assert!(is_timeout(&error), "{error}");

    for client in &mut clients {
        assert_eq!(client.get("/").text(), "ok");
    }
    drop(clients.pop());
    waiting.stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    assert_eq!(waiting.response().expect("a response").text(), "ok");
}
