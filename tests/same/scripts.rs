// Scripts that write down what they see. `smol` is smolkit or smol.

use std::fs::File;
use std::io::{self, ErrorKind, Read, SeekFrom, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use smol::future;
use smol::prelude::*;
use smol::{Async, Unblock, block_on};

/// What was seen: a line each.
type Log = Vec<String>;

/// The outcome of an operation: its kind of error, not the text.
fn outcome<T: std::fmt::Debug>(what: &str, result: io::Result<T>) -> String {
    match result {
        Ok(value) => format!("{what}: {value:?}"),
        Err(error) => format!("{what}: {:?} {:?}", error.kind(), error.raw_os_error()),
    }
}

fn unit<T>(result: io::Result<T>) -> io::Result<()> {
    result.map(drop)
}

fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// A path that nobody else uses.
fn scratch(name: &str) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let who = module_path!().rsplit(':').next().unwrap();
    std::env::temp_dir().join(format!("smolkit-{}-{who}-{name}-{number}", std::process::id()))
}

async fn tcp_pair() -> (Async<TcpStream>, Async<TcpStream>) {
    let listener = Async::<TcpListener>::bind(local(0)).unwrap();
    let addr = listener.get_ref().local_addr().unwrap();
    let (client, server) =
        future::try_zip(Async::<TcpStream>::connect(addr), listener.accept()).await.unwrap();
    (client, server.0)
}

pub(super) fn addresses_that_are_taken() -> Log {
    let mut log = Log::new();
    let listener = Async::<TcpListener>::bind(local(0)).unwrap();
    let addr = listener.get_ref().local_addr().unwrap();
    log.push(outcome("tcp", unit(Async::<TcpListener>::bind(addr))));
    let socket = Async::<UdpSocket>::bind(local(0)).unwrap();
    let addr = socket.get_ref().local_addr().unwrap();
    log.push(outcome("udp", unit(Async::<UdpSocket>::bind(addr))));
    let foreign: SocketAddr = ([192, 0, 2, 1], 0).into();
    log.push(outcome("not ours", unit(Async::<TcpListener>::bind(foreign))));
    let path = scratch("taken");
    let _unix = Async::<UnixListener>::bind(&path).unwrap();
    log.push(outcome("unix", unit(Async::<UnixListener>::bind(&path))));
    log.push(outcome("datagram", unit(Async::<UnixDatagram>::bind(&path))));
    std::fs::remove_file(path).unwrap();
    log
}

pub(super) fn connecting_to_nobody() -> Log {
    block_on(async {
        let mut log = Log::new();
        let closed = TcpListener::bind(local(0)).unwrap().local_addr().unwrap();
        log.push(outcome("tcp", unit(Async::<TcpStream>::connect(closed).await)));
        log.push(outcome("port 0", unit(Async::<TcpStream>::connect(local(0)).await)));
        let broadcast: SocketAddr = ([255, 255, 255, 255], 9).into();
        log.push(outcome("broadcast", unit(Async::<TcpStream>::connect(broadcast).await)));
        let path = scratch("nobody");
        log.push(outcome("no path", unit(Async::<UnixStream>::connect(&path).await)));
        drop(UnixListener::bind(&path).unwrap());
        log.push(outcome("no listener", unit(Async::<UnixStream>::connect(&path).await)));
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        log.push(outcome("no socket", unit(Async::<UnixStream>::connect(&path).await)));
        std::fs::remove_file(&path).unwrap();
        let _datagrams = Async::<UnixDatagram>::bind(&path).unwrap();
        log.push(outcome("wrong kind", unit(Async::<UnixStream>::connect(&path).await)));
        std::fs::remove_file(&path).unwrap();
        log
    })
}

pub(super) fn closed_peers() -> Log {
    block_on(async {
        let mut log = Log::new();
        let (mut one, other) = Async::<UnixStream>::pair().unwrap();
        drop(other);
        log.push(outcome("read", one.read(&mut [0]).await));
        log.push(outcome("write", one.write(b"x").await));
        log.push(outcome("write again", (&one).write(b"x").await));
        log.push(outcome("flush", one.flush().await));
        log.push(outcome("close", one.close().await));
        log.push(outcome("readable", one.readable().await));
        log.push(outcome("writable", one.writable().await));

        let (mut client, server) = tcp_pair().await;
        client.write_all(b"unread").await.unwrap();
        server.readable().await.unwrap();
        drop(server);
        log.push(outcome("reset", client.read(&mut [0]).await));
        log.push(outcome("after the reset", client.read(&mut [0]).await));
        log.push(outcome("write after it", client.write(b"x").await));

        let (one, other) = Async::<UnixDatagram>::pair().unwrap();
        drop(other);
        log.push(outcome("send", one.send(b"x").await));
        log
    })
}

