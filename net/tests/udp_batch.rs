//! Goal: datagrams in batches arrive as they would one by one, wherever the kernel refuses something; counts and errors are as documented (FAULTS E15).
//! Method: real sockets on loopback, both families; strace refuses calls, and shows that none fails in steady state.

#[cfg(target_os = "linux")]
mod child;
mod udp_support;

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::future;
use rustix::event::{PollFd, PollFlags, Timespec};
use smolkit_net::UdpSocket;
use smolkit_net::udp::{BATCH_MAX, MESSAGE_BYTES_MAX, RecvBatch, SEGMENTS_MAX, Transmit};
use smolkit_runtime::{LocalExecutor, Task, Timer, spawn, unblock};

use self::udp_support::{hosts, in_order, pair, receive, send_all, within};

fn datagrams(count: usize, len: impl Fn(usize) -> usize) -> Vec<Vec<u8>> {
    (0..count).map(|i| (0..len(i)).map(|at| (i + at) as u8).collect()).collect()
}

/// Many sizes, none at all among them; more messages than a call takes; a receiver that waits before anything comes.
async fn there_and_back(host: &str) {
    let (client, server, addr) = pair(host).await;
    let mut batch = RecvBatch::new(32, 2_048).unwrap();
    assert!(future::poll_once(server.recv_batch(&mut batch)).await.is_none());
    let sent = datagrams(100, |i| i * 37 % 1_400);
    let mut messages: Vec<_> = sent.iter().map(|bytes| Transmit::new(bytes, addr)).collect();
    send_all(&client, &mut messages).await;
    assert_eq!(receive(&server, &mut batch, 100).await, sent);
    assert!(batch.datagrams().all(|(_, from)| from == client.local_addr().unwrap()));
    assert!(batch.iter().all(|message| !message.is_truncated));
    // And back, over a connected socket.
    server.connect(client.local_addr().unwrap()).await.unwrap();
    let mut messages: Vec<_> = sent.iter().map(|bytes| Transmit::connected(bytes)).collect();
    send_all(&server, &mut messages).await;
    assert_eq!(receive(&client, &mut batch, 100).await, sent);
    assert!(batch.datagrams().all(|(_, from)| from == addr));
    assert!(future::poll_once(client.recv_batch(&mut batch)).await.is_none());
    assert!(batch.is_empty());
}

#[test]
fn batches_go_there_and_back() {
    for host in hosts() {
        in_order(there_and_back(host));
    }
}

#[test]
fn on_a_foreign_executor() {
    futures_executor::block_on(there_and_back("127.0.0.1"));
}

/// What does not fit is lost and said to be; the next message is not harmed.
#[test]
fn a_message_that_is_too_long_is_cut_off() {
    in_order(async {
        let (client, server, addr) = pair("127.0.0.1").await;
        let mut batch = RecvBatch::new(4, 10).unwrap();
        let sent = [b"0123456789".as_slice(), b"0123456789a", b"", b"x"];
        send_all(&client, &mut sent.map(|bytes| Transmit::new(bytes, addr))).await;
        let mut seen = Vec::new();
        while seen.len() < 4 {
            server.recv_batch(&mut batch).await.unwrap();
            seen.extend(batch.iter().map(|m| (m.bytes.to_vec(), m.is_truncated)));
        }
        let expected = [("0123456789", false), ("0123456789", true), ("", false), ("x", false)];
        assert_eq!(seen, expected.map(|(text, cut)| (text.as_bytes().to_vec(), cut)));
    });
}

/// Segments of one message, cut by the kernel or not, and joined again or not, are the same datagrams.
async fn segments(host: &str, is_joined: bool) {
    let (client, server, addr) = pair(host).await;
    if is_joined {
        match server.set_gro(true) {
            Ok(()) => assert!(server.gro().unwrap()),
            Err(error) if cfg!(target_os = "linux") => panic!("{error}"),
            Err(_) => {}
        }
    }
    let mut batch = RecvBatch::new(8, 65_536).unwrap();
    // Those that are alike go together, whatever is between them.
    let sent = datagrams(60, |i| [9, 9, 5, 9, 9, 9, 10, 0, 0, 10, 1_300, 1_300][i % 12]);
    let mut messages: Vec<_> = sent.iter().map(|bytes| Transmit::new(bytes, addr)).collect();
    send_all(&client, &mut messages).await;
    assert_eq!(receive(&server, &mut batch, sent.len()).await, sent);
    for (len, segment_bytes) in
        [(6_400, 100), (6_350, 100), (50, 100), (100, 100), (101, 100), (0, 9)]
    {
        let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
        let message = Transmit::new(&bytes, addr).in_segments(segment_bytes);
        // Ordinary ones around it.
        let (first, last) = (Transmit::new(b"first", addr), Transmit::new(b"last", addr));
        send_all(&client, &mut [first, message, last]).await;
        let mut expected = vec![b"first".to_vec()];
        expected.extend(bytes.chunks(segment_bytes).map(<[u8]>::to_vec));
        if bytes.is_empty() {
            expected.push(Vec::new());
        }
        expected.push(b"last".to_vec());
        assert_eq!(receive(&server, &mut batch, expected.len()).await, expected);
    }
}

