//! Goal: Unix sockets keep what their documentation promises (FAULTS E9, E14, E15, P5).
//! Method: real sockets, python3 as a peer of another making, and the system's own limits.

#![cfg(target_os = "linux")]

use std::io::{self, IoSlice, IoSliceMut, Read, Seek};
use std::os::fd::{AsFd, AsRawFd};
use std::os::linux::fs::MetadataExt as _;
use std::os::linux::net::SocketAddrExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt, future};
use smolkit_net::handover::Sockets;
use smolkit_net::unix::{
    SocketAddr, UnixDatagram, UnixListener, UnixSeqpacket, UnixSeqpacketListener, UnixSocket,
    UnixStream,
};
use smolkit_runtime::{Timer, block_on, spawn};

/// A name of the abstract namespace that nobody else has.
fn name(what: &str) -> SocketAddr {
    SocketAddr::from_abstract_name(format!("smolkit {what} {}", std::process::id())).unwrap()
}

/// Fails if `f` takes longer than 60 s.
fn within<T>(f: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(Duration::from_secs(60)).await;
        panic!("not finished after 60 s")
    };
    block_on(future::or(f, late))
}

#[test]
fn addresses_go_there_and_back() {
    within(async {
        let addr = name("addresses");
        let listener = UnixListener::bind_addr(&addr).unwrap();
        assert_eq!(listener.local_addr().unwrap().as_abstract_name(), addr.as_abstract_name());
        let client = UnixStream::connect_addr(&addr).await.unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        assert!(peer.is_unnamed() && client.local_addr().unwrap().is_unnamed());
        assert_eq!(client.peer_addr().unwrap().as_abstract_name(), addr.as_abstract_name());
        let error = UnixStream::connect_addr(&peer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        drop(server);

        // A name with zeroes inside, of the greatest length.
        let mut long = [0; 107];
        long[..4].copy_from_slice(&std::process::id().to_be_bytes());
        let long = SocketAddr::from_abstract_name(long).unwrap();
        let receiver = UnixDatagram::bind_addr(&long).unwrap();
        let sender = UnixDatagram::bind_addr(&name("sender")).unwrap();
        sender.send_to_addr(b"x", &long).await.unwrap();
        let (_, from) = receiver.recv_from(&mut [0; 4]).await.unwrap();
        assert_eq!(from.as_abstract_name(), name("sender").as_abstract_name());
    });
}

/// The system takes a path without bytes for the shortest name of the abstract namespace, which anybody may have taken.
#[test]
fn an_empty_path_is_none() {
    within(async {
        let kind = |result: io::Result<()>| result.unwrap_err().kind();
        for socket in [UnixSocket::new_stream(), UnixSocket::new_datagram()] {
            assert_eq!(kind(socket.unwrap().bind("")), io::ErrorKind::InvalidInput);
        }
        let stream = UnixSocket::new_stream().unwrap().connect("").await.map(drop);
        assert_eq!(kind(stream), io::ErrorKind::InvalidInput);
        assert_eq!(kind(UnixStream::connect("").await.map(drop)), io::ErrorKind::InvalidInput);
        assert_eq!(kind(UnixSeqpacket::connect("").await.map(drop)), io::ErrorKind::InvalidInput);
    });
}

/// A path of 108 bytes fills the system's structure and leaves no room for the zero behind it: std cannot make such an address, but others connect from there.
#[test]
fn the_longest_path_goes_there_and_back() {
    within(async {
        let folder = std::env::temp_dir().join(format!("smolkit-long-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let long = folder.join("x".repeat(108 - folder.as_os_str().len() - 1));
        assert_eq!(long.as_os_str().len(), 108);
        let listener = UnixListener::bind_addr(&name("long")).unwrap();
        let packets = UnixSeqpacketListener::bind_addr(&name("long packets")).unwrap();
        for (is_stream, target) in [(true, name("long")), (false, name("long packets"))] {
            let socket = if is_stream {
                UnixSocket::new_stream().unwrap()
            } else {
                UnixSocket::new_seqpacket().unwrap()
            };
            socket.bind(&long).unwrap();
            assert_eq!(socket.local_addr().unwrap().as_pathname(), Some(long.as_path()));
            let peer = if is_stream {
                let _client = socket.connect_addr(&target).await.unwrap();
                listener.accept().await.unwrap().1
            } else {
                let _client = socket.connect_seqpacket(&target).await.unwrap();
                packets.accept().await.unwrap().1
            };
            assert_eq!(peer.as_pathname(), Some(long.as_path()));
            std::fs::remove_file(&long).unwrap();
        }
        // A listener of that name, and datagrams from there.
        let socket = UnixSocket::new_stream().unwrap();
        socket.bind(&long).unwrap();
        let listener = socket.listen_default().unwrap();
        let client = UnixStream::connect(&long).await.unwrap();
        listener.accept().await.unwrap();
        let peer = client.peer_addr().unwrap();
        assert_eq!(peer.as_pathname(), Some(long.as_path()));
        UnixStream::connect_addr(&peer).await.unwrap();
        std::fs::remove_file(&long).unwrap();
        let socket = UnixSocket::new_datagram().unwrap();
        socket.bind(&long).unwrap();
        let datagrams = socket.datagram().unwrap();
        let other = UnixDatagram::bind_addr(&name("long datagrams")).unwrap();
        datagrams.send_to_addr(b"there", &name("long datagrams")).await.unwrap();
        let (_, from) = other.recv_from(&mut [0; 8]).await.unwrap();
        assert_eq!(from.as_pathname(), Some(long.as_path()));
        other.send_to_addr(b"back", &from).await.unwrap();
        assert_eq!(datagrams.recv(&mut [0; 8]).await.unwrap(), 4);
        datagrams.connect_addr(&name("long datagrams")).unwrap();
        datagrams.send_with_fds(&[IoSlice::new(b"x")], &[datagrams.as_fd()]).await.unwrap();
        let mut buf = [0; 8];
        let received = other.recv_with_fds(&mut [IoSliceMut::new(&mut buf)]).await.unwrap();
        assert_eq!((received.count, received.fds.len()), (1, 1));
        let mut sockets = Sockets::new();
        sockets.add("datagrams", &datagrams).unwrap();
        let again = sockets.unix_datagram("datagrams").unwrap().unwrap();
        assert_eq!(again.local_addr().unwrap().as_pathname(), Some(long.as_path()));
        std::fs::remove_dir_all(&folder).unwrap();
    });
}

#[test]
fn the_peer_is_known() {
    within(async {
        let listener = UnixListener::bind_addr(&name("cred")).unwrap();
        let client = UnixStream::connect_addr(&name("cred")).await.unwrap();
        let server = listener.incoming().next().await.unwrap().unwrap();
        for stream in [client, server] {
            let peer = stream.peer_cred().unwrap();
            assert_eq!(peer.pid(), Some(std::process::id() as i32));
            let this = std::fs::metadata("/proc/self").unwrap();
            assert_eq!((peer.uid(), peer.gid()), (this.st_uid(), this.st_gid()));
        }
        let error = UnixDatagram::unbound().unwrap().peer_cred().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotConnected);
    });
}

#[test]
fn packets_keep_their_borders() {
    within(async {
        let listener = UnixSeqpacketListener::bind_addr(&name("packets")).unwrap();
        let client = UnixSeqpacket::connect_addr(&name("packets")).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        for message in [&b"first"[..], b"", b"third"] {
            assert_eq!(client.send(message).await.unwrap(), message.len());
        }
        let mut buf = [0; 3];
        assert_eq!(server.peek(&mut buf).await.unwrap(), 3);
        // What does not fit is gone.
        assert_eq!(server.recv(&mut buf).await.unwrap(), 3);
        assert_eq!(server.recv(&mut buf).await.unwrap(), 0);
        assert_eq!(server.recv(&mut buf).await.unwrap(), 3);
        assert_eq!(&buf, b"thi");
        drop(client);
        assert_eq!(server.recv(&mut buf).await.unwrap(), 0);
        let error = server.send(b"x").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}

/// A read ends behind bytes that came with descriptors: its short count does not mean that there are no more bytes.
#[test]
fn a_plain_reader_passes_descriptors() {
    within(async {
        let (sender, mut receiver) = UnixStream::pair().unwrap();
        // It waits before anything comes.
        assert!(future::poll_once(receiver.read(&mut [0; 64])).await.is_none());
        let (a, b) = (IoSlice::new(b"with"), IoSlice::new(b"without"));
        sender.send_with_fds(&[a], &[sender.as_fd()]).await.unwrap();
        sender.send_with_fds(&[b], &[]).await.unwrap();
        let mut all = [0; 64];
        let mut count = 0;
        while count < 11 {
            count += receiver.read(&mut all[count..]).await.unwrap();
        }
        assert_eq!(&all[..count], b"withwithout");
    });
}

#[test]
fn descriptors_are_passed() {
    within(async {
        let (sender, receiver) = UnixStream::pair().unwrap();
        let mut file = tempfile();
        io::Write::write_all(&mut file, b"content").unwrap();
        let bytes = [IoSlice::new(b"two"), IoSlice::new(b"files")];
        sender.send_with_fds(&bytes, &[file.as_fd(), file.as_fd()]).await.unwrap();
        let (mut one, mut other) = ([0; 4], [0; 4]);
        let mut bufs = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut other)];
        let received = receiver.recv_with_fds(&mut bufs).await.unwrap();
        assert_eq!((received.count, received.fds.len()), (8, 2));
        assert!(!received.lost_fds && !received.lost_bytes);
        for fd in received.fds {
            assert!(rustix::io::fcntl_getfd(&fd).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
            let mut file = std::fs::File::from(fd);
            file.rewind().unwrap();
            let mut content = String::new();
            file.read_to_string(&mut content).unwrap();
            assert_eq!(content, "content");
        }
        let error = sender.send_with_fds(&[], &[file.as_fd()]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let many = vec![file.as_fd(); 254];
        let error = sender.send_with_fds(&bytes, &many).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    });
}

/// More buffers than the system takes at once, the first of them empty: a stream takes what it can, and a packet is whole or an error.
#[test]
fn more_buffers_than_the_system_takes() {
    within(async {
        let byte = [7];
        let mut slices = vec![IoSlice::new(&[]); 1_500];
        slices.extend([IoSlice::new(&byte); 1_500]);
        let mut storage = vec![[0; 1]; 3_000];
        let mut room: Vec<_> = storage.iter_mut().map(|byte| IoSliceMut::new(byte)).collect();
        let (sender, receiver) = UnixStream::pair().unwrap();
        let fd = sender.as_fd();
        assert_eq!(sender.send_with_fds(&slices, &[fd]).await.unwrap(), 1_024);
        let received = receiver.recv_with_fds(&mut room).await.unwrap();
        assert_eq!((received.count, received.fds.len()), (1_024, 1));
        let error = sender.send_with_fds(&slices[..1_500], &[fd]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let (sender, _receiver) = UnixSeqpacket::pair().unwrap();
        let error = sender.send_with_fds(&slices, &[fd]).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
    });
}

fn tempfile() -> std::fs::File {
    let path = std::env::temp_dir().join(format!("smolkit-fds-{}", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file
}

/// No event tells that a full receiver has room again, unless the sender is connected to it.
#[test]
fn a_full_receiver_is_waited_for() {
    within(async {
        let receiver = UnixDatagram::bind_addr(&name("full")).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        // Others fill the queue, so that nothing that happens concerns the sender's own buffer. Theirs may be full before the queue is (`net.unix.max_dgram_qlen`):
        // it is full when one of them cannot send anything at all.
        let full = name("full");
        loop {
            let one = std::os::unix::net::UnixDatagram::unbound().unwrap();
            one.set_nonblocking(true).unwrap();
            if let Err(error) = one.send_to_addr(b"x", &full) {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                break;
            }
            while one.send_to_addr(b"x", &full).is_ok() {}
        }
        let mut sending = Box::pin(sender.send_to_addr(b"last", &full));
        assert!(future::poll_once(&mut sending).await.is_none());
        let mut buf = [0; 8];
        assert_eq!(receiver.recv(&mut buf).await.unwrap(), 1);
        assert_eq!(sending.await.unwrap(), 4);
    });
}

/// The same for a listener's queue; a blocking `connect` waits there too.
#[test]
fn a_full_listener_is_waited_for() {
    within(async {
        let listener = UnixListener::bind_addr(&name("queue")).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let _first = UnixStream::connect_addr(&name("queue")).await.unwrap();
        let addr = name("queue");
        let mut second = Box::pin(UnixStream::connect_addr(&addr));
        assert!(future::poll_once(&mut second).await.is_none());
        listener.accept().await.unwrap();
        second.await.unwrap();
    });
}

#[test]
fn halves_end_and_reunite() {
    within(async {
        let (one, mut other) = UnixStream::pair().unwrap();
        let (mut read, mut write) = one.into_split();
        write.write_all(b"all").await.unwrap();
        drop(write);
        let mut text = String::new();
        other.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "all");
        // The other direction still works.
        other.write_all(b"back").await.unwrap();
        let mut buf = [0; 4];
        read.read_exact(&mut buf).await.unwrap();

        let (one, mut other) = UnixStream::pair().unwrap();
        let (read, write) = one.into_split();
        let (_, foreign) = UnixStream::pair().unwrap().0.into_split();
        let error = read.reunite(foreign).unwrap_err();
        let mut stream = error.0.reunite(write).unwrap();
        stream.write_all(b"still open").await.unwrap();
        let mut buf = [0; 10];
        other.read_exact(&mut buf).await.unwrap();
        let (mut read, mut write) = stream.split();
        assert_eq!(read.stream().local_addr().unwrap().as_pathname(), None);
        assert_eq!(write.stream().as_raw_fd(), read.stream().as_raw_fd());
        let (sent, got) =
            future::zip(write.write_all(b"x"), async { other.write_all(b"y").await }).await;
        sent.and(got).unwrap();
        assert_eq!(read.read(&mut buf).await.unwrap(), 1);
    });
}

/// Also in a program that has set SIGPIPE back to its default (P5): the child of this test does so.
#[test]
fn a_closed_peer_is_an_error_not_a_signal() {
    if std::env::var_os("SMOLKIT_SIGPIPE").is_none() {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_closed_peer_is_an_error_not_a_signal"])
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
        let (mut one, other) = UnixStream::pair().unwrap();
        drop(other);
        let error = one.write(b"x").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        let slices = [IoSlice::new(b"x"), IoSlice::new(b"y")];
        let error = one.write_vectored(&slices).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        let error = one.send_with_fds(&slices, &[]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_peer_of_another_making() {
    within(async {
        let listener = UnixListener::bind_addr(&name("python")).unwrap();
        let script = r#"
import array, os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("\0smolkit python " + sys.argv[1])
r, w = os.pipe()
socket.send_fds(s, [b"pipe"], [w])
s.shutdown(socket.SHUT_WR)
assert os.read(r, 16) == b"through the pipe"
data = b""
while chunk := s.recv(65536): data += chunk
assert data == bytes(1 << 20), len(data)
"#;
        let mut child = Command::new("python3")
            .args(["-c", script, &std::process::id().to_string()])
            .spawn()
            .unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_eq!(stream.peer_cred().unwrap().pid(), Some(child.id() as i32));
        let mut buf = [0; 64];
        let received = stream.recv_with_fds(&mut [IoSliceMut::new(&mut buf)]).await.unwrap();
        assert_eq!(&buf[..received.count], b"pipe");
        rustix::io::write(&received.fds[0], b"through the pipe").unwrap();
        assert_eq!(stream.read(&mut buf).await.unwrap(), 0);
        let writer = spawn(async move {
            stream.write_all(&vec![0; 1 << 20]).await.unwrap();
        });
        writer.await;
        assert!(smolkit_runtime::unblock(move || child.wait()).await.unwrap().success());
    });
}

#[test]
fn sockets_with_options_become_what_they_were_made_for() {
    within(async {
        let socket = UnixSocket::new_stream().unwrap();
        socket.set_send_buffer_size(20_000).unwrap();
        socket.set_recv_buffer_size(20_000).unwrap();
        assert!(socket.send_buffer_size().unwrap() >= 20_000);
        assert!(socket.recv_buffer_size().unwrap() >= 20_000);
        socket.bind_addr(&name("options")).unwrap();
        let again = UnixSocket::new_stream().unwrap().bind_addr(&name("options")).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
        let listener = socket.listen_default().unwrap();
        // A client with an address of its own.
        let socket = UnixSocket::new_stream().unwrap();
        socket.bind_addr(&name("client")).unwrap();
        let connected = name("options");
        let (client, accepted) =
            future::zip(socket.connect_addr(&connected), listener.accept()).await;
        let (server, peer) = accepted.unwrap();
        assert_eq!(peer.as_abstract_name(), name("client").as_abstract_name());
        drop((client.unwrap(), server));

        let socket = UnixSocket::new_seqpacket().unwrap();
        socket.bind_addr(&name("options packets")).unwrap();
        let listener = socket.listen_seqpacket(4).unwrap();
        let socket = UnixSocket::new_seqpacket().unwrap();
        let client = socket.connect_seqpacket(&name("options packets")).await.unwrap();
        client.send(b"one").await.unwrap();
        assert_eq!(listener.accept().await.unwrap().0.recv(&mut [0; 8]).await.unwrap(), 3);

        let socket = UnixSocket::new_datagram().unwrap();
        socket.bind_addr(&name("options datagrams")).unwrap();
        let datagrams = socket.datagram().unwrap();
        let error = UnixSocket::new_datagram().unwrap().listen(1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let sender = UnixDatagram::unbound().unwrap();
        sender.send_to_addr(b"two", &name("options datagrams")).await.unwrap();
        assert_eq!(datagrams.recv(&mut [0; 8]).await.unwrap(), 3);
    });
}

/// 200 sockets of every kind are open while a child starts: it has the descriptors of one that starts without them.
#[test]
fn children_inherit_nothing() {
    within(async {
        let list = || Command::new("ls").arg("/proc/self/fd").output().unwrap().stdout;
        let before = list();
        let mut open = Vec::<std::os::fd::OwnedFd>::new();
        let listener = UnixListener::bind_addr(&name("inherit")).unwrap();
        let packets = UnixSeqpacketListener::bind_addr(&name("inherit packets")).unwrap();
        for _ in 0..25 {
            open.push(
                UnixStream::connect_addr(&name("inherit")).await.unwrap().try_into().unwrap(),
            );
            open.push(listener.accept().await.unwrap().0.try_into().unwrap());
            let client = UnixSeqpacket::connect_addr(&name("inherit packets")).await.unwrap();
            open.push(client.try_into().unwrap());
            open.push(packets.accept().await.unwrap().0.try_into().unwrap());
            open.push(UnixDatagram::unbound().unwrap().try_into().unwrap());
            let (one, other) = UnixSeqpacket::pair().unwrap();
            open.push(one.try_into().unwrap());
            open.push(other.try_into().unwrap());
            let udp = smolkit_net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
            open.push(udp.try_into().unwrap());
        }
        assert_eq!(list(), before);
        assert_eq!(open.len(), 200);
    });
}
