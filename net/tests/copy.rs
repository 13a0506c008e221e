//! Goal: what is moved between sockets arrives whole and in order, ends are passed on, errors are told (FAULTS E9, H21, P5).
//! Method: a proxy between two connections; much and little; strace shows whether bytes were spliced, and refuses it.

#![cfg(target_os = "linux")]

use std::io;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use rustix::net::{SendFlags, send};
use smolkit_net::unix::UnixStream;
use smolkit_net::{TcpListener, TcpStream, copy, copy_bidirectional};
use smolkit_runtime::{Timer, block_on, spawn, unblock};

/// Fails if `f` takes longer than 120 s.
fn within<T>(f: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(Duration::from_secs(120)).await;
        panic!("not finished after 120 s")
    };
    block_on(future::or(f, late))
}

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

fn data(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i / 3 % 251) as u8).collect()
}

/// A client and a server with a proxy between them, over TCP and a Unix socket.
async fn through_a_proxy(bytes: usize) {
    let (mut client, near) = tcp_pair().await;
    let (far, mut server) = UnixStream::pair().unwrap();
    let proxy = spawn(async move { copy_bidirectional(&near, &far).await });
    let mut sending = client.clone();
    let sender = spawn(async move {
        sending.write_all(&data(bytes)).await.unwrap();
        sending.close().await.unwrap();
    });
    let mut all = Vec::new();
    server.read_to_end(&mut all).await.unwrap();
    assert!(all == data(bytes));
    // Half-closed: the answer comes after the end of the question. It is larger than what the system's buffers hold, so both ends are busy at once.
    let answer = async {
        server.write_all(&data(bytes / 2)).await.unwrap();
        server.close().await.unwrap();
    };
    let mut back = Vec::new();
    let (_, read) = future::zip(answer, client.read_to_end(&mut back)).await;
    read.unwrap();
    assert!(back == data(bytes / 2));
    sender.await;
    assert_eq!(proxy.await.unwrap(), (bytes as u64, bytes as u64 / 2));
}

#[test]
fn much_and_little_arrive_whole() {
    for bytes in [0, 1, 5_000, 16 * 1024, 100_000, 8 << 20] {
        within(through_a_proxy(bytes));
    }
}

#[test]
fn small_messages_are_not_held_back() {
    within(async {
        let (mut client, near) = tcp_pair().await;
        let (far, mut server) = tcp_pair().await;
        let _proxy = spawn(async move { copy(&near, &far).await });
        let mut buf = [0; 64];
        for round in 0..100u8 {
            client.write_all(&[round; 64]).await.unwrap();
            server.read_exact(&mut buf).await.unwrap();
            assert_eq!(buf, [round; 64]);
        }
    });
}

#[test]
fn a_reset_is_an_error() {
    within(async {
        let (client, near) = tcp_pair().await;
        let (far, _server) = tcp_pair().await;
        let linger = socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO));
        linger.unwrap();
        drop(client);
        let error = copy_bidirectional(&near, &far).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    });
}

/// What a copy had read and not written when it was dropped is lost, as documented: nothing else of it, nothing twice, and nobody else gets it.
#[test]
fn a_dropped_copy_loses_only_what_it_holds() {
    within(async {
        let message = data(2 << 20);
        for round in 0..8 {
            let (mut client, near) = UnixStream::pair().unwrap();
            let (far, mut server) = UnixStream::pair().unwrap();
            let mut received = Vec::new();
            let mut sent = 0;
            {
                let copies = async { copy(&near, &far).await.map(drop) };
                let sends = async {
                    while sent < message.len() {
                        sent += client.write(&message[sent..]).await?;
                    }
                    future::pending().await
                };
                // The receiver stops in between, so that all that lies between them is full, and then the copy is dropped.
                let reads = async {
                    let mut buf = [0; 50_000];
                    for _ in 0..3 * round {
                        let count = server.read(&mut buf).await?;
                        received.extend_from_slice(&buf[..count]);
                    }
                    for _ in 0..100 {
                        future::yield_now().await;
                    }
                    io::Result::Ok(())
                };
                future::or(reads, future::or(copies, sends)).await.unwrap();
            }
            // What the next copy moves, with the same thread's pipe, is whole.
            through_a_proxy(1 << 20).await;
            drop(far);
            server.read_to_end(&mut received).await.unwrap();
            assert!(message.starts_with(&received), "round {round}");
            drop(client);
            let (mut near, mut rest) = (near, Vec::new());
            near.read_to_end(&mut rest).await.unwrap();
            assert!(message[..sent].ends_with(&rest), "round {round}");
            let held = sent - received.len() - rest.len();
            assert!(held <= 256 * 1024 + 16 * 1024, "round {round}: {held} bytes are lost");
        }
    });
}

