//! Goal: sockets go from and to `std`, `Async` and descriptors and work as before, also while clones of theirs live; halves that are forgotten end nothing.
//! Method: each type there and back again; after each step bytes go through all that is there.

use std::fmt::Debug;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use rustix::fs::{OFlags, fcntl_getfl};
use smolkit_net::unix::{UnixDatagram, UnixListener, UnixStream};
use smolkit_net::{TcpListener, TcpStream, UdpSocket};
use smolkit_runtime::{Async, Timer, block_on};

/// Fails if `f` takes longer than 60 s.
fn within<T>(f: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(Duration::from_secs(60)).await;
        panic!("not finished after 60 s")
    };
    block_on(future::or(f, late))
}

fn is_nonblocking(socket: impl AsFd) -> bool {
    fcntl_getfl(socket).unwrap().contains(OFlags::NONBLOCK)
}

/// `works` is to wait, and to get something.
async fn there_and_back<Socket, Std>(socket: Socket, works: impl AsyncFn(&Socket))
where
    Socket: Clone + Debug + AsRawFd + AsFd,
    Socket: From<Async<Std>> + TryFrom<Std, Error = io::Error>,
    Socket: TryFrom<OwnedFd, Error = io::Error>,
    Arc<Async<Std>>: From<Socket>,
    Std: AsFd + AsRawFd + TryFrom<Socket, Error = io::Error>,
    OwnedFd: TryFrom<Socket, Error = io::Error>,
{
    let number = socket.as_raw_fd();
    works(&socket).await;

    // The inside is the clones', too.
    let shared: Arc<Async<Std>> = socket.clone().into();
    assert_eq!((shared.get_ref().as_raw_fd(), Arc::strong_count(&shared)), (number, 2));
    works(&socket).await;
    drop(shared);

    // Duplicates.
    let fd = OwnedFd::try_from(socket.clone()).unwrap();
    let std = Std::try_from(socket.clone()).unwrap();
    assert!(fd.as_raw_fd() != number && std.as_raw_fd() != number);
    assert!(is_nonblocking(&fd) && is_nonblocking(&std));
    let others = [Socket::try_from(fd).unwrap(), Socket::try_from(std).unwrap()];
    for socket in [&others[0], &socket, &others[1], &socket] {
        works(socket).await;
    }
    drop(others);
    works(&socket).await;

    // The last one gives itself away, and the reactor has forgotten it.
    let fd = OwnedFd::try_from(socket).unwrap();
    assert_eq!(fd.as_raw_fd(), number);
    rustix::io::ioctl_fionbio(&fd, false).unwrap();
    let socket = Socket::try_from(fd).unwrap();
    assert!(is_nonblocking(&socket));
    works(&socket).await;
    let std = Std::try_from(socket).unwrap();
    assert_eq!(std.as_raw_fd(), number);
    let socket = Socket::from(Async::new(std).unwrap());
    let clone = socket.clone();
    works(&clone).await;
    works(&socket).await;
    let shared: Arc<Async<Std>> = socket.into();
    drop(clone);
    assert_eq!(Arc::strong_count(&shared), 1);
    let std = Arc::into_inner(shared).unwrap().into_inner().unwrap();
    works(&Socket::try_from(std).unwrap()).await;
}

/// Both at once, `waits` first.
async fn both<T, U>(
    waits: impl Future<Output = io::Result<T>>,
    then: impl Future<Output = io::Result<U>>,
) {
    let mut waits = std::pin::pin!(waits);
    assert!(future::poll_once(&mut waits).await.is_none());
    future::try_zip(waits, then).await.unwrap();
}

#[test]
fn tcp() {
    within(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (client, (server, _)) =
            future::try_zip(TcpStream::connect(addr), listener.accept()).await.unwrap();
        there_and_back::<_, std::net::TcpStream>(server, async |server| {
            let (mut server, mut client) = (server.clone(), client.clone());
            both(server.read_exact(&mut [0; 4]), client.write_all(b"ping")).await;
        })
        .await;
        there_and_back::<_, std::net::TcpListener>(listener, async |listener| {
            both(listener.accept(), TcpStream::connect(addr)).await;
        })
        .await;
    });
}

#[test]
fn udp() {
    within(async {
        let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let addr = receiver.local_addr().unwrap();
        there_and_back::<_, std::net::UdpSocket>(receiver, async |receiver| {
            both(receiver.recv_from(&mut [0; 4]), sender.send_to(b"ping", addr)).await;
        })
        .await;
    });
}

#[test]
fn unix() {
    within(async {
        let path = std::env::temp_dir().join(format!("smolkit-conversions-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        there_and_back::<_, std::os::unix::net::UnixListener>(listener, async |listener| {
            both(listener.accept(), UnixStream::connect(&path)).await;
        })
        .await;
        std::fs::remove_file(&path).unwrap();
        let (one, other) = UnixStream::pair().unwrap();
        there_and_back::<_, std::os::unix::net::UnixStream>(one, async |one| {
            let (mut one, mut other) = (one.clone(), other.clone());
            both(one.read_exact(&mut [0; 4]), other.write_all(b"ping")).await;
        })
        .await;
        let (one, other) = UnixDatagram::pair().unwrap();
        there_and_back::<_, std::os::unix::net::UnixDatagram>(one, async |one| {
            both(one.recv(&mut [0; 4]), other.send(b"ping")).await;
        })
        .await;
    });
}

/// With the writing half of a stream that its other end reads from, and what ends the stream.
macro_rules! forgets {
    ($stream:ident, $peer:ident) => {{
        let (mut stream, mut peer) = ($stream, $peer);
        let (read, write) = stream.into_split();
        write.forget();
        let mut buf = [0; 8];
        assert!(future::poll_once(peer.read(&mut buf)).await.is_none(), "it is the end");
        // The direction is open still.
        stream = read.stream().clone();
        stream.write_all(b"still").await.unwrap();
        assert_eq!(peer.read(&mut buf).await.unwrap(), 5);
        drop(stream);
        assert!(future::poll_once(peer.read(&mut buf)).await.is_none(), "it is the end");
        drop(read);
        assert_eq!(peer.read(&mut buf).await.unwrap(), 0);
    }};
}

#[test]
fn a_half_that_is_forgotten() {
    within(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connecting = TcpStream::connect(listener.local_addr().unwrap());
        let (client, (server, _)) = future::try_zip(connecting, listener.accept()).await.unwrap();
        forgets!(client, server);
        let (one, other) = UnixStream::pair().unwrap();
        forgets!(one, other);
        // Others end it.
        let (one, mut other) = UnixStream::pair().unwrap();
        let (_read, write) = one.into_split();
        drop(write);
        assert_eq!(other.read(&mut [0; 8]).await.unwrap(), 0);
    });
}
