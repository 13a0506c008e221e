//! Goal: each way in which the other side, the network or the system can fail gives the error kind of the table in the crate's documentation (FAULTS E9, P5).
//! Method: real sockets; children of this program with SIGPIPE set back to its default, with few descriptors, without capabilities, with errors that strace injects, and in networks of
//! their own with routes that lead nowhere (`unshare`, `ip`).

#![cfg(target_os = "linux")]

mod child;
mod refused;
mod silent;

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt, future};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use smolkit_net::handover::Sockets;
use smolkit_net::unix::{UnixDatagram, UnixListener, UnixSeqpacket, UnixStream};
use smolkit_net::{ConnectError, TcpConnector, TcpListener, TcpSocket, TcpStream, UdpSocket};
use smolkit_runtime::{Timer, block_on};

use self::child::{TRACED, count, is_child, run_child, under_strace};
use self::refused::Refused;
use self::silent::Silent;

/// Fails if `f` takes longer than 60 s.
fn within<T>(f: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(Duration::from_secs(60)).await;
        panic!("not finished after 60 s")
    };
    block_on(future::or(f, late))
}

fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> ErrorKind {
    result.expect_err("it has to fail").kind()
}

fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> Option<i32> {
    result.expect_err("it has to fail").raw_os_error()
}

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (client, accepted) =
        future::try_zip(TcpStream::connect(addr), listener.accept()).await.unwrap();
    (client, accepted.0)
}