/// Both directions have moved much, and wait now: the pipes went from one to the next. In a child, where nobody else has some.
#[test]
fn who_waits_has_no_pipe() {
    if std::env::var_os("SMOLKIT_PIPES").is_none() {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "who_waits_has_no_pipe"])
            .env("SMOLKIT_PIPES", "1")
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{status}");
        return;
    }
    let pipes = || {
        let all = std::fs::read_dir("/proc/self/fd").unwrap();
        all.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok())
            .filter(|path| path.to_string_lossy().starts_with("pipe:"))
            .count()
    };
    let before = pipes();
    within(async {
        const BYTES: usize = 4 << 20;
        let mut ends = Vec::new();
        for _ in 0..8 {
            let ((client, near), (far, server)) = (tcp_pair().await, tcp_pair().await);
            ends.push((client, near, far, server));
        }
        let proxy = |(_, near, far, _): &(TcpStream, TcpStream, TcpStream, TcpStream)| {
            let (near, far) = (near.clone(), far.clone());
            Box::pin(async move { copy_bidirectional(&near, &far).await })
        };
        // They go on to the end of the test.
        let mut proxies: Vec<_> = ends.iter().map(proxy).collect();
        for (proxy, (client, _, _, server)) in proxies.iter_mut().zip(&mut ends) {
            let moves = async {
                for is_back in [false, true] {
                    let (from, to) = if is_back {
                        (&mut *server, &mut *client)
                    } else {
                        (&mut *client, &mut *server)
                    };
                    let (message, mut all) = (data(BYTES), vec![0; BYTES]);
                    let (sent, got) =
                        future::zip(from.write_all(&message), to.read_exact(&mut all)).await;
                    sent.and(got).unwrap();
                    assert!(all == message);
                }
                None
            };
            assert!(future::or(async { Some(proxy.await) }, moves).await.is_none());
        }
        let ends_of_pipes = pipes() - before;
        assert!(ends_of_pipes <= 2, "{ends_of_pipes} for 16 directions that wait");
    });
}

/// Runs the large test under strace with `inject`; returns how often `splice` was called.
fn splices(inject: &[&str]) -> usize {
    let log = std::env::temp_dir().join(format!(
        "smolkit-splice-{}-{}",
        std::process::id(),
        inject.join("").len()
    ));
    let status = Command::new("strace")
        .args(["-f", "--seccomp-bpf", "-qq", "-e", "trace=splice", "-e", "signal=none", "-o"])
        .arg(&log)
        .args(inject)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "much_and_little_arrive_whole", "--test-threads=1"])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(log).unwrap();
    text.lines().filter(|line| line.contains("splice(")).count()
}

#[test]
fn large_amounts_are_spliced() {
    assert!(splices(&[]) > 8);
}

#[test]
fn a_refused_splice_falls_back() {
    let count = splices(&["-e", "inject=splice:error=EINVAL"]);
    assert!((1..=20).contains(&count), "{count} calls, though all are refused");
}

/// The bytes are in the pipe already when the second socket refuses them.
#[test]
fn a_splice_that_is_refused_halfway_falls_back() {
    let count = splices(&["-e", "inject=splice:error=EINVAL:when=2+2"]);
    assert!(count > 1, "{count} calls");
}

