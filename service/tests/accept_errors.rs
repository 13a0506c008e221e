//! Goal: no error of accept(2) that concerns one connection, or passes by, ends or spins the server (fault H2).
//! Method: strace makes every second accept4 of a child process fail with each of the errors, then all of them.
#![cfg(all(feature = "http", target_os = "linux"))]

mod support;

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use smolkit_net::TcpListener;
use smolkit_runtime::block_on;
use smolkit_service::http::Server;

use self::support::child::{self, Process};
use self::support::client::Client;
use self::support::in_one_of_several;

const HINT: &str = "strace is needed: install the package `strace`, and allow ptrace";

#[test]
fn child_server() {
    if !child::plays("child_server") {
        return;
    }
    let app = Router::new().route("/", get(|| async { std::process::id().to_string() }));
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        child::tell(&listener.local_addr().expect("its address").to_string());
        let result = Server::new(listener, app).run().await;
        child::tell(&format!("the server has ended: {result:?}"));
    });
}

fn under_strace(injection: &str, log: &str) -> Process {
    let inject = format!("--inject=accept4:{injection}");
    let wrapper =
        ["strace", "--follow-forks", "--quiet=all", "--trace=accept4", "-o", log, &inject];
    let mut command = child::command("child_server", &wrapper);
    Process::start(command.stderr(Stdio::null()), HINT)
}

#[test]
fn errors_of_accept_pass_by() {
    for error in
        ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "ECONNABORTED", "EPROTO", "EPERM", "EINTR"]
    {
        // The runtime and std repeat a call that EINTR has interrupted: not every call may fail.
        let server = under_strace(&format!("error={error}:when=1+2"), "/dev/null");
        let addr = server.addr();
        for _ in 0..10 {
            let mut client = Client::connect(addr);
            assert_eq!(client.get("/").status, 200, "{error}");
        }
    }
}

#[test]
fn an_error_that_stays_does_not_spin() {
    let log = std::env::temp_dir().join(format!("smolkit-accept4-{}", std::process::id()));
    for error in ["EMFILE", "ECONNABORTED"] {
        // Longer, if the machine is so busy that the server has had no turn.
        in_one_of_several("a second attempt", Duration::from_secs(1), |time| {
            // The first attempt does not wait for a client.
            let start = Instant::now();
            let server = under_strace(&format!("error={error}"), log.to_str().expect("a path"));
            let _client = Client::connect(server.addr());
            // The time is what is measured.
            thread::sleep(time);
            drop(server);
            let seconds = start.elapsed().as_secs() as usize + 1;
            let calls = std::fs::read_to_string(&log).expect("a log").matches("INJECTED").count();
            assert!(calls < 25 * seconds, "{error}: {calls} calls in less than {seconds} s");
            calls >= 2
        });
    }
    let _ = std::fs::remove_file(&log);
}