pub(super) fn what_cannot_be_polled() -> Log {
    let mut log = Log::new();
    log.push(outcome("file", unit(Async::new(File::open("Cargo.toml").unwrap()))));
    log.push(outcome("directory", unit(Async::new(File::open("src").unwrap()))));
    let name_only = rustix_free_path_fd();
    log.push(outcome("a path without access", unit(Async::new(name_only))));
    log.push(outcome("null", unit(Async::new(File::open("/dev/null").unwrap()))));
    log.push(outcome("a file's descriptor", unit(Async::<File>::try_from(OwnedFd::from(File::open("Cargo.toml").unwrap())))));
    log
}

/// A descriptor that stands for a path and can do nothing (`O_PATH`).
fn rustix_free_path_fd() -> File {
    use std::os::unix::fs::OpenOptionsExt;
    const O_PATH: i32 = 0o10_000_000;
    File::options().read(true).custom_flags(O_PATH).open("Cargo.toml").unwrap()
}

pub(super) fn readiness_level() -> Log {
    block_on(async {
        let mut log = Log::new();
        let (one, mut other) = Async::<UnixStream>::pair().unwrap();
        let now = async |what: &str, log: &mut Log| {
            // The answer of the kernel comes through the poller: not before the second look, and at once then.
            let ready = future::or(
                async {
                    one.readable().await.unwrap();
                    true
                },
                async {
                    // Long enough for a poller's thread that has to wait for a core.
                    smol::Timer::after(std::time::Duration::from_secs(1)).await;
                    false
                },
            );
            log.push(format!("{what}: {}", ready.await));
        };
        now("empty", &mut log).await;
        other.write_all(b"xy").await.unwrap();
        now("two bytes", &mut log).await;
        now("still", &mut log).await;
        one.get_ref().read_exact(&mut [0]).unwrap();
        now("one byte", &mut log).await;
        one.get_ref().read_exact(&mut [0]).unwrap();
        now("none", &mut log).await;
        log.push(outcome("beside the adapter", one.get_ref().read(&mut [0])));
        future::poll_fn(|cx| one.poll_writable(cx)).await.unwrap();
        let waiting = Arc::new(one).readable_owned();
        drop(other);
        log.push(outcome("hang-up", waiting.await));
        log
    })
}

pub(super) fn full_buffers() -> Log {
    block_on(async {
        let mut log = Log::new();
        let (mut one, mut other) = Async::<UnixStream>::pair().unwrap();
        let mut sent = 0;
        while let Some(count) = future::poll_once(one.write(&[7; 4_096])).await {
            sent += count.unwrap();
        }
        log.push(outcome("beside the adapter", one.get_ref().write(b"x")));
        // Nothing waits for room that does not need any.
        log.push(format!("flush: {:?}", future::poll_once(one.flush()).await.map(|r| r.is_ok())));
        log.push(format!("close: {:?}", future::poll_once(one.close()).await.map(|r| r.is_ok())));
        log.push(format!("flush through a reference: {:?}", future::poll_once((&one).flush()).await.map(|r| r.is_ok())));
        let mut buffer = vec![0; sent];
        let (written, read) = future::zip(one.write_all(b"more"), async {
            other.read_exact(&mut buffer).await.unwrap();
            other.read_exact(&mut buffer[..4]).await
        })
        .await;
        log.push(outcome("written", written));
        log.push(outcome("read", read));
        log.push(format!("{:?}", &buffer[..4]));
        log
    })
}

pub(super) fn half_closed() -> Log {
    block_on(async {
        let mut log = Log::new();
        let (mut client, mut server) = tcp_pair().await;
        client.get_ref().shutdown(Shutdown::Write).unwrap();
        log.push(outcome("end", server.read(&mut [0]).await));
        log.push(outcome("still the end", server.read(&mut [0]).await));
        log.push(outcome("the other way", server.write(b"back").await));
        let mut buffer = [0; 4];
        log.push(outcome("arrives", client.read_exact(&mut buffer).await));
        log.push(outcome("write", client.write(b"x").await));
        let vectors = [io::IoSlice::new(b"ab"), io::IoSlice::new(b"cd")];
        log.push(outcome("vectored", server.write_vectored(&vectors).await));
        let (mut left, mut right) = ([0; 3], [0; 3]);
        let mut into = [io::IoSliceMut::new(&mut left), io::IoSliceMut::new(&mut right)];
        log.push(outcome("read vectored", client.read_vectored(&mut into).await));
        log.push(format!("{left:?} {right:?}"));
        log
    })
}