/// Also in a program that has set SIGPIPE back to its default: the child of this test does so. `splice` could not be told to spare it.
#[test]
fn a_vanished_receiver_is_an_error_not_a_signal() {
    if std::env::var_os("SMOLKIT_SIGPIPE").is_none() {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_vanished_receiver_is_an_error_not_a_signal"])
            .env("SMOLKIT_SIGPIPE", "1")
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{status}");
        return;
    }
    // SAFETY: the default action needs no handler.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    within(async {
        let (mut client, near) = tcp_pair().await;
        let (far, mut server) = tcp_pair().await;
        let proxy = spawn(async move { copy(&near, &far).await });
        let sender = spawn(async move {
            // Until the proxy has gone.
            while client.write_all(&[7; 65_536]).await.is_ok() {}
        });
        server.read_exact(&mut [0; 100_000]).await.unwrap();
        // A reset in the middle: bytes are left unread.
        drop(server);
        let kind = proxy.await.unwrap_err().kind();
        assert!(
            matches!(kind, io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset),
            "{kind:?}"
        );
        sender.await;
    });
}

/// Bytes, an urgent one, and bytes, sent in one go. The urgent one is none of the stream's.
fn send_around_urgent(client: &TcpStream, before: &[u8], behind: &[u8]) {
    use std::io::Write;
    let client = std::net::TcpStream::from(client.as_fd().try_clone_to_owned().unwrap());
    // The same socket: its reader does not mind.
    client.set_nonblocking(false).unwrap();
    (&client).write_all(before).unwrap();
    assert_eq!(send(&client, b"!", SendFlags::OOB).unwrap(), 1);
    (&client).write_all(behind).unwrap();
    client.set_nonblocking(true).unwrap();
}

/// Urgent data is none of the stream's: what is before it and behind it is moved, whether the sender ends then or waits for an answer.
#[test]
fn copying_goes_on_behind_urgent_data() {
    let case = async |bytes: usize, ends: bool| {
        let (mut client, near) = tcp_pair().await;
        let (far, mut server) = tcp_pair().await;
        // All is there before the first read, as far as the system's buffers reach.
        let sending = client.clone();
        let sender = unblock(move || {
            let (before, behind) = (data(bytes), data(bytes));
            send_around_urgent(&sending, &before, &behind);
        });
        let sender = spawn(sender);
        if bytes < 100_000 {
            sender.await;
        } else {
            sender.detach();
        }
        let proxy = spawn(async move { copy(&near, &far).await });
        let mut all = vec![0; 2 * bytes];
        server.read_exact(&mut all).await.unwrap();
        assert!(all[..bytes] == data(bytes) && all[bytes..] == data(bytes));
        if !ends {
            client.write_all(b"more").await.unwrap();
            server.read_exact(&mut all[..4]).await.unwrap();
            assert_eq!(&all[..4], b"more");
        }
        client.close().await.unwrap();
        let more = if ends { 0 } else { 4 };
        assert_eq!(proxy.await.unwrap(), 2 * bytes as u64 + more);
    };
    for bytes in [6, 16 * 1024, 16 * 1024 + 1, 40_000, 1 << 20] {
        within(case(bytes, false));
        within(case(bytes, true));
    }
}

/// The end is told together with the urgent mark: `splice` takes it for the end of all.
#[test]
fn an_end_behind_urgent_data_is_not_mistaken() {
    within(async {
        for bytes in [16 * 1024, 40_000] {
            let (mut client, near) = tcp_pair().await;
            let (far, mut server) = tcp_pair().await;
            send_around_urgent(&client, &data(bytes), &data(bytes));
            client.close().await.unwrap();
            let proxy = spawn(async move { copy(&near, &far).await });
            let mut all = Vec::new();
            assert_eq!(proxy.await.unwrap(), 2 * bytes as u64);
            server.read_to_end(&mut all).await.unwrap();
            assert!(all == [data(bytes), data(bytes)].concat());
        }
    });
}
