//! Goal: connecting finds the address that answers, keeps its deadline, and says what it has tried (FAULTS E5, E9).
//! Method: refused addresses, a listener whose queue is full as one that never answers, and errors that strace injects.

#![cfg(target_os = "linux")]

use std::io;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use smolkit_net::{ConnectError, TcpConnector, TcpListener, TcpSocket, TcpStream};
use smolkit_runtime::{Timer, block_on};

/// Fails if `f` takes longer than 60 s.
fn within<T>(f: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(Duration::from_secs(60)).await;
        panic!("not finished after 60 s")
    };
    block_on(future::or(f, late))
}

/// An address where nobody listens.
fn refused() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A listener that answers nobody: its queue is full. The connections keep it so.
async fn silent() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(0).unwrap();
    let addr = listener.local_addr().unwrap();
    let connector = TcpConnector::new().timeout(Duration::from_millis(300));
    let mut queue = Vec::new();
    while let Ok(stream) = connector.connect(addr).await {
        queue.push(stream);
        assert!(queue.len() < 10, "the queue never fills");
    }
    (listener, queue)
}

#[test]
fn the_error_names_every_address() {
    within(async {
        let addrs = [refused(), refused()];
        let error = TcpStream::connect(&addrs[..]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        for addr in addrs {
            assert!(error.to_string().contains(&addr.to_string()), "{error}");
        }
        let inner = error.get_ref().unwrap().downcast_ref::<ConnectError>().unwrap();
        assert_eq!(inner.attempts().count(), 2);
    });
}

#[test]
fn a_silent_address_is_overtaken() {
    within(async {
        let (silent, _queue) = silent().await;
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addrs = [silent.local_addr().unwrap(), good.local_addr().unwrap()];
        let connector = TcpConnector::new().attempt_delay(Duration::from_millis(20));
        let stream = connector.connect(&addrs[..]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addrs[1]);
        // A refusal does not wait for the delay.
        let connector = TcpConnector::new().attempt_delay(Duration::from_secs(3_600));
        let addrs = [refused(), good.local_addr().unwrap()];
        connector.connect(&addrs[..]).await.unwrap();
    });
}

#[test]
fn the_deadline_is_kept() {
    within(async {
        let (silent, _queue) = silent().await;
        let addrs = [refused(), silent.local_addr().unwrap()];
        let connector = TcpConnector::new().timeout(Duration::from_millis(50));
        let error = connector.connect(&addrs[..]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let inner = error.get_ref().unwrap().downcast_ref::<ConnectError>().unwrap();
        let kinds: Vec<_> = inner.attempts().map(|(addr, error)| (addr, error.kind())).collect();
        let expected =
            [(addrs[0], io::ErrorKind::ConnectionRefused), (addrs[1], io::ErrorKind::TimedOut)];
        assert_eq!(kinds, expected);
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
        socket.set_keepalive(Duration::from_secs(60), Duration::from_secs(10), 4).unwrap();
        assert_eq!(socket.tos_v4().unwrap(), 0x10);
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
        let socket = TcpSocket::new_v6().unwrap();
        socket.set_only_v6(true).unwrap();
        assert!(socket.only_v6().unwrap());
        let error = TcpSocket::new_v4().unwrap().bind_device(Some("smolkit-none")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    });
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

/// The child's `accept4` and `connect` fail as strace says.
#[test]
fn injected_errors() {
    if std::env::var_os("SMOLKIT_INJECTED").is_none() {
        let status = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=accept4,connect"])
            .args(["-e", "inject=accept4:error=EMFILE:when=1"])
            .args(["-e", "inject=connect:error=ENOBUFS:when=2"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "injected_errors", "--test-threads=1"])
            .env("SMOLKIT_INJECTED", "1")
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{status}");
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
