//! Goal: traffic takes as few system calls as it can: none that fails, no registration again, one for many buffers.
//! Method: the process that is measured runs under strace, which counts; its peer is outside, with `std`'s sockets, and sends when it has got its answers.

// Another poller takes more calls.
#![cfg(all(target_os = "linux", not(smolkit_portable)))]

mod child;

use std::future::poll_fn;
use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use smolkit_net::TcpStream;
use smolkit_net::unix::UnixStream;
use smolkit_runtime::{Runtime, Timer, block_on};

use self::child::{TRACED, count, is_child, under_strace, under_strace_with};

/// Fails if `f` takes longer than 120 s.
fn within<T>(f: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(Duration::from_secs(120)).await;
        panic!("not finished after 120 s")
    };
    block_on(futures_lite::future::or(f, late))
}

const PEER: &str = "SMOLKIT_TEST_PEER";
const BYTES: usize = 64;
const ROUNDS: usize = 300;

/// A message that is found in what strace writes.
fn message(text: &str) -> [u8; BYTES] {
    let mut bytes = [b'.'; BYTES];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes
}

/// In each round a message to each of the connections, and then all answers.
fn ask(streams: &mut [StdStream], text: &str, rounds: usize) {
    let message = message(text);
    for _ in 0..rounds {
        for stream in streams.iter_mut() {
            stream.write_all(&message).unwrap();
        }
        for stream in streams.iter_mut() {
            let mut answer = [0; BYTES];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(answer, message);
        }
    }
}

/// What strace sees of `ROUNDS` rounds with a child that runs `test` and serves so many connections, from the first message on that follows a few others.
fn steady_state(test: &str, connections: usize) -> String {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let peer = thread::spawn(move || {
        let mut streams: Vec<_> = (0..connections)
            .map(|_| {
                let (stream, _) = listener.accept().unwrap();
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                stream
            })
            .collect();
        ask(&mut streams, "before", 10);
        ask(&mut streams, "begin", 1);
        ask(&mut streams, "steady", ROUNDS);
        ask(&mut streams[..1], "end", 1);
    });
    let options = ["-e", "trace=all", "-s", "64"];
    let text = under_strace_with(test, &options, |strace| {
        strace.env(PEER, addr.to_string());
    });
    peer.join().unwrap();
    // From the answer to the one message to the other message.
    let lines: Vec<_> = text.lines().collect();
    let begin = lines.iter().rposition(|line| line.contains("\"begin")).expect("it has come");
    let end = lines.iter().position(|line| line.contains("\"end")).expect("it has come");
    lines[begin + 1..end].iter().map(|line| format!("{line}\n")).collect()
}

/// Enough of it to see what is wrong.
fn head(text: &str) -> String {
    text.lines().take(50).map(|line| format!("{line}\n")).collect()
}

fn peer() -> SocketAddr {
    std::env::var(PEER).unwrap().parse().unwrap()
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buf = [0; 4_096];
    loop {
        match stream.read(&mut buf).await? {
            0 => return Ok(()),
            count => stream.write_all(&buf[..count]).await?,
        }
    }
}

/// A message is read once and answered once. A connection is registered once, wherever it moves.
fn assert_steady(text: &str, connections: usize) {
    let messages = connections * ROUNDS;
    for call in ["recvfrom", "sendto"] {
        assert_eq!(count(text, &[call, "\"steady"]), messages, "{call}: {}", head(text));
        assert_eq!(count(text, &[call, "EAGAIN"]), 0, "{call}: {}", head(text));
    }
    assert_eq!(count(text, &["epoll_ctl"]), 0, "{}", head(text));
}

/// The two, and at most one wait for each of them.
fn assert_few(text: &str, connections: usize) {
    // The end of a call may be told apart from its beginning.
    let (calls, messages) =
        (text.lines().count() - count(text, &[" resumed>"]), connections * ROUNDS);
    assert!(calls * 10 <= messages * 31, "{calls} for {messages} messages: {}", head(text));
}

#[test]
fn one_connection_on_a_worker() {
    if !is_child(TRACED) {
        let text = steady_state("one_connection_on_a_worker", 1);
        assert_steady(&text, 1);
        return assert_few(&text, 1);
    }
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let served = runtime.spawn(async { echo(TcpStream::connect(peer()).await?).await });
    block_on(served).unwrap();
}

