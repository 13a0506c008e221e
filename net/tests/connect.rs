//! Goal: connecting finds the address that answers, keeps its deadline, and says what it has tried (FAULTS E5, E9).
//! Method: refused addresses, a listener whose queue is full as one that never answers, errors that strace injects, and networks of their own (`unshare`, `ip`) for the system's settings.

#![cfg(target_os = "linux")]

mod child;
mod refused;
mod silent;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use smolkit_net::udp::Unbound;
use smolkit_net::unix::UnixSocket;
use smolkit_net::{ConnectError, TcpConnector, TcpListener, TcpSocket, TcpStream, UdpSocket};
use smolkit_runtime::{Async, Runtime, Timer, block_on, spawn, unblock};
use socket2::{Domain, Socket, Type};

use self::child::{TRACED, is_child, run_child, under_strace};
use self::refused::Refused;
use self::silent::Silent;

/// Fails if `f` takes longer than 120 s.
fn within<T>(f: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(Duration::from_secs(120)).await;
        panic!("not finished after 120 s")
    };
    block_on(future::or(f, late))
}

#[test]
fn the_error_names_every_address() {
    within(async {
        let refused = [Refused::new(), Refused::new()];
        let addrs = refused.each_ref().map(|refused| refused.addr);
        let error = TcpStream::connect(&addrs[..]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        for addr in addrs {
            assert!(error.to_string().contains(&addr.to_string()), "{error}");
        }
        let inner = error.get_ref().unwrap().downcast_ref::<ConnectError>().unwrap();
        assert_eq!(inner.attempts().count(), 2);
    });
}

type Attempt = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// Goal: a worker that ends takes its reactor along, and not the attempts that were waited for on it. Method: one attempt of each kind, looked at on workers of
/// several runtimes in turn.
#[test]
fn an_attempt_outlives_its_runtime() {
    let silent = within(Silent::new());
    let addr = silent.addr;
    let mut attempts: [Attempt; 2] = [
        Box::pin(async move { TcpSocket::new_v4()?.connect(addr).await.map(drop) }),
        Box::pin(async move { Async::<std::net::TcpStream>::connect(addr).await.map(drop) }),
    ];
    for _ in 0..3 {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let looked = runtime.spawn(async move {
            for attempt in &mut attempts {
                let result = future::poll_once(attempt).await;
                assert!(result.is_none(), "nobody has answered, but it is {result:?}");
            }
            attempts
        });
        attempts = within(looked);
        drop(runtime);
    }
}

#[test]
fn a_silent_address_is_overtaken() {
    within(async {
        let silent = Silent::new().await;
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addrs = [silent.addr, good.local_addr().unwrap()];
        let connector = TcpConnector::new().attempt_delay(Duration::from_millis(20));
        let stream = connector.connect(&addrs[..]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addrs[1]);
        // A refusal does not wait for the delay.
        let connector = TcpConnector::new().attempt_delay(Duration::from_secs(3_600));
        let refused = Refused::new();
        let addrs = [refused.addr, good.local_addr().unwrap()];
        connector.connect(&addrs[..]).await.unwrap();
    });
}

#[test]
fn the_deadline_is_kept() {
    within(async {
        let (silent, refused) = (Silent::new().await, Refused::new());
        let addrs = [refused.addr, silent.addr];
        let mut timeout = Duration::from_millis(50);
        let kinds = loop {
            let connector = TcpConnector::new().timeout(timeout);
            let error = connector.connect(&addrs[..]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            let inner = error.get_ref().unwrap().downcast_ref::<ConnectError>().unwrap();
            let kinds: Vec<_> =
                inner.attempts().map(|(addr, error)| (addr, error.kind())).collect();
            // A machine that was too busy even for the refusal is given more time.
            if kinds[0] != (refused.addr, io::ErrorKind::TimedOut) {
                break kinds;
            }
            timeout *= 2;
        };
        let expected =
            [(addrs[0], io::ErrorKind::ConnectionRefused), (addrs[1], io::ErrorKind::TimedOut)];
        assert_eq!(kinds, expected);
    });
}

/// Attempts that are dropped, overtaken or refused leave no descriptor. In a child, where nobody else opens any.
#[test]
fn attempts_leave_nothing() {
    if !is_child("attempts") {
        return run_child(&["env"], "attempts_leave_nothing", "attempts");
    }
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    within(async {
        let (silent, refused) = (Silent::new().await, Refused::new());
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connector = TcpConnector::new().attempt_delay(Duration::from_millis(1));
        let before = open();
        for _ in 0..100 {
            let mut dropped = Box::pin(TcpStream::connect(silent.addr));
            assert!(future::poll_once(&mut dropped).await.is_none());
            assert!(open() > before);
            drop(dropped);
            connector.connect(&[refused.addr; 2][..]).await.unwrap_err();
            let addrs = [silent.addr, good.local_addr().unwrap()];
            drop(connector.connect(&addrs[..]).await.unwrap());
            // A waiter that is dropped takes no connection with it.
            good.accept().await.unwrap();
            let mut waiter = Box::pin(good.accept());
            assert!(future::poll_once(&mut waiter).await.is_none());
            let client = connector.connect(addrs[1]).await.unwrap();
            drop(waiter);
            let (_, peer) = good.accept().await.unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
        }
        assert_eq!(open(), before);
    });
}

#[test]
fn options_are_set() {
    within(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_tos_v4(0x10).unwrap();
        socket.set_recv_buffer_size(20_000).unwrap();
        socket.set_send_buffer_size(20_000).unwrap();
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        socket
            .set_keepalive_intervals(Duration::from_secs(60), Duration::from_secs(10), 4)
            .unwrap();
        assert_eq!(socket.tos_v4().unwrap(), 0x10);
        let intervals = (Duration::from_secs(60), Duration::from_secs(10), 4);
        assert_eq!(socket.keepalive_intervals().unwrap(), intervals);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.linger().unwrap(), Some(Duration::ZERO));
        assert!(!socket.nodelay().unwrap());
        socket.set_nodelay(true).unwrap();
        assert!(socket.nodelay().unwrap());
        assert!(socket.recv_buffer_size().unwrap() >= 20_000);
        assert!(socket.send_buffer_size().unwrap() >= 20_000);
        let mut client = socket.connect(addr).await.unwrap();
        assert_eq!(rustix::net::sockopt::tcp_keepidle(&client).unwrap(), Duration::from_secs(60));
        let (mut server, _) = listener.accept().await.unwrap();
        client.write_all(b"lost").await.unwrap();
        drop(client);
        // To linger for no time is to reset.
        let error = server.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        // What is accepted has the same options, and none of its times becomes shorter.
        let client = TcpStream::connect(addr).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let second = Duration::from_secs(1);
        for stream in [&client, &server] {
            stream.set_linger(Some(Duration::from_millis(1))).unwrap();
            assert_eq!(stream.linger().unwrap(), Some(second));
            stream.set_linger(Some(Duration::MAX)).unwrap();
            assert!(stream.linger().unwrap() > Some(second));
            stream.set_linger(None).unwrap();
            assert_eq!(stream.linger().unwrap(), None);
            stream.set_keepalive_intervals(second / 2, second * 3 / 2, 2).unwrap();
            assert_eq!(stream.keepalive_intervals().unwrap(), (second, second * 2, 2));
            assert!(stream.keepalive().unwrap());
            stream.set_user_timeout(Some(Duration::ZERO)).unwrap();
            assert_eq!(stream.user_timeout().unwrap(), Some(Duration::from_millis(1)));
            stream.set_user_timeout(None).unwrap();
            assert_eq!(stream.user_timeout().unwrap(), None);
            stream.set_recv_buffer_size(20_000).unwrap();
            assert!(stream.recv_buffer_size().unwrap() >= 20_000);
            stream.set_send_buffer_size(20_000).unwrap();
            assert!(stream.send_buffer_size().unwrap() >= 20_000);
            stream.set_tos_v4(0x08).unwrap();
            assert_eq!(stream.tos_v4().unwrap(), 0x08);
            stream.set_ttl(9).unwrap();
            assert_eq!(stream.ttl().unwrap(), 9);
        }
        // Some kernels have no IPv6.
        if let Ok(socket) = TcpSocket::new_v6() {
            socket.set_only_v6(true).unwrap();
            assert!(socket.only_v6().unwrap());
            socket.set_tos_v6(0x20).unwrap();
            assert_eq!(socket.tos_v6().unwrap(), 0x20);
        }
        let socket = TcpSocket::new_v4().unwrap();
        assert!(!socket.keepalive().unwrap());
        socket.set_keepalive(true).unwrap();
        assert_eq!(socket.user_timeout().unwrap(), None);
        socket.set_user_timeout(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(socket.user_timeout().unwrap(), Some(Duration::from_secs(5)));
        assert!(!socket.fast_open_connect().unwrap());
        socket.set_fast_open_connect(true).unwrap();
        assert!(socket.fast_open_connect().unwrap());
        // Each of two sockets may have the address only if both say so.
        let addr = ([127, 0, 0, 1], 0).into();
        let shared = [TcpSocket::new_v4().unwrap(), TcpSocket::new_v4().unwrap()];
        assert!(!shared[0].reuse_port().unwrap() && !shared[0].reuse_addr().unwrap());
        shared[0].set_reuse_addr(true).unwrap();
        assert!(shared[0].reuse_addr().unwrap());
        shared[0].set_reuse_port(true).unwrap();
        shared[0].bind(addr).unwrap();
        let addr = shared[0].local_addr().unwrap();
        let error = shared[1].bind(addr).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        shared[1].set_reuse_port(true).unwrap();
        shared[1].bind(addr).unwrap();
        assert!(shared[1].reuse_port().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.device().unwrap(), None);
        let error = TcpSocket::new_v4().unwrap().bind_device(Some("smolkit-none")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    });
}

/// How often data came with the first packet of a connection in this network: by clients whose server took it, and by servers.
fn fast_opens() -> [u64; 2] {
    let table = std::fs::read_to_string("/proc/net/netstat").unwrap();
    let mut rows = table.lines().filter(|row| row.starts_with("TcpExt:"));
    let (names, values) = (rows.next().unwrap(), rows.next().unwrap());
    ["TCPFastOpenActive", "TCPFastOpenPassive"].map(|wanted| {
        let at = names.split(' ').position(|name| name == wanted).unwrap();
        values.split(' ').nth(at).unwrap().parse().unwrap()
    })
}

/// In networks of their own, for the system's setting and its counters: the first connection learns the cookie, and the later ones use it.
fn fast_open(test: &str, setting: &str, expected: u64) {
    if !is_child("network") {
        let set = format!(
            "ip link set lo up && echo {setting} > /proc/sys/net/ipv4/tcp_fastopen && exec \"$@\""
        );
        let before = ["unshare", "--map-root-user", "--net", "sh", "-c", &set, "sh"];
        return run_child(&before, test, "network");
    }
    // `ip-sysctl`: a bit for clients and one for servers.
    let allows_clients = setting.parse::<u8>().unwrap() & 1 != 0;
    within(async {
        for (is_client, is_server) in [(true, false), (false, true), (true, true)] {
            let socket = TcpSocket::new_v4().unwrap();
            assert_eq!(socket.fast_open().unwrap(), 0);
            if is_server {
                socket.set_fast_open(16).unwrap();
                assert_eq!(socket.fast_open().unwrap(), 16);
            }
            socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
            let listener = socket.listen_default().unwrap();
            let addr = listener.local_addr().unwrap();
            for _ in 0..4 {
                let connector = TcpConnector::new().configure(move |socket| {
                    socket.set_fast_open_connect(is_client)?;
                    assert_eq!(socket.fast_open_connect()?, is_client && allows_clients);
                    Ok(())
                });
                let mut client = connector.connect(addr).await.unwrap();
                client.write_all(b"early").await.unwrap();
                let (mut server, _) = listener.accept().await.unwrap();
                let mut buf = [0; 5];
                server.read_exact(&mut buf).await.unwrap();
                assert_eq!(&buf, b"early");
                server.write_all(b"answer").await.unwrap();
                drop(server);
                let mut answer = Vec::new();
                client.read_to_end(&mut answer).await.unwrap();
                assert_eq!(answer, b"answer");
            }
            let expected = if is_client && is_server { expected } else { 0 };
            assert_eq!(fast_opens(), [expected; 2]);
            // A connection that is made with the first write does not win over another address before anybody has answered.
            let refused = Refused::new();
            let connector =
                TcpConnector::new().configure(|socket| socket.set_fast_open_connect(true));
            let addrs = [refused.addr, addr];
            let client = connector.connect(&addrs[..]).await.unwrap();
            assert_eq!(client.peer_addr().unwrap(), addr);
        }
    });
}

#[test]
fn the_first_packet_carries_data() {
    fast_open("the_first_packet_carries_data", "3", 3);
}

/// Where the system does not allow it, for clients, for servers or for both, connections are made in the usual way.
#[test]
fn the_first_packet_carries_no_data() {
    fast_open("the_first_packet_carries_no_data", "0", 0);
}

#[test]
fn the_first_packet_carries_no_data_of_clients() {
    fast_open("the_first_packet_carries_no_data_of_clients", "2", 0);
}

#[test]
fn the_first_packet_carries_no_data_to_servers() {
    fast_open("the_first_packet_carries_no_data_to_servers", "1", 0);
}

#[test]
fn listeners_share_an_address() {
    within(async {
        let listeners = TcpListener::bind_many(([127, 0, 0, 1], 0).into(), 4).unwrap();
        let addr = listeners[0].local_addr().unwrap();
        let mut clients = Vec::new();
        for _ in 0..64 {
            clients.push(TcpStream::connect(addr).await.unwrap());
        }
        let mut accepted = vec![0; listeners.len()];
        // `within` ends a loop that waits for one that never comes.
        while accepted.iter().sum::<usize>() < 64 {
            for (listener, accepted) in listeners.iter().zip(&mut accepted) {
                let pause = async {
                    Timer::after(Duration::from_millis(10)).await;
                    None
                };
                let stream = future::or(async { Some(listener.accept().await) }, pause).await;
                if let Some(stream) = stream {
                    stream.unwrap();
                    *accepted += 1;
                }
            }
        }
        let busy = accepted.iter().filter(|&&accepted| accepted > 0).count();
        assert!(busy > 1, "all connections came to one listener");
    });
}

/// How many of the descriptors each epoll of this process watches.
fn watched(fds: &[RawFd]) -> Vec<usize> {
    let mut counts = Vec::new();
    for info in std::fs::read_dir("/proc/self/fdinfo").unwrap() {
        // Other tests close theirs meanwhile.
        let Ok(text) = std::fs::read_to_string(info.unwrap().path()) else { continue };
        let watched = text.lines().filter_map(|line| line.strip_prefix("tfd:"));
        let watched = watched.map(|line| line.split_whitespace().next().unwrap().parse().unwrap());
        let count = watched.filter(|fd| fds.contains(fd)).count();
        if count > 0 {
            counts.push(count);
        }
    }
    counts
}

#[test]
fn each_listener_belongs_to_a_worker() {
    const WORKERS: usize = 4;
    let runtime = Runtime::builder().workers(WORKERS).build().unwrap();
    let listeners = TcpListener::bind_many(([127, 0, 0, 1], 0).into(), WORKERS).unwrap();
    let addr = listeners[0].local_addr().unwrap();
    let fds: Vec<RawFd> = listeners.iter().map(|listener| listener.as_raw_fd()).collect();
    let arrived = Arc::new(AtomicUsize::new(0));
    for (index, listener) in listeners.into_iter().enumerate() {
        let arrived = arrived.clone();
        let serve = async move {
            // None lets its worker go until all are there, so that each has one of its own.
            arrived.fetch_add(1, Ordering::SeqCst);
            let end = Instant::now() + Duration::from_secs(60);
            while arrived.load(Ordering::SeqCst) < WORKERS {
                assert!(Instant::now() < end, "not all have a worker after 60 s");
                thread::yield_now();
            }
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                spawn(async move {
                    stream.read_exact(&mut [0; 4]).await.unwrap();
                    stream.write_all(&[index as u8]).await.unwrap();
                })
                .detach();
            }
        };
        runtime.spawn(serve).detach();
    }
    within(async {
        let mut answered = [0; WORKERS];
        while answered.contains(&0) {
            let mut client = TcpStream::connect(addr).await.unwrap();
            client.write_all(b"ping").await.unwrap();
            let mut answer = [0];
            client.read_exact(&mut answer).await.unwrap();
            answered[usize::from(answer[0])] += 1;
        }
    });
    assert_eq!(watched(&fds), [1; WORKERS]);
}

/// The pool's only thread has something else to do, and never asks the system's resolver.
#[test]
fn a_look_up_that_takes_too_long() {
    if !is_child("one thread") {
        let before = ["env", "BLOCKING_MAX_THREADS=1"];
        return run_child(&before, "a_look_up_that_takes_too_long", "one thread");
    }
    within(async {
        let (end, has_ended) = std::sync::mpsc::channel::<()>();
        let stuck = unblock(move || has_ended.recv());
        let connector = TcpConnector::new().timeout(Duration::from_millis(50));
        let error = connector.connect("localhost:9").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().contains("the look-up of the name"), "{error}");
        // No address was tried.
        assert!(error.get_ref().unwrap().downcast_ref::<ConnectError>().is_none());
        drop(end);
        stuck.await.unwrap_err();
    });
}