/// Closes a connection so that the other end gets a reset.
fn reset(stream: TcpStream) {
    let stream = std::net::TcpStream::try_from(stream).unwrap();
    socket2::Socket::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Waits until the other end has noticed.
async fn until_noticed(stream: &TcpStream) {
    while stream.peek(&mut [0]).await.is_ok_and(|count| count > 0) {}
}

/// Waits until the kernel has an error, and takes nothing of it.
fn until_error(socket: impl AsFd) {
    let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
    let mut fds = [PollFd::new(&socket, PollFlags::empty())];
    assert_eq!(rustix::event::poll(&mut fds, Some(&limit)).unwrap(), 1, "none after 60 s");
}

#[test]
fn the_other_end_is_closed() {
    within(async {
        let (mut client, server) = tcp_pair().await;
        drop(server);
        let mut buf = [0; 8];
        assert_eq!(client.read(&mut buf).await.unwrap(), 0);
        // It may have closed one direction only: the first write is sent, and answered by a reset.
        assert_eq!(client.write(b"x").await.unwrap(), 1);
        let error = loop {
            // The answer is under way.
            match client.write(b"x").await {
                Ok(_) => Timer::after(Duration::from_millis(1)).await,
                Err(error) => break error,
            };
        };
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        assert_eq!(client.read(&mut buf).await.unwrap(), 0, "the end stays the end");
        assert_eq!(kind(client.peer_addr()), ErrorKind::NotConnected);
        assert_eq!(kind(client.shutdown(Shutdown::Write)), ErrorKind::NotConnected);

        let (mut one, other) = UnixStream::pair().unwrap();
        drop(other);
        assert_eq!(one.read(&mut buf).await.unwrap(), 0);
        assert_eq!(kind(one.write(b"x").await), ErrorKind::BrokenPipe);
        let (one, other) = UnixSeqpacket::pair().unwrap();
        drop(other);
        assert_eq!(one.recv(&mut buf).await.unwrap(), 0);
        assert_eq!(kind(one.send(b"x").await), ErrorKind::BrokenPipe);
    });
}

#[test]
fn the_other_end_resets() {
    within(async {
        let mut buf = [0; 8];
        // A reader that waits, and one that comes later; each hears of it once.
        for waits in [true, false] {
            let (client, server) = tcp_pair().await;
            let mut reader = client.clone();
            let mut reading = Box::pin(reader.read(&mut buf));
            if waits {
                assert!(future::poll_once(&mut reading).await.is_none());
            }
            reset(server);
            assert_eq!(kind(reading.await), ErrorKind::ConnectionReset);
            let mut client = client;
            assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
            assert_eq!(kind(client.write(b"x").await), ErrorKind::BrokenPipe);
        }
        // Closed with bytes unread: a reset as well.
        let (mut client, server) = tcp_pair().await;
        client.write_all(b"unread").await.unwrap();
        server.peek(&mut buf).await.unwrap();
        drop(server);
        assert_eq!(kind(client.read(&mut buf).await), ErrorKind::ConnectionReset);
        let (mut one, mut other) = UnixStream::pair().unwrap();
        one.write_all(b"unread").await.unwrap();
        other.write_all(b"lost").await.unwrap();
        drop(other);
        assert_eq!(one.read(&mut buf).await.unwrap(), 4);
        assert_eq!(kind(one.read(&mut buf).await), ErrorKind::ConnectionReset);
        assert_eq!(one.read(&mut buf).await.unwrap(), 0);
        // A connection that was reset while it waited to be accepted is accepted all the same.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        reset(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
        let (mut accepted, _) = listener.accept().await.unwrap();
        assert_eq!(kind(accepted.read(&mut buf).await), ErrorKind::ConnectionReset);
    });
}

#[test]
fn one_direction_is_closed() {
    within(async {
        let (mut client, mut server) = tcp_pair().await;
        let mut buf = [0; 8];
        client.close().await.unwrap();
        assert_eq!(kind(client.write(b"x").await), ErrorKind::BrokenPipe);
        assert_eq!(server.read(&mut buf).await.unwrap(), 0);
        server.write_all(b"still").await.unwrap();
        assert_eq!(client.read(&mut buf).await.unwrap(), 5);
        // Our own reading direction: the end, whatever comes.
        client.shutdown(Shutdown::Read).unwrap();
        assert_eq!(client.read(&mut buf).await.unwrap(), 0);
        let (mut one, mut other) = UnixStream::pair().unwrap();
        one.shutdown(Shutdown::Read).unwrap();
        assert_eq!(kind(other.write(b"x").await), ErrorKind::BrokenPipe);
        one.write_all(b"still").await.unwrap();
        assert_eq!(other.read(&mut buf).await.unwrap(), 5);
    });
}

/// Writes until it fails, by one buffer or by two at a time.
async fn write_until_it_fails<W: AsyncWrite + Unpin>(writer: &mut W, vectored: bool) -> ErrorKind {
    let block = vec![7; 256 * 1024];
    loop {
        let result = future::poll_fn(|cx| {
            let writer = Pin::new(&mut *writer);
            match vectored {
                true => writer.poll_write_vectored(cx, &[IoSlice::new(&block); 2]),
                false => writer.poll_write(cx, &block),
            }
        });
        if let Err(error) = result.await {
            return error.kind();
        }
    }
}

/// P5, also in a program that has set SIGPIPE back to its default: the child does so.
#[test]
fn a_reset_in_the_middle_of_a_write() {
    if !is_child("sigpipe") {
        run_child(&["env"], "a_reset_in_the_middle_of_a_write", "sigpipe");
    } else {
        // SAFETY: the default action needs no handler.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    }
    within(async {
        for vectored in [false, true] {
            let (mut client, mut server) = tcp_pair().await;
            // The other end takes some, and resets when the writer waits for room.
            let writing = write_until_it_fails(&mut client, vectored);
            let resetting = async {
                server.read_exact(&mut vec![0; 300_000]).await.unwrap();
                Timer::after(Duration::from_millis(5)).await;
                reset(server);
            };
            let (kind, ()) = future::zip(writing, resetting).await;
            assert_eq!(kind, ErrorKind::ConnectionReset);
            assert_eq!(write_until_it_fails(&mut client, vectored).await, ErrorKind::BrokenPipe);

            let (mut one, mut other) = UnixStream::pair().unwrap();
            let writing = write_until_it_fails(&mut one, vectored);
            let closing = async {
                other.read_exact(&mut vec![0; 300_000]).await.unwrap();
                drop(other);
            };
            let (kind, ()) = future::zip(writing, closing).await;
            // What it had not read makes it a reset: told once, to whoever asks first.
            assert!(matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{kind:?}");
            assert_eq!(write_until_it_fails(&mut one, vectored).await, ErrorKind::BrokenPipe);
        }
        // Whose other end was reset before.
        let (mut client, server) = tcp_pair().await;
        reset(server);
        until_noticed(&client).await;
        assert_eq!(kind(client.write(b"x").await), ErrorKind::BrokenPipe);
        // Own directions that are shut down, and packets.
        let (mut client, _server) = tcp_pair().await;
        client.close().await.unwrap();
        assert_eq!(kind(client.write(b"x").await), ErrorKind::BrokenPipe);
        let (one, other) = UnixDatagram::pair().unwrap();
        one.shutdown(Shutdown::Write).unwrap();
        assert_eq!(kind(one.send(b"x").await), ErrorKind::BrokenPipe);
        other.shutdown(Shutdown::Read).unwrap();
        let (one, other) = UnixSeqpacket::pair().unwrap();
        drop(other);
        assert_eq!(kind(one.send(b"x").await), ErrorKind::BrokenPipe);
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        udp.connect(udp.local_addr().unwrap()).await.unwrap();
        let std = socket2::SockRef::from(&udp);
        std.shutdown(Shutdown::Write).unwrap();
        // The system lets it through or refuses; it must not kill.
        let _ = udp.send(b"x").await;
    });
}

#[test]
fn nobody_listens() {
    within(async {
        let refused = Refused::new();
        let addr = refused.addr;
        assert_eq!(kind(TcpStream::connect(addr).await), ErrorKind::ConnectionRefused);
        let socket = TcpSocket::new_v4().unwrap();
        assert_eq!(kind(socket.connect(addr).await), ErrorKind::ConnectionRefused);
        let dir = std::env::temp_dir().join(format!("smolkit-kinds-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let path = dir.join("socket");
        assert_eq!(kind(UnixStream::connect(&path).await), ErrorKind::NotFound);
        drop(UnixListener::bind(&path).unwrap());
        assert_eq!(kind(UnixStream::connect(&path).await), ErrorKind::ConnectionRefused);
        assert_eq!(kind(UnixListener::bind(&path)), ErrorKind::AddrInUse);
        // A datagram's sender hears it; UDP's from the answer to an earlier one.
        let datagrams = UnixDatagram::unbound().unwrap();
        assert_eq!(kind(datagrams.send_to(b"x", &path).await), ErrorKind::ConnectionRefused);
        std::fs::remove_file(&path).unwrap();
        let receiver = UnixDatagram::bind(&path).unwrap();
        datagrams.connect(&path).unwrap();
        drop(receiver);
        assert_eq!(kind(datagrams.send(b"x").await), ErrorKind::ConnectionRefused);
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(kind(datagrams.send_to(b"x", &path).await), ErrorKind::NotFound);
        assert_eq!(kind(datagrams.connect(&path)), ErrorKind::NotFound);
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        udp.connect(addr).await.unwrap();
        udp.send(b"x").await.unwrap();
        assert_eq!(kind(udp.recv(&mut [0; 8]).await), ErrorKind::ConnectionRefused);
        // A sender hears it as well, once.
        udp.send(b"x").await.unwrap();
        until_error(&udp);
        assert_eq!(kind(udp.send(b"x").await), ErrorKind::ConnectionRefused);
        assert_eq!(udp.send(b"x").await.unwrap(), 1);
        // What is not for sending, or too long.
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        assert_eq!(errno(udp.send(b"x").await), Some(libc::EDESTADDRREQ));
        assert_eq!(errno(udp.send_to(&[0; 70_000], addr).await), Some(libc::EMSGSIZE));
        assert_eq!(kind(udp.send_to(b"x", "255.255.255.255:9").await), ErrorKind::PermissionDenied);
        assert_eq!(kind(udp.peer_addr()), ErrorKind::NotConnected);
        assert_eq!(kind(TcpListener::bind("192.0.2.1:0").await), ErrorKind::AddrNotAvailable);
    });
}

#[test]
fn time_is_up() {
    within(async {
        let silent = Silent::new().await;
        let connector = TcpConnector::new().timeout(Duration::from_millis(100));
        assert_eq!(kind(connector.connect(silent.addr).await), ErrorKind::TimedOut);

        // A peer that takes nothing, for longer than the connection may wait for it.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_user_timeout(Some(Duration::from_millis(100))).unwrap();
        let connecting = socket.connect(listener.local_addr().unwrap());
        let (mut client, accepted) = future::try_zip(connecting, listener.accept()).await.unwrap();
        assert_eq!(write_until_it_fails(&mut client, false).await, ErrorKind::TimedOut);
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!(kind(client.write(b"x").await), ErrorKind::BrokenPipe);
        drop(accepted);
    });
}

/// Keepalive asks, and a filter drops whatever comes to the other end (`socket(7)`).
#[test]
fn the_other_end_is_not_there_any_more() {
    within(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut pairs = Vec::new();
        for _ in 0..2 {
            let socket = TcpSocket::new_v4().unwrap();
            let second = Duration::from_secs(1);
            socket.set_keepalive_intervals(second, second, 1).unwrap();
            let connecting = socket.connect(listener.local_addr().unwrap());
            let (client, (server, _)) =
                future::try_zip(connecting, listener.accept()).await.unwrap();
            let nothing = socket2::SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0);
            socket2::SockRef::from(&server).attach_filter(&[nothing]).unwrap();
            pairs.push((client, server));
        }
        let (mut reader, mut writer) = (pairs[0].0.clone(), pairs[1].0.clone());
        assert_eq!(kind(reader.read(&mut [0; 8]).await), ErrorKind::TimedOut);
        assert_eq!(reader.read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!(kind(reader.write(b"x").await), ErrorKind::BrokenPipe);
        // And whoever writes only when it is over.
        until_error(&writer);
        assert_eq!(kind(writer.write(b"x").await), ErrorKind::TimedOut);
        assert_eq!(kind(writer.write(b"x").await), ErrorKind::BrokenPipe);
        assert_eq!(writer.read(&mut [0; 8]).await.unwrap(), 0);
    });
}

/// Where nobody sets a deadline, the system has one; in a network of its own it is short.
#[test]
fn the_systems_time_is_up() {
    if !is_child("network") {
        let few = "ip link set lo up && echo 1 > /proc/sys/net/ipv4/tcp_syn_retries && exec \"$@\"";
        let before = ["unshare", "--map-root-user", "--net", "sh", "-c", few, "sh"];
        return run_child(&before, "the_systems_time_is_up", "network");
    }
    within(async {
        let silent = Silent::new().await;
        let socket = TcpSocket::new_v4().unwrap();
        let both = future::zip(TcpStream::connect(silent.addr), socket.connect(silent.addr));
        let (by_address, by_socket) = both.await;
        assert_eq!(errno(by_socket), Some(libc::ETIMEDOUT));
        let error = by_address.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let error = error.get_ref().unwrap().downcast_ref::<ConnectError>().unwrap();
        let attempts: Vec<_> = error.attempts().map(|(to, why)| (to, why.raw_os_error())).collect();
        assert_eq!(attempts, [(silent.addr, Some(libc::ETIMEDOUT))]);
    });
}

/// A user whom the namespace does not know loses all capabilities with `exec` (`user_namespaces(7)`).
#[test]
fn ports_of_the_privileged() {
    if !is_child("user") {
        return run_child(&["unshare", "--user", "--net"], "ports_of_the_privileged", "user");
    }
    within(async {
        for port in [1, 80, 1_023] {
            let addr = SocketAddr::from(([0, 0, 0, 0], port));
            let denied = ErrorKind::PermissionDenied;
            assert_eq!(kind(TcpListener::bind(addr).await), denied);
            assert_eq!(kind(TcpListener::bind_many(addr, 2)), denied);
            assert_eq!(kind(TcpSocket::new_v4().unwrap().bind(addr)), denied);
            assert_eq!(kind(UdpSocket::bind(addr).await), denied);
        }
        TcpListener::bind("0.0.0.0:1024").await.unwrap();
    });
}

/// The system's table is full, says strace: each call asks once, and fails.
#[test]
fn no_more_descriptors_in_the_system() {
    if !is_child(TRACED) {
        let options = [
            ["-e", "trace=accept4,socket"],
            ["-e", "inject=accept4:error=ENFILE:when=1..3"],
            ["-e", "inject=socket:error=ENFILE:when=3+"],
        ];
        let text = under_strace("no_more_descriptors_in_the_system", &options.concat());
        let accepts = [count(&text, &["accept4(", "ENFILE"]), count(&text, &["accept4("])];
        assert_eq!(accepts, [3, 4], "{text}");
        let sockets = [count(&text, &["socket(", "ENFILE"]), count(&text, &["socket("])];
        assert_eq!(sockets, [6, 8], "{text}");
        return;
    }
    within(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let waiting = TcpStream::connect(addr).await.unwrap();
        let full = Some(libc::ENFILE);
        assert_eq!(errno(listener.accept().await), full);
        assert_eq!(errno(listener.incoming().next().await.unwrap()), full);
        assert_eq!(errno(future::poll_fn(|cx| listener.poll_accept(cx)).await), full);
        let (_, peer) = listener.accept().await.expect("it has waited");
        assert_eq!(peer, waiting.local_addr().unwrap());
        assert_eq!(errno(TcpSocket::new_v4()), full);
        assert_eq!(errno(TcpListener::bind("127.0.0.1:0").await), full);
        assert_eq!(errno(UdpSocket::bind("127.0.0.1:0").await), full);
        assert_eq!(errno(UnixListener::bind("/nonexistent/socket")), full);
        assert_eq!(errno(UnixDatagram::unbound()), full);
        let error = TcpStream::connect(addr).await.unwrap_err();
        let error = error.get_ref().unwrap().downcast_ref::<ConnectError>().unwrap();
        assert_eq!(error.attempts().next().unwrap().1.raw_os_error(), full);
    });
}

/// The limit is the process's, so a child lowers it.
#[test]
fn no_more_descriptors() {
    if !is_child("descriptors") {
        return run_child(&["env"], "no_more_descriptors", "descriptors");
    }
    within(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let _waiting = TcpStream::connect(addr).await.unwrap();
        // One descriptor is on its way, and a set of sockets.
        let (sender, receiver) = UnixStream::pair().unwrap();
        sender.send_with_fds(&[IoSlice::new(b"byte")], &[sender.as_fd()]).await.unwrap();
        let (old, new) = UnixStream::pair().unwrap();
        let mut sockets = Sockets::new();
        sockets.add("http", &listener).unwrap();
        let _successor = sockets.send(old).await.unwrap();
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(3), maximum: limit.maximum }).unwrap();
        let full = Some(libc::EMFILE);
        assert_eq!(errno(listener.accept().await), full);
        assert_eq!(errno(TcpSocket::new_v4()), full);
        assert_eq!(errno(UnixStream::pair()), full);
        assert_eq!(errno(UnixListener::bind("/nonexistent/socket")), full);
        assert_eq!(errno(TcpListener::bind("127.0.0.1:0").await), full);
        assert_eq!(errno(UdpSocket::bind("127.0.0.1:0").await), full);
        let error = TcpStream::connect(addr).await.unwrap_err();
        let error = error.get_ref().unwrap().downcast_ref::<ConnectError>().unwrap();
        assert_eq!(error.attempts().next().unwrap().1.raw_os_error(), full);
        let received = receiver.recv_with_fds(&mut [IoSliceMut::new(&mut [0; 8])]).await.unwrap();
        assert!(received.lost_fds && received.fds.is_empty() && received.count == 4);
        assert_eq!(errno(Sockets::receive(new).await), full);
        setrlimit(Resource::Nofile, limit).unwrap();
        listener.accept().await.expect("it has waited");
    });
}

/// Routes that lead nowhere, each with its answer (`ip-route(8)`).
#[test]
fn networks_that_cannot_be_reached() {
    if !is_child("network") {
        let routes = "ip link set lo up && ip route add unreachable 198.51.100.0/24 \
                      && ip route add prohibit 203.0.113.0/24 && exec \"$@\"";
        let before = ["unshare", "--map-root-user", "--net", "sh", "-c", routes, "sh"];
        return run_child(&before, "networks_that_cannot_be_reached", "network");
    }
    within(async {
        for (addr, expected) in [
            ("192.0.2.1:9", ErrorKind::NetworkUnreachable),
            ("198.51.100.1:9", ErrorKind::HostUnreachable),
            ("203.0.113.1:9", ErrorKind::PermissionDenied),
        ] {
            let addr: SocketAddr = addr.parse().unwrap();
            assert_eq!(kind(TcpStream::connect(addr).await), expected);
            assert_eq!(kind(TcpSocket::new_v4().unwrap().connect(addr).await), expected);
            let udp = UdpSocket::bind("0.0.0.0:0").await.unwrap();
            assert_eq!(kind(udp.send_to(b"x", addr).await), expected);
            assert_eq!(kind(udp.connect(addr).await), expected);
        }
    });
}
