//! Goal: the poll functions do what the async functions do that are named after them: they wait, are woken, and return the same.
//! Method: each is polled before there is anything, by a task that nobody else wakes, and then gets it.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use smolkit_net::udp::{RecvBatch, Transmit};
use smolkit_net::unix::{UnixDatagram, UnixListener, UnixStream};
#[cfg(target_os = "linux")]
use smolkit_net::unix::{UnixSeqpacket, UnixSeqpacketListener};
use smolkit_net::{TcpListener, TcpStream, UdpSocket};
use smolkit_runtime::{Timer, block_on, spawn};

/// Fails if `f` takes longer than 60 s.
fn within<T>(f: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(Duration::from_secs(60)).await;
        panic!("not finished after 60 s")
    };
    block_on(future::or(f, late))
}

/// What `poll` returns when `then`, which another task does, has happened; before, it has to wait.
async fn woken<T, U: Send + 'static>(
    poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
    then: impl Future<Output = io::Result<U>> + Send + 'static,
) -> (T, U) {
    let mut polled = pin!(poll_fn(poll));
    assert!(future::poll_once(&mut polled).await.is_none());
    let then = spawn(then);
    let output = polled.await.unwrap();
    (output, then.await.unwrap())
}

#[test]
fn accepting() {
    within(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connecting = TcpStream::connect(listener.local_addr().unwrap());
        let ((mut server, peer), mut client) =
            woken(|cx| listener.poll_accept(cx), connecting).await;
        assert_eq!(peer, client.local_addr().unwrap());
        client.write_all(b"ping").await.unwrap();
        server.read_exact(&mut [0; 4]).await.unwrap();

        let path = std::env::temp_dir().join(format!("smolkit-poll-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let connecting = UnixStream::connect(path.clone());
        let ((mut server, peer), mut client) =
            woken(|cx| listener.poll_accept(cx), connecting).await;
        assert!(peer.is_unnamed());
        client.write_all(b"ping").await.unwrap();
        server.read_exact(&mut [0; 4]).await.unwrap();
        std::fs::remove_file(path).unwrap();
    });
}

#[test]
fn datagrams() {
    within(async {
        let (one, other) =
            future::try_zip(UdpSocket::bind("127.0.0.1:0"), UdpSocket::bind("127.0.0.1:0"))
                .await
                .unwrap();
        let (from, to) = (one.local_addr().unwrap(), other.local_addr().unwrap());
        let mut buf = [0; 8];

        let sender = one.clone();
        let sending = poll_fn(move |cx| sender.poll_send_to(cx, b"first", to));
        let received = woken(|cx| other.poll_recv_from(cx, &mut buf), sending).await;
        assert_eq!((received, &buf[..5]), (((5, from), 5), &b"first"[..]));

        one.connect(to).await.unwrap();
        other.connect(from).await.unwrap();
        let sender = one.clone();
        let sending = poll_fn(move |cx| sender.poll_send(cx, b"second"));
        let received = woken(|cx| other.poll_recv(cx, &mut buf), sending).await;
        assert_eq!((received, &buf[..6]), ((6, 6), &b"second"[..]));

        let mut batch = RecvBatch::new(4, 16).unwrap();
        let sender = one.clone();
        let sending =
            poll_fn(move |cx| sender.poll_send_batch(cx, &mut [Transmit::connected(b"third")]));
        let received = woken(|cx| other.poll_recv_batch(cx, &mut batch), sending).await;
        assert_eq!(received, (1, 1));
        let datagrams: Vec<_> = batch.datagrams().collect();
        assert_eq!(datagrams, [(&b"third"[..], from)]);
        let error = poll_fn(|cx| one.poll_send_batch(cx, &mut [])).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn unix_datagrams() {
    within(async {
        let (one, other) = UnixDatagram::pair().unwrap();
        let mut buf = [0; 8];
        let sender = one.clone();
        let sending = poll_fn(move |cx| sender.poll_send(cx, b"first"));
        let received = woken(|cx| other.poll_recv(cx, &mut buf), sending).await;
        assert_eq!((received, &buf[..5]), ((5, 5), &b"first"[..]));

        let sender = one.clone();
        let sending = poll_fn(move |cx| sender.poll_send(cx, b"second"));
        let ((count, from), _) = woken(|cx| other.poll_recv_from(cx, &mut buf), sending).await;
        assert!(count == 6 && from.is_unnamed() && &buf[..6] == b"second");

        assert!(future::poll_once(other.peek(&mut buf)).await.is_none());
        one.send(b"third").await.unwrap();
        assert_eq!(other.peek(&mut buf).await.unwrap(), 5);
        assert_eq!(other.recv(&mut buf).await.unwrap(), 5);
        assert!(other.take_error().unwrap().is_none());
    });
}

/// There are none on macOS.
#[cfg(target_os = "linux")]
#[test]
fn sequenced_packets() {
    within(async {
        let path = std::env::temp_dir().join(format!("smolkit-poll-seq-{}", std::process::id()));
        let listener = UnixSeqpacketListener::bind(&path).unwrap();
        let connecting = UnixSeqpacket::connect(path.clone());
        let ((server, _), client) = woken(|cx| listener.poll_accept(cx), connecting).await;
        let sending = poll_fn(move |cx| client.poll_send(cx, b"first"));
        let mut buf = [0; 8];
        let received = woken(|cx| server.poll_recv(cx, &mut buf), sending).await;
        assert_eq!((received, &buf[..5]), ((5, 5), &b"first"[..]));
        std::fs::remove_file(path).unwrap();
    });
}