pub(super) fn nothing_wanted() -> Log {
    block_on(async {
        let mut log = Log::new();
        let (mut client, mut server) = tcp_pair().await;
        let mut waits = async |what: &str, stream: &mut Async<TcpStream>| {
            let polled = future::poll_once(stream.read(&mut [])).await;
            log.push(format!("{what}: {:?}", polled.map(|result| result.map_err(|e| e.kind()))));
        };
        waits("nothing there", &mut server).await;
        client.write_all(b"x").await.unwrap();
        server.readable().await.unwrap();
        waits("a byte", &mut server).await;
        drop(client);
        server.read_exact(&mut [0]).await.unwrap();
        server.readable().await.unwrap();
        waits("the end", &mut server).await;
        log
    })
}

pub(super) fn datagrams() -> Log {
    block_on(async {
        let mut log = Log::new();
        let one = Async::<UdpSocket>::bind(local(0)).unwrap();
        let other = Async::<UdpSocket>::bind(local(0)).unwrap();
        let to = other.get_ref().local_addr().unwrap();
        let from = one.get_ref().local_addr().unwrap();
        let mut buffer = [0; 4];
        log.push(outcome("not connected", one.send(b"x").await));
        log.push(outcome("send_to", one.send_to(b"longer", to).await));
        let (count, sender) = other.peek_from(&mut buffer).await.unwrap();
        log.push(format!("peek_from: {count} {}", sender == from));
        let (count, sender) = other.recv_from(&mut buffer).await.unwrap();
        log.push(format!("recv_from: {count} {} {buffer:?}", sender == from));
        one.get_ref().connect(to).unwrap();
        log.push(outcome("send", one.send(b"ab").await));
        log.push(outcome("empty", one.send(b"").await));
        log.push(outcome("peek", other.peek(&mut buffer).await));
        log.push(outcome("recv", other.recv(&mut buffer).await));
        log.push(outcome("recv nothing", other.recv(&mut buffer).await));
        log.push(outcome("too big", one.send(&[0; 70_000]).await));
        drop(other);
        log.push(outcome("to nobody", one.send(b"x").await));
        log.push(outcome("refused", one.recv(&mut buffer).await));
        let six: SocketAddr = ([0, 0, 0, 0, 0, 0, 0, 1], 9).into();
        log.push(outcome("wrong family", one.send_to(b"x", six).await));
        log
    })
}

pub(super) fn unix_datagrams() -> Log {
    block_on(async {
        let mut log = Log::new();
        let path = scratch("datagrams");
        let one = Async::<UnixDatagram>::bind(&path).unwrap();
        let other = Async::<UnixDatagram>::unbound().unwrap();
        let mut buffer = [0; 4];
        log.push(outcome("send", other.send(b"x").await));
        log.push(outcome("send_to", other.send_to(b"longer", &path).await));
        let (count, from) = one.recv_from(&mut buffer).await.unwrap();
        log.push(format!("recv_from: {count} {} {buffer:?}", from.is_unnamed()));
        log.push(outcome("nowhere", other.send_to(b"x", scratch("nowhere")).await));
        other.get_ref().connect(&path).unwrap();
        log.push(outcome("connected", other.send(b"yz").await));
        log.push(outcome("recv", one.recv(&mut buffer).await));
        std::fs::remove_file(&path).unwrap();
        let (a, b) = Async::<UnixDatagram>::pair().unwrap();
        log.push(outcome("pair", a.send(b"pair").await));
        log.push(outcome("pair", b.recv(&mut buffer).await));
        log
    })
}

pub(super) fn bad_paths() -> Log {
    block_on(async {
        let mut log = Log::new();
        let long = "x".repeat(200);
        log.push(outcome("long", unit(Async::<UnixListener>::bind(&long))));
        let connected = Async::<UnixStream>::connect(&long).await;
        log.push(format!("long: {:?}", connected.map_err(|error| error.kind()).err()));
        log.push(outcome("zero", unit(Async::<UnixListener>::bind("a\0b"))));
        let connected = Async::<UnixStream>::connect("a\0b").await;
        log.push(format!("zero: {:?}", connected.map_err(|error| error.kind()).err()));
        log.push(outcome("empty", unit(Async::<UnixStream>::connect("").await)));
        log.push(outcome("directory", unit(Async::<UnixListener>::bind("/nowhere/at/all"))));
        log.push(outcome("directory", unit(Async::<UnixStream>::connect("/nowhere/at/all").await)));
        log
    })
}