#[test]
fn segments_are_datagrams() {
    for host in hosts() {
        for is_joined in [false, true] {
            in_order(segments(host, is_joined));
        }
    }
}

/// With both ends' help 64 datagrams are one message.
#[cfg(target_os = "linux")]
#[test]
fn the_kernel_joins_segments() {
    within(async {
        let (client, server, addr) = pair("127.0.0.1").await;
        server.set_gro(true).unwrap();
        let bytes = vec![7; 64 * 1_000 - 1];
        client.send_batch(&mut [Transmit::new(&bytes, addr).in_segments(1_000)]).await.unwrap();
        let mut batch = RecvBatch::new(2, 65_536).unwrap();
        server.recv_batch(&mut batch).await.unwrap();
        let message = batch.iter().next().unwrap();
        assert_eq!((message.bytes.len(), message.segment_bytes), (bytes.len(), 1_000));
        assert_eq!((message.from, message.is_truncated), (client.local_addr().unwrap(), false));
        let lens: Vec<usize> = message.datagrams().map(<[u8]>::len).collect();
        assert_eq!(lens, [[1_000; 63].as_slice(), &[999]].concat());
    });
}

/// What comes before a message that cannot be sent is sent; then that one is the error; then one goes on behind it.
#[test]
fn an_error_is_that_of_the_first_message() {
    in_order(async {
        let (client, server, addr) = pair("127.0.0.1").await;
        let too_long = vec![0; 65_508];
        let too_many = vec![0; SEGMENTS_MAX + 1];
        let mut messages = [
            Transmit::new(b"one", addr),
            Transmit::new(&too_long, addr),
            Transmit::new(b"two", addr),
            Transmit::new(&too_many, addr).in_segments(1),
            Transmit::new(b"three", addr),
        ];
        let kinds = |result: io::Result<usize>| result.map_err(|e| (e.kind(), e.raw_os_error()));
        let mut rest = &mut messages[..];
        assert_eq!(kinds(client.send_batch(rest).await), Ok(1));
        rest = &mut rest[1..];
        let code = client.send_batch(rest).await.unwrap_err().raw_os_error();
        assert_eq!(code, Some(libc::EMSGSIZE));
        rest = &mut rest[1..];
        assert_eq!(kinds(client.send_batch(rest).await), Ok(1));
        rest = &mut rest[1..];
        assert_eq!(kinds(client.send_batch(rest).await), Err((ErrorKind::InvalidInput, None)));
        rest = &mut rest[1..];
        assert_eq!(kinds(client.send_batch(rest).await), Ok(1));
        let mut batch = RecvBatch::new(4, 8).unwrap();
        let texts = [b"one".as_slice(), b"two", b"three"];
        assert_eq!(receive(&server, &mut batch, 3).await, texts);
    });
}

/// A batch takes so many messages, and not one more; what was in it makes room.
#[test]
fn a_batch_has_its_capacity() {
    in_order(async {
        let (client, server, addr) = pair("127.0.0.1").await;
        for capacity in [1, 3, BATCH_MAX] {
            let mut batch = RecvBatch::new(capacity, 8).unwrap();
            assert_eq!((batch.capacity(), batch.len()), (capacity, 0));
            // Of different lengths, or they would be the segments of one.
            let sent = datagrams(2 * capacity + 1, |i| 1 + i % 8);
            let mut messages: Vec<_> =
                sent.iter().map(|bytes| Transmit::new(bytes, addr)).collect();
            send_all(&client, &mut messages).await;
            let mut received = Vec::new();
            while received.len() < sent.len() {
                let count = server.recv_batch(&mut batch).await.unwrap();
                assert!(count <= capacity && batch.capacity() == capacity);
                received.extend(batch.datagrams().map(|(bytes, _)| bytes.to_vec()));
            }
            assert_eq!(received, sent);
        }
    });
}

