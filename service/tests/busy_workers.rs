//! Goal: what came in time counts as such, however late a busy server looks at it (fault H4).
//! Method: a runtime whose only worker is in a handler that blocks until the deadline of another connection is over.
#![cfg(feature = "http")]

mod support;

use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use smolkit_runtime::Runtime;

use self::support::client::Client;
use self::support::{PATIENCE, Running};

const SHORT: Duration = Duration::from_millis(300);

#[test]
fn a_first_byte_that_is_read_late() {
    let (begun, has_begun) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let block = async move || {
        begun.send(()).expect("a test");
        let _ = released.lock().expect("a lock").recv();
    };
    let router = Router::new().route("/", get(|| async { "ok" })).route("/block", get(block));
    let drive = |server| {
        let runtime = Runtime::builder().workers(1).build().expect("a runtime");
        // The server itself is here, and goes on accepting.
        runtime.block_on(server);
    };
    let server = Running::driven_by(drive, router, |server| server.first_byte_timeout(SHORT));
    let mut blocking = Client::connect(server.addr);
    blocking.send("GET /block HTTP/1.1\r\nhost: test\r\n\r\n");
    has_begun.recv_timeout(PATIENCE).expect("a request in time");
    let mut client = Client::connect(server.addr);
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    // The time is what this is about.
    thread::sleep(3 * SHORT);
    drop(release);
    assert_eq!(client.response().expect("it was in time").text(), "ok");
}