pub(super) fn abstract_names() -> Log {
    use std::os::linux::net::SocketAddrExt;

    block_on(async {
        let mut log = Log::new();
        let name = format!("smolkit-{:?}", scratch("abstract"));
        let addr = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        let listener = Async::new(UnixListener::bind_addr(&addr).unwrap()).unwrap();
        let mut client = Async::<UnixStream>::connect(format!("\0{name}")).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        log.push(outcome("write", client.write(b"x").await));
        log.push(outcome("read", server.read(&mut [0]).await));
        log.push(outcome("other name", unit(Async::<UnixStream>::connect(format!("\0{name}!")).await)));
        log
    })
}

pub(super) fn mode_of_the_descriptor() -> Log {
    let mut log = Log::new();
    let (one, mut other) = UnixStream::pair().unwrap();
    let adapter = Async::new(one).unwrap();
    log.push(outcome("non-blocking inside", adapter.get_ref().read(&mut [0])));
    let mut one = adapter.into_inner().unwrap();
    log.push(outcome("and after", one.read(&mut [0])));
    one.set_nonblocking(false).unwrap();
    other.write_all(b"x").unwrap();
    log.push(outcome("blocking again", one.read(&mut [0])));
    // Blocking, and taken as it is: it works as long as nothing has to wait.
    let adapter = Async::new_nonblocking(one).unwrap();
    other.write_all(b"y").unwrap();
    log.push(outcome("as it is", block_on(adapter.read_with(|mut io| io.read(&mut [0])))));
    let fd = OwnedFd::try_from(adapter).unwrap();
    log.push(outcome("as a descriptor", unit(Async::<UnixStream>::try_from(fd))));
    log
}

pub(super) fn registered_twice() -> Log {
    let (one, mut other) = UnixStream::pair().unwrap();
    let mut log = Log::new();
    let first = Async::new(one.as_fd()).unwrap();
    log.push(outcome("twice", unit(Async::new(one.as_fd()))));
    drop(first);
    let again = Async::new(&one).unwrap();
    other.write_all(b"x").unwrap();
    log.push(outcome("again", block_on(again.read_with(|&io| (&*io).read(&mut [0])))));
    drop(again);
    drop(one.try_clone().unwrap());
    log.push(outcome("and again", unit(Async::new(one))));
    log
}

pub(super) fn pipes_and_processes() -> Log {
    block_on(async {
        let mut log = Log::new();
        let mut child =
            Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = Async::new(child.stdin.take().unwrap()).unwrap();
        let mut stdout = Async::new(child.stdout.take().unwrap()).unwrap();
        log.push(outcome("write", stdin.write(b"through a cat").await));
        let mut buffer = [0; 13];
        log.push(outcome("read", stdout.read_exact(&mut buffer).await));
        log.push(String::from_utf8_lossy(&buffer).into_owned());
        drop(stdin);
        log.push(outcome("end", stdout.read(&mut buffer).await));
        child.wait().unwrap();

        let mut child = Command::new("true").stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = Async::new(child.stdin.take().unwrap()).unwrap();
        child.wait().unwrap();
        log.push(outcome("no reader", stdin.write(b"x").await));
        log
    })
}

pub(super) fn mutable_operations() -> Log {
    block_on(async {
        let mut log = Log::new();
        let (mut one, mut other) = Async::<UnixStream>::pair().unwrap();
        // SAFETY: the descriptor stays where it is.
        let written = unsafe { one.write_with_mut(|io| io.write(b"abc")).await };
        log.push(outcome("write_with_mut", written));
        let mut buffer = [0; 8];
        // SAFETY: as above.
        let read = unsafe { other.read_with_mut(|io| io.read(&mut buffer)).await };
        log.push(outcome("read_with_mut", read));
        let mut tries = 0;
        let (late, sent) = future::zip(
            other.read_with(|mut io| {
                tries += 1;
                io.read(&mut buffer)
            }),
            async {
                future::yield_now().await;
                one.write_all(b"late").await
            },
        )
        .await;
        log.push(outcome("late", late));
        log.push(outcome("sent", sent));
        log.push(format!("tried more than once: {}", tries > 1));
        log
    })
}