#[test]
fn bad_input_is_told_clearly() {
    within(async {
        let (client, _server, addr) = pair("127.0.0.1").await;
        let long = vec![0; MESSAGE_BYTES_MAX + 1];
        let other: SocketAddr = "[::1]:9".parse().unwrap();
        let cases: [(&mut [Transmit<'_>], &str); 7] = [
            (&mut [], "cannot send an empty batch"),
            (&mut [Transmit::new(b"x", addr).in_segments(0)], "segments of 0 bytes"),
            (&mut [Transmit::new(b"x", addr).in_segments(65_508)], "65508 bytes: 65507 at most"),
            (&mut [Transmit::new(&long, addr).in_segments(1_400)], "65508 bytes in segments"),
            (&mut [Transmit::new(&long[..650], addr).in_segments(10)], "65 segments: 64 at most"),
            (
                &mut [Transmit::new(b"x", other), Transmit::new(b"y", addr)],
                "cannot send to [::1]:9",
            ),
            (&mut [Transmit::new(b"", other)], "from a socket that is bound to 127.0.0.1"),
        ];
        for (batch, expected) in cases {
            let error = client.send_batch(batch).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
        // Nobody said where to.
        assert!(client.send_batch(&mut [Transmit::connected(b"x")]).await.is_err());
        for (messages, bytes) in [(0, 1), (BATCH_MAX + 1, 1), (1, 0), (1, 65_537)] {
            let error = RecvBatch::new(messages, bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
    });
}

/// Waits until the kernel says so, without a call of the socket's own.
fn until(socket: &UdpSocket, flags: PollFlags) {
    let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
    let mut fds = [PollFd::new(socket, flags)];
    assert_eq!(rustix::event::poll(&mut fds, Some(&limit)).unwrap(), 1, "not after 60 s");
}

/// A refusal that an earlier datagram met is one error; what has arrived comes then.
#[test]
fn a_refusal_is_reported_once() {
    in_order(async {
        let (client, gone, addr) = pair("127.0.0.1").await;
        client.connect(addr).await.unwrap();
        gone.connect(client.local_addr().unwrap()).await.unwrap();
        send_all(&gone, &mut [Transmit::connected(b"one"), Transmit::connected(b"two")]).await;
        // It hears nobody but itself from now on, and keeps the port from others.
        gone.connect(addr).await.unwrap();
        client.send_batch(&mut [Transmit::connected(b"x")]).await.unwrap();
        // The refusal is no event that is asked for: it comes by itself.
        until(&client, PollFlags::empty());
        let mut batch = RecvBatch::new(8, 16).unwrap();
        let error = client.recv_batch(&mut batch).await.unwrap_err();
        assert_eq!((error.kind(), batch.len()), (ErrorKind::ConnectionRefused, 0));
        assert_eq!(receive(&client, &mut batch, 2).await, [b"one", b"two"]);
    });
}

/// Each datagram goes to one of them, and none is forgotten when a batch takes less than all.
#[test]
fn several_receivers_share_a_socket() {
    within(async {
        let (client, server, addr) = pair("127.0.0.1").await;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let receiver = |_| {
            let (server, seen) = (server.clone(), seen.clone());
            spawn(async move {
                let mut batch = RecvBatch::new(4, 16).unwrap();
                loop {
                    server.recv_batch(&mut batch).await.unwrap();
                    let all = batch.datagrams().map(|(bytes, _)| bytes.to_vec());
                    seen.lock().unwrap().extend(all);
                }
            })
        };
        let receivers: Vec<Task<()>> = (0..3).map(receiver).collect();
        let mut sent = datagrams(200, |_| 8);
        for some in sent.chunks(50) {
            let mut messages: Vec<_> = some.iter().map(|b| Transmit::new(b, addr)).collect();
            send_all(&client, &mut messages).await;
            Timer::after(Duration::from_millis(1)).await;
        }
        while seen.lock().unwrap().len() < sent.len() {
            Timer::after(Duration::from_millis(1)).await;
        }
        drop(receivers);
        let mut seen = seen.lock().unwrap();
        seen.sort();
        sent.sort();
        assert_eq!(*seen, sent);
    });
}

/// A sender and a receiver in turn, 200 batches.
#[test]
fn steady_state() {
    in_order(async {
        let (client, server, addr) = pair("127.0.0.1").await;
        let mut batch = RecvBatch::new(32, 64).unwrap();
        for round in 0..200u8 {
            let bytes = [round; 20];
            assert!(future::poll_once(server.recv_batch(&mut batch)).await.is_none());
            send_all(&client, &mut [Transmit::new(&bytes, addr); 5]).await;
            assert_eq!(receive(&server, &mut batch, 5).await, vec![bytes; 5]);
        }
    });
}

#[cfg(target_os = "linux")]
mod under_strace {
    use smolkit_runtime::Async;

    use super::child::{TRACED, count, is_child, under_strace};
    use super::*;

    const CALLS: &str = "trace=recvmmsg,sendmmsg,recvmsg,sendmsg";

    #[test]
    fn no_call_fails_in_steady_state() {
        // A busy kernel may deliver a batch in two halves, of which the second one is an event of its own: not in each of several runs.
        let mut seen = Vec::new();
        for _ in 0..5 {
            let text = under_strace("steady_state", &["-e", CALLS]);
            assert_eq!((count(&text, &["recvmsg("]), count(&text, &["sendmsg("])), (0, 0));
            assert_eq!(count(&text, &["sendmmsg("]), 200);
            seen.push((count(&text, &["recvmmsg("]), count(&text, &["EAGAIN"])));
            // The first one finds out that there is nothing.
            if matches!(seen.last(), Some((..=205, ..=1))) || cfg!(smolkit_portable) {
                return;
            }
        }
        panic!("calls for 200 batches, and failures: {seen:?}");
    }

    #[test]
    fn without_the_calls_for_many() {
        let refused = "inject=recvmmsg,sendmmsg:error=ENOSYS";
        for test in ["batches_go_there_and_back", "an_error_is_that_of_the_first_message"] {
            let text = under_strace(test, &["-e", CALLS, "-e", refused]);
            // Each socket asks once for each of the two.
            let asked = count(&text, &["mmsg("]);
            assert!((1..=8).contains(&asked), "{asked} calls that are refused");
        }
        for test in ["segments_are_datagrams", "several_receivers_share_a_socket"] {
            under_strace(test, &["-e", CALLS, "-e", refused]);
        }
    }

    #[test]
    fn without_segments() {
        let run = |inject: &str| {
            let text = under_strace("under_strace::cut_by_hand", &["-e", CALLS, "-e", inject]);
            (count(&text, &["sendmmsg("]), text.matches("cmsg_level=SOL_UDP").count())
        };
        // Twice three messages in one call, the last three as one.
        assert_eq!(run("inject=getuid:error=EIO"), (1, 4));
        // Refused; the first one cut; all others cut, and not tried whole again.
        assert_eq!(run("inject=sendmmsg:error=EIO:when=1"), (3, 4));
        // Each of the four refused, with those behind it, and cut.
        for errno in ["EINVAL", "EMSGSIZE"] {
            assert_eq!(run(&format!("inject=sendmmsg:error={errno}:when=1+2")), (8, 4 + 3 + 2 + 1));
        }
    }

    /// For the test above; alone it tests little.
    #[test]
    fn cut_by_hand() {
        in_order(async {
            let (client, server, addr) = pair("127.0.0.1").await;
            let mut batch = RecvBatch::new(32, 64).unwrap();
            let message = Transmit::new(b"0123456789", addr).in_segments(4);
            let alike = Transmit::new(b"abcde", addr);
            let mut messages = [message, message, message, alike, alike, alike];
            send_all(&client, &mut messages).await;
            let mut expected = [b"0123".as_slice(), b"4567", b"89"].repeat(3);
            expected.extend([b"abcde".as_slice(); 3]);
            assert_eq!(receive(&server, &mut batch, 12).await, expected);
        });
    }

    /// The third datagram finds no room: the message is continued there, not begun again.
    #[test]
    fn a_message_is_continued() {
        if !is_child(TRACED) {
            let calls = "inject=sendmmsg:error=ENOSYS";
            let full = "inject=sendmsg:error=EAGAIN:when=3..4";
            let text =
                under_strace("under_strace::a_message_is_continued", &["-e", calls, "-e", full]);
            assert_eq!(count(&text, &["EAGAIN", "INJECTED"]), 2, "{text}");
            return;
        }
        in_order(async {
            let (_, server, addr) = pair("127.0.0.1").await;
            let std = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            std.set_nonblocking(true).unwrap();
            // Registered when it waits, so that there is an event for the injected error.
            let client = UdpSocket::from(Async::new_unregistered(std));
            let mut messages = [Transmit::new(b"0123456789", addr).in_segments(2)];
            {
                let mut sending = Box::pin(client.send_batch(&mut messages));
                assert!(future::poll_once(&mut sending).await.is_none());
            }
            assert_eq!(messages[0].bytes(), b"456789");
            send_all(&client, &mut messages).await;
            let mut batch = RecvBatch::new(32, 64).unwrap();
            let expected = ["01", "23", "45", "67", "89"].map(|text| text.as_bytes().to_vec());
            assert_eq!(receive(&server, &mut batch, 5).await, expected);
        });
    }

    /// Without `recvmmsg` an error behind two messages waits for the next call.
    #[test]
    fn an_error_behind_messages_is_kept() {
        if !is_child(TRACED) {
            let calls = "inject=recvmmsg:error=ENOSYS";
            let refused = "inject=recvmsg:error=ECONNREFUSED:when=3";
            let test = "under_strace::an_error_behind_messages_is_kept";
            under_strace(test, &["-e", calls, "-e", refused]);
            return;
        }
        in_order(async {
            let (client, server, addr) = pair("127.0.0.1").await;
            send_all(&client, &mut [Transmit::new(b"1", addr), Transmit::new(b"2", addr)]).await;
            until(&server, PollFlags::IN);
            let mut batch = RecvBatch::new(8, 64).unwrap();
            assert_eq!(server.recv_batch(&mut batch).await.unwrap(), 2);
            // A real error has an event of its own.
            client.send_to(b"3", addr).await.unwrap();
            let error = server.recv_batch(&mut batch).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            assert_eq!(receive(&server, &mut batch, 1).await, [b"3"]);
        });
    }
}

/// Whoever sends batch after batch leaves others their turns: a batch counts for what is in it.
#[test]
fn batches_leave_others_their_turns() {
    within(async {
        let gone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = gone.local_addr().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let executor = LocalExecutor::new();
        let turns = Rc::new(Cell::new(0));
        let others = turns.clone();
        let _other = executor.spawn(async move {
            loop {
                others.set(others.get() + 1);
                future::yield_now().await;
            }
        });
        let sender = executor.spawn(async move {
            let mut left = 0;
            // What nobody reads is dropped by the kernel, so the socket is always ready.
            for _ in 0..64 {
                let before = turns.get();
                let mut batch = [Transmit::new(b"x", to); 64];
                let mut rest = &mut batch[..];
                while !rest.is_empty() {
                    let sent = socket.send_batch(rest).await.unwrap();
                    rest = &mut rest[sent..];
                }
                left += usize::from(turns.get() > before);
            }
            left
        });
        // A batch of 64 counts for 17 operations, and a turn is 64 of them.
        let left = executor.run(sender).await;
        assert!(left >= 12, "others had {left} turns");
    });
}

/// Without `recvmmsg`: the error that ended a batch is told by the next call, though no event tells of it.
#[cfg(target_os = "linux")]
#[test]
fn a_late_error_without_recvmmsg() {
    const TEST: &str = "a_late_error_without_recvmmsg";
    if !child::is_child(child::TRACED) {
        // The first `recvmsg` is slow, so that the refusal is there by then.
        let refused = ["-e", "trace=recvmmsg,recvmsg", "-e", "inject=recvmmsg:error=ENOSYS"];
        let late = ["-e", "inject=recvmsg:delay_exit=300000:when=1"];
        child::under_strace(TEST, &[&refused[..], &late[..]].concat());
        return;
    }
    within(async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let gone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let addr = gone.local_addr().unwrap();
        socket.connect(addr).await.unwrap();
        gone.send_to(b"one", socket.local_addr().unwrap()).await.unwrap();
        // It hears nobody but itself, and keeps the port from others.
        gone.connect(addr).await.unwrap();
        let other = socket.clone();
        let sender = unblock(move || {
            // While the other one is in its first `recvmsg`.
            std::thread::sleep(Duration::from_millis(100));
            rustix::net::send(&other, b"x", rustix::net::SendFlags::empty()).unwrap();
        });
        let mut batch = RecvBatch::new(8, 64).unwrap();
        let mut told = 0;
        // It comes with the first call, which has nothing yet then, or after it.
        let refused = loop {
            match socket.recv_batch(&mut batch).await {
                Ok(count) => told += count,
                Err(error) => break error,
            }
        };
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        assert!(told <= 1);
        sender.await;
    });
}
