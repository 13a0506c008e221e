//! Goal: a part of a file arrives whole, inside the kernel or around it, and errors are told (FAULTS E9, P5).
//! Method: ranges of a file on a slow and on a vanished receiver; strace shows whether `sendfile` was called, and refuses it.

#![cfg(target_os = "linux")]

mod child;

use std::fs::File;
use std::io::{self, Write};
use std::time::Duration;

use futures_lite::{AsyncReadExt, future};
use smolkit_net::unix::UnixStream;
use smolkit_net::{FileRange, TcpListener, TcpStream, copy};
use smolkit_runtime::{Timer, block_on, spawn};

use self::child::{count, is_child, run_child, under_strace};

/// Fails if `f` takes longer than 120 s.
fn within<T>(f: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(Duration::from_secs(120)).await;
        panic!("not finished after 120 s")
    };
    block_on(future::or(f, late))
}

const BYTES: usize = 3 << 20;

fn data() -> Vec<u8> {
    (0..BYTES).map(|i| (i / 3 % 251) as u8).collect()
}

/// A file without a name.
fn file(data: &[u8]) -> File {
    let path = std::env::temp_dir().join(format!(
        "smolkit-send-file-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.read(true).write(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file.write_all(data).unwrap();
    file
}

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

#[test]
fn every_range_arrives() {
    within(async {
        let data = data();
        let file = file(&data);
        let end = BYTES as u64;
        let ranges =
            [(0, end + 7), (0, end), (1, end), (5, 6), (9, 9), (600_000, 700_001), (end, end + 1)];
        for (start, end) in ranges {
            let (mut client, server) = tcp_pair().await;
            let range = FileRange::new(file.try_clone().unwrap(), start..end);
            let sender = spawn(async move { copy(&range, &server).await });
            let mut all = Vec::new();
            client.read_to_end(&mut all).await.unwrap();
            let expected = &data[start as usize..BYTES.min(end as usize)];
            assert!(all == expected, "{} bytes of {start}..{end}", all.len());
            assert_eq!(sender.await.unwrap(), expected.len() as u64);
        }
        let (mut one, other) = UnixStream::pair().unwrap();
        let count = copy(&FileRange::new(&file, ..=9), &other).await.unwrap();
        drop(other);
        assert_eq!(one.read_to_end(&mut Vec::new()).await.unwrap() as u64, count);
    });
}

/// Behind the end of the file, and of all files.
#[test]
fn what_is_not_there_is_nothing() {
    within(async {
        let (_one, other) = UnixStream::pair().unwrap();
        let file = File::open("/proc/self/exe").unwrap();
        for start in [1 << 40, i64::MAX as u64 - 1, i64::MAX as u64, u64::MAX - 1] {
            assert_eq!(copy(&FileRange::new(&file, start..), &other).await.unwrap(), 0);
        }
    });
}

#[test]
fn what_is_no_regular_file_is_refused() {
    within(async {
        let (one, _other) = UnixStream::pair().unwrap();
        for path in ["/dev/null", "/"] {
            let source = FileRange::new(File::open(path).unwrap(), ..);
            let error = copy(&source, &one).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path}");
        }
    });
}

/// Also in a program that has set SIGPIPE back to its default: the child of this test does so, and its parent does not.
#[test]
fn a_vanished_receiver_is_an_error_not_a_signal() {
    let is_child = is_child("sigpipe");
    if is_child {
        // SAFETY: the default action needs no handler.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    }
    within(async {
        let file = file(&data());
        let (one, other) = UnixStream::pair().unwrap();
        let sender = spawn({
            let range = FileRange::new(file.try_clone().unwrap(), ..);
            async move { copy(&range, &one).await }
        });
        // It has begun, and waits for room.
        let mut other = other;
        other.read_exact(&mut [0; 1000]).await.unwrap();
        drop(other);
        // Bytes that nobody has read make the end of a Unix socket a reset.
        let kind = sender.await.unwrap_err().kind();
        assert!(
            matches!(kind, io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset),
            "{kind:?}"
        );
        let (gone, other) = UnixStream::pair().unwrap();
        drop(other);
        let error = copy(&FileRange::new(&file, ..), &gone).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
    if !is_child {
        run_child(&["env"], "a_vanished_receiver_is_an_error_not_a_signal", "sigpipe");
    }
}

/// Runs `test` under strace with `inject`; returns what it has called of `sendfile` and `preadv2`.
fn trace(test: &str, inject: &[&str]) -> String {
    under_strace(test, &[&["-e", "trace=sendfile,preadv2"], inject].concat())
}

/// How often the ranges call `sendfile`.
fn calls(inject: &[&str]) -> usize {
    let text = trace("every_range_arrives", inject);
    count(&text, &["sendfile("])
}

#[test]
fn the_kernel_sends_what_is_cached() {
    assert!(calls(&[]) > 6);
}

#[test]
fn a_refused_sendfile_falls_back() {
    // One attempt for each range that is not empty.
    let count = calls(&["-e", "inject=sendfile:error=EINVAL"]);
    assert!((1..=7).contains(&count), "{count} calls, though all are refused");
}

#[test]
fn what_is_not_cached_is_left_to_a_thread() {
    assert_eq!(calls(&["-e", "inject=preadv2:error=EAGAIN"]), 0);
}

#[test]
fn a_small_file_arrives() {
    within(async {
        let (mut one, other) = UnixStream::pair().unwrap();
        let file = file(&[7; 1_000]);
        assert_eq!(copy(&FileRange::new(&file, ..), &other).await.unwrap(), 1_000);
        drop(other);
        let mut all = Vec::new();
        one.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, [7; 1_000]);
    });
}

/// A look behind the end would tell that nothing has to be read there, whether the file itself is cached or not: then `sendfile` would wait for the disk.
#[test]
fn the_last_byte_is_looked_at() {
    let text = trace("a_small_file_arrives", &[]);
    let first = text.lines().find(|line| line.contains("preadv2(")).unwrap();
    assert!(first.contains(", 999, ") && first.ends_with("= 1"), "{text}");
}