#[test]
fn one_connection_in_block_on() {
    if !is_child(TRACED) {
        let text = steady_state("one_connection_in_block_on", 1);
        assert_steady(&text, 1);
        return assert_few(&text, 1);
    }
    block_on(async { echo(TcpStream::connect(peer()).await?).await }).unwrap();
}

#[test]
fn eight_connections_on_a_worker() {
    if !is_child(TRACED) {
        let text = steady_state("eight_connections_on_a_worker", 8);
        assert_steady(&text, 8);
        return assert_few(&text, 8);
    }
    eight_connections(1);
}

/// Workers wake each other, which takes calls of its own.
#[test]
fn eight_connections_on_two_workers() {
    if !is_child(TRACED) {
        return assert_steady(&steady_state("eight_connections_on_two_workers", 8), 8);
    }
    eight_connections(2);
}

fn eight_connections(workers: usize) {
    let runtime = Runtime::builder().workers(workers).build().unwrap();
    let serve = |_| runtime.spawn(async { echo(TcpStream::connect(peer()).await?).await });
    let tasks: Vec<_> = (0..8).map(serve).collect();
    within(async {
        for task in tasks {
            task.await.unwrap();
        }
    });
}

type PollWrite<W> = fn(Pin<&mut W>, &mut Context<'_>, &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

/// Three buffers, `name` first, with one call of the trait that `poll_write` is of.
async fn write<W: Unpin>(name: &str, mut writer: W, poll_write: PollWrite<W>) -> W {
    let bufs = [name, "-and-", "others"].map(|text| IoSlice::new(text.as_bytes()));
    let count = poll_fn(|cx| poll_write(Pin::new(&mut writer), cx, &bufs)).await.unwrap();
    assert_eq!(count, name.len() + 11);
    writer
}

/// By each trait that there is, and each writer of a stream.
macro_rules! write_all_ways {
    ($type:ident, $stream:ident, $names:ident, $($trait:ident: $poll:path),*) => {$({
        let name = |writer| format!("{} {writer} {}", stringify!($trait), stringify!($type));
        $stream = write(&name("whole"), $stream, $poll).await;
        let half = $stream.split().1;
        write(&name("half"), half, $poll).await;
        let (read, half) = $stream.into_split();
        let half = write(&name("owned"), half, $poll).await;
        $stream = read.reunite(half).unwrap();
        $names.extend(["whole", "half", "owned"].map(name));
    })*};
}

macro_rules! write_all_traits {
    ($type:ident, $stream:ident) => {{
        let mut stream = $stream;
        let mut names: Vec<String> = Vec::new();
        write_all_ways!($type, stream, names, futures: AsyncWrite::poll_write_vectored);
        #[cfg(feature = "hyper")]
        write_all_ways!($type, stream, names, hyper: hyper::rt::Write::poll_write_vectored);
        #[cfg(feature = "tokio")]
        write_all_ways!($type, stream, names, tokio: tokio::io::AsyncWrite::poll_write_vectored);
        drop(stream);
        names
    }};
}

fn expected(names: &[String]) -> String {
    names.iter().map(|name| format!("{name}-and-others")).collect()
}

#[test]
fn several_buffers_are_one_call() {
    if !is_child(TRACED) {
        let calls = "trace=write,writev,pwritev,pwritev2,sendto,sendmsg,sendmmsg";
        let text = under_strace("several_buffers_are_one_call", &["-e", calls, "-s", "64"]);
        let traits =
            1 + usize::from(cfg!(feature = "hyper")) + usize::from(cfg!(feature = "tokio"));
        let all = 2 * 3 * traits;
        // Each of the parts once, the three of them in one call.
        for parts in [&["-and-"][..], &["\"others\""], &["sendmsg(", "\"-and-\"", "\"others\""]] {
            assert_eq!(count(&text, parts), all, "{parts:?} in {text}");
        }
        return;
    }
    within(async {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut peer = listener.accept().unwrap().0;
        let names = write_all_traits!(TcpStream, stream);
        let mut text = String::new();
        peer.read_to_string(&mut text).unwrap();
        assert_eq!(text, expected(&names));

        let (stream, mut peer) = UnixStream::pair().unwrap();
        let names = write_all_traits!(UnixStream, stream);
        let mut text = String::new();
        peer.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, expected(&names));
    });
}