pub(super) fn peeking() -> Log {
    block_on(async {
        let mut log = Log::new();
        let (mut client, mut server) = tcp_pair().await;
        let mut buffer = [0; 8];
        let (peeked, written) = future::zip(server.peek(&mut buffer), client.write_all(b"peek")).await;
        log.push(outcome("peek", peeked));
        log.push(outcome("written", written));
        log.push(outcome("peek again", server.peek(&mut buffer[..2]).await));
        log.push(outcome("read", server.read(&mut buffer).await));
        drop(client);
        log.push(outcome("peek at the end", server.peek(&mut buffer).await));
        log
    })
}

pub(super) fn incoming_connections() -> Log {
    block_on(async {
        let mut log = Log::new();
        let listener = Async::<TcpListener>::bind(local(0)).unwrap();
        let addr = listener.get_ref().local_addr().unwrap();
        let clients: Vec<_> = (0..3).map(|_| TcpStream::connect(addr).unwrap()).collect();
        let mut incoming = Box::pin(listener.incoming());
        for client in &clients {
            let server = incoming.next().await.unwrap().unwrap();
            let peer = server.get_ref().peer_addr().unwrap();
            log.push(format!("tcp {}", peer == client.local_addr().unwrap()));
            log.push(outcome("non-blocking", server.get_ref().peek(&mut [0])));
        }
        log.push(format!("a fourth: {}", future::poll_once(incoming.next()).await.is_some()));

        let path = scratch("incoming");
        let listener = Async::<UnixListener>::bind(&path).unwrap();
        let _clients: Vec<_> = (0..3).map(|_| UnixStream::connect(&path).unwrap()).collect();
        let mut incoming = Box::pin(listener.incoming());
        for _ in 0..3 {
            log.push(outcome("unix", unit(incoming.next().await.unwrap())));
        }
        std::fs::remove_file(path).unwrap();
        log
    })
}

pub(super) fn operations_that_fail() -> Log {
    block_on(async {
        let mut log = Log::new();
        let (one, _other) = Async::<UnixStream>::pair().unwrap();
        for kind in [ErrorKind::Other, ErrorKind::TimedOut, ErrorKind::BrokenPipe] {
            log.push(outcome("read", one.read_with(|_| Err::<(), _>(kind.into())).await));
            log.push(outcome("write", one.write_with(|_| Err::<(), _>(kind.into())).await));
        }
        // Nothing was read, and still it may say so.
        log.push(outcome("fine", one.read_with(|_| Ok(7)).await));
        log.push(outcome("not a listener", {
            let fd = OwnedFd::from(UnixStream::pair().unwrap().0);
            let listener = Async::<UnixListener>::try_from(fd).unwrap();
            unit(listener.accept().await)
        }));
        log.push(outcome("a datagram of a stream", {
            let fd = OwnedFd::from(TcpListener::bind(local(0)).unwrap());
            let listener = Async::<UdpSocket>::try_from(fd).unwrap();
            unit(listener.recv(&mut [0]).await)
        }));
        log
    })
}

pub(super) fn unblocked_files() -> Log {
    block_on(async {
        let mut log = Log::new();
        let path = scratch("file");
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        let mut file = Unblock::with_capacity(16, file);
        log.push(outcome("write", file.write_all(&[b'a'; 100]).await));
        log.push(outcome("flush", file.flush().await));
        log.push(outcome("seek", file.seek(SeekFrom::Start(90)).await));
        log.push(outcome("from the end", file.seek(SeekFrom::End(-10)).await));
        let mut text = String::new();
        log.push(outcome("read", file.read_to_string(&mut text).await));
        log.push(text);
        log.push(outcome("before the start", file.seek(SeekFrom::End(-1_000)).await));
        log.push(format!("{}", file.with_mut(|file| file.metadata().unwrap().len()).await));
        log.push(format!("{}", file.get_mut().await.metadata().unwrap().is_file()));
        log.push(outcome("close", file.close().await));
        log.push(format!("{file:?}"));
        let mut numbers = Unblock::new(0..5);
        log.push(format!("{:?}", numbers.next().await));
        log.push(format!("{:?}", numbers.collect::<Vec<_>>().await));
        log
    })
}

pub(super) fn unblocked_errors() -> Log {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(ErrorKind::TimedOut.into())
        }
    }
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    block_on(async {
        let mut log = Log::new();
        let mut broken = Unblock::new(Broken);
        log.push(outcome("read", broken.read(&mut [0]).await));
        log.push(outcome("again", broken.read(&mut [0]).await));
        log.push(outcome("write", broken.write(b"x").await));
        log.push(outcome("flush", broken.flush().await));
        log.push(outcome("flush again", broken.flush().await));
        log.push(outcome("read only", Unblock::new(File::open("Cargo.toml").unwrap()).write(b"x").await));
        log
    })
}