/// The child's `accept4` and `connect` fail as strace says.
#[test]
fn injected_errors() {
    if !is_child(TRACED) {
        let options = [
            ["-e", "trace=accept4,connect"],
            ["-e", "inject=accept4:error=EMFILE:when=1"],
            ["-e", "inject=connect:error=ENOBUFS:when=2"],
        ];
        under_strace("injected_errors", &options.concat());
        return;
    }
    within(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let _client = TcpStream::connect(addr).await.unwrap();
        // The table of descriptors is full: the connection stays in the queue.
        let error = listener.accept().await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
        listener.accept().await.unwrap();
        // One address fails, the next one is tried.
        let addrs = [addr, addr];
        TcpStream::connect(&addrs[..]).await.unwrap();
    });
}

/// Sockets made elsewhere become ours, non-blocking, and only those of the right kind.
#[test]
fn sockets_made_elsewhere() {
    fn made(domain: Domain, ty: Type) -> OwnedFd {
        Socket::new(domain, ty, None).unwrap().into()
    }

    within(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpSocket::try_from(made(Domain::IPV4, Type::STREAM)).unwrap();
        assert!(rustix::fs::fcntl_getfl(&socket).unwrap().contains(rustix::fs::OFlags::NONBLOCK));
        let client = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());

        let socket = Unbound::try_from(made(Domain::IPV4, Type::DGRAM)).unwrap();
        let one = socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        one.send_to(b"self", one.local_addr().unwrap()).await.unwrap();
        assert_eq!(one.recv_from(&mut [0; 8]).await.unwrap().0, 4);

        let socket = UnixSocket::try_from(made(Domain::UNIX, Type::DGRAM)).unwrap();
        socket.datagram().unwrap();
        let socket = UnixSocket::try_from(made(Domain::UNIX, Type::STREAM)).unwrap();
        assert_eq!(socket.datagram().unwrap_err().kind(), io::ErrorKind::InvalidInput);

        let refused = [
            TcpSocket::try_from(made(Domain::IPV4, Type::DGRAM)).unwrap_err(),
            TcpSocket::try_from(made(Domain::UNIX, Type::STREAM)).unwrap_err(),
            Unbound::try_from(made(Domain::IPV4, Type::STREAM)).unwrap_err(),
            UnixSocket::try_from(made(Domain::IPV4, Type::STREAM)).unwrap_err(),
        ];
        for error in refused {
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains("of another kind"), "{error}");
        }
    });
}

/// What has no kind of its own keeps the number that it has in async-net.
#[test]
fn errors_without_a_kind_keep_their_number() {
    within(async {
        // No interface has that index.
        let error = TcpListener::bind("[fe80::1%999999]:0").await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
        let error = UdpSocket::bind("[fe80::1%999999]:0").await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    });
}
