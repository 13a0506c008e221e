//! Goal: an HTTP server is exchanged under load, and no request fails (FAULTS H24).
//! Method: one process after the other takes the listener over and lets its server drain; some clients connect for each request, some keep their connections until they are told to close.

#![cfg(all(target_os = "linux", feature = "http", feature = "process"))]

mod generations;
mod support;

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use generations::{Generation, LAST, Served};
use smolkit::Timer;
use smolkit::http::Server;

async fn generation(mut generation: Generation) -> io::Result<()> {
    let listener = generation.take_over().await?;
    let router =
        Router::new().route("/{question}", get(answer)).with_state(generation.served.clone());
    let server = Server::new(listener.clone(), router);
    let (stop, stopped) = smolkit::sync::oneshot::channel();
    let running = smolkit::spawn(
        server
            .shutdown(async move {
                let _ = stopped.await;
            })
            .run(),
    );
    generation.successor(&listener).await?;
    // The server's own clone must be the last one here: closing it is what ends its part in the queue.
    drop(listener);
    let _ = stop.send(());
    assert_eq!(running.await?.aborted, 0);
    generation.end().await
}

async fn answer(State(served): State<Arc<Served>>, Path(question): Path<u8>) -> String {
    // Some answers take longer than the hand-over.
    if question % 16 == 0 {
        Timer::after(Duration::from_millis(30)).await;
    }
    served.count(question == LAST);
    std::process::id().to_string()
}

#[test]
fn no_request_fails_while_a_server_is_exchanged() {
    generations::run("no_request_fails_while_a_server_is_exchanged", generation, ask);
}

thread_local! {
    /// The client's connection, if the server has not said that it closes it, and since when nothing was asked on it.
    static KEPT: RefCell<Option<(BufReader<TcpStream>, Instant)>> = const { RefCell::new(None) };
}

/// Half of what the server waits for one more question when it stops: a client that was kept from running for longer may find its connection closed, and
/// asks again (RFC 9112 §9.3.1).
const LATE: Duration = Duration::from_millis(100);

/// Eight questions on a connection, unless the server closes it before; then a new one.
fn ask(addr: SocketAddr, question: u8) -> io::Result<u32> {
    if let Some((mut stream, since)) = KEPT.take() {
        let sent = send(&mut stream, question);
        let is_late = since.elapsed() > LATE;
        let is_closed = sent.is_err()
            || match stream.fill_buf() {
                Ok(bytes) => bytes.is_empty(),
                Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
            };
        if !(is_late && is_closed) {
            sent?;
            return receive(stream, question);
        }
    }
    let stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    let mut stream = BufReader::new(stream);
    send(&mut stream, question)?;
    receive(stream, question)
}

fn keeps(question: u8) -> bool {
    question % 8 != 7 && question != LAST
}

fn send(stream: &mut BufReader<TcpStream>, question: u8) -> io::Result<()> {
    let connection = if keeps(question) { "keep-alive" } else { "close" };
    let request =
        format!("GET /{question} HTTP/1.1\r\nhost: test\r\nconnection: {connection}\r\n\r\n");
    stream.get_mut().write_all(request.as_bytes())
}

fn receive(mut stream: BufReader<TcpStream>, question: u8) -> io::Result<u32> {
    let (mut length, mut closes) = (0, !keeps(question));
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "no answer"));
        }
        match line.trim_end().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().expect("a length"),
            Some(("connection", value)) => closes |= value == "close",
            _ if line == "\r\n" => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    if !closes {
        KEPT.set(Some((stream, Instant::now())));
    }
    let pid = std::str::from_utf8(&body).expect("a number");
    Ok(pid.parse().expect("a number"))
}
