//! Goal: a client that ends its direction after the request still gets the whole response (fault H21).
//! Method: shut the socket's writing side down at once, and read a large response and a late one to their ends.
#![cfg(feature = "http")]

mod support;

use std::net::Shutdown;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use smolkit_runtime::Timer;

use self::support::client::Client;
use self::support::{PATIENCE, Running};

#[test]
fn the_whole_response_is_delivered() {
    let late = || async {
        Timer::after(Duration::from_millis(100)).await;
        "late"
    };
    let app = Router::new()
        .route("/large", get(|| async { vec![b'x'; 4 << 20] }))
        .route("/late", get(late));
    let server = Running::start(app, |server| server);
    for (path, length) in [("/large", 4 << 20), ("/late", 4)] {
        let mut client = Client::connect(server.addr);
        client.send(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n"));
        client.stream.shutdown(Shutdown::Write).expect("a half-closed socket");
        assert_eq!(client.response().expect("a response").body.len(), length);
        assert!(client.closed(PATIENCE).1.is_empty());
    }
}
