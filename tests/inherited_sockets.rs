//! Goal: sockets come from whoever has started the process, each once and as what it is, and go to no child (FAULTS E14).
//! Method: this program is started by systemd's own program, and by itself with all that systemd could say, true and false.

#![cfg(all(target_os = "linux", feature = "net", feature = "process"))]

mod support;

use std::env;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::process::Stdio;
use std::time::Duration;

use smolkit::net::handover::{HANDOVER_VARIABLE, Sockets};
use smolkit::net::unix::{
    SocketAddr, UnixDatagram, UnixListener, UnixSeqpacketListener, UnixStream,
};
use smolkit::net::{TcpListener, TcpStream, UdpSocket};
use smolkit::process::Command;
use smolkit::{Timer, prelude::*};
use support::{ROLE, child, is_child, within};

/// As systemd starts a service: the number of the process is known when it is the process already, so a shell says it.
fn activated(test: &str, role: &str, names: Option<&str>, fds: Vec<OwnedFd>) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "export LISTEN_PID=$$; exec \"$@\"", "sh"]);
    command.arg(env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    command.stdout(Stdio::null()).env(ROLE, role).env("LISTEN_FDS", fds.len().to_string());
    if let Some(names) = names {
        command.env("LISTEN_FDNAMES", names);
    }
    for (number, fd) in (3..).zip(fds) {
        command.fd(number, fd);
    }
    command
}

fn dup(socket: &impl AsFd) -> OwnedFd {
    socket.as_fd().try_clone_to_owned().unwrap()
}

fn open_fds() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn systemd_leaves_sockets_of_every_kind() {
    if is_child("kinds") {
        within(every_kind_is_taken_once());
        return;
    }
    within(async {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let name = |what| {
            let name = format!("smolkit handover {what} {}", std::process::id());
            SocketAddr::from_abstract_name(name).unwrap()
        };
        let unix = UnixListener::bind_addr(&name("stream")).unwrap();
        let packets = UnixSeqpacketListener::bind_addr(&name("packets")).unwrap();
        let datagrams = UnixDatagram::bind_addr(&name("datagrams")).unwrap();
        let client = TcpStream::connect(tcp.local_addr().unwrap()).await.unwrap();
        let fds = vec![
            dup(&tcp),
            dup(&udp),
            dup(&unix),
            dup(&packets),
            dup(&datagrams),
            dup(&client),
            dup(&File::open("/dev/null").unwrap()),
            dup(&other),
            dup(&tcp),
        ];
        let names = "http:dns:admin:packets:log:connection:null:http:left";
        let (role, test) = ("kinds", "systemd_leaves_sockets_of_every_kind");
        let mut command = activated(test, role, Some(names), fds);
        let mut child = command.spawn().unwrap();
        // The child has what was in the queue before it was there.
        let (mut accepted, _) = tcp.accept().await.unwrap();
        accepted.write_all(b"to the connection").await.unwrap();
        let mut late = TcpStream::connect(tcp.local_addr().unwrap()).await.unwrap();
        drop((command, tcp));
        let mut said = String::new();
        late.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "from the child");
        assert!(child.status().await.unwrap().success());
    });
}

async fn every_kind_is_taken_once() {
    let before = open_fds();
    let mut sockets = Sockets::inherited().unwrap();
    assert_eq!(sockets.len(), 9);
    // Taken, and left to nobody.
    assert_eq!(open_fds(), before);
    let error = Sockets::inherited().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    let listed = "for fd in /proc/$$/fd/*; do [ -S $fd ] && echo $fd; done; true";
    let output = Command::new("sh").args(["-c", listed]).output().await.unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "a child has them too");

    for (name, said) in [
        ("dns", "cannot take `dns` (descriptor 4) as a TCP listener: it is a UDP socket"),
        ("admin", "`admin` (descriptor 5) as a TCP listener: it is a Unix listener"),
        ("packets", "it is a Unix listener for sequenced packets"),
        ("log", "it is a Unix datagram socket"),
        ("connection", "it is a TCP socket that does not listen"),
        ("null", "it is no socket"),
    ] {
        let error = sockets.tcp_listener(name).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(said), "{error}");
    }
    let error = sockets.udp_socket(None).unwrap_err();
    assert!(error.to_string().contains("as a UDP socket: it is a TCP listener"), "{error}");
    assert_eq!(sockets.len(), 9, "what does not fit stays");

    let http = sockets.tcp_listener("http").unwrap().expect("the first one");
    let second = sockets.tcp_listener("http").unwrap().expect("the other of this name");
    assert_ne!(http.local_addr().unwrap(), second.local_addr().unwrap());
    assert!(sockets.tcp_listener("http").unwrap().is_none());
    assert!(sockets.udp_socket("dns").unwrap().unwrap().local_addr().unwrap().port() > 0);
    assert!(sockets.unix_listener("admin").unwrap().is_some());
    assert!(sockets.unix_seqpacket_listener("packets").unwrap().is_some());
    assert!(sockets.unix_datagram("log").unwrap().is_some());
    assert!(sockets.fd("null").is_some());
    let mut connection = sockets.tcp_stream(None).unwrap().expect("the first that is left");
    let mut said = [0; 17];
    connection.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"to the connection");
    assert_eq!(sockets.names().collect::<Vec<_>>(), ["left"]);
    // Nobody waits to hear it.
    sockets.ready().unwrap();
    drop(sockets);
    let (mut stream, _) = http.accept().await.unwrap();
    stream.write_all(b"from the child").await.unwrap();
}

/// The real one: it waits for the first connection, and becomes the service then.
#[test]
fn by_systemds_own_program() {
    if is_child("systemd") {
        let mut sockets = Sockets::inherited().unwrap();
        // SAFETY: the test harness reads the environment before it starts tests.
        unsafe { smolkit::net::handover::remove_variables() };
        assert!(env::vars().all(|(name, _)| !name.starts_with("LISTEN_")));
        within(async {
            let listener = sockets.unix_listener("admin").unwrap().expect("it has that name");
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"activated").await.unwrap();
        });
        return;
    }
    within(async {
        let name = format!("smolkit-activate-{}", std::process::id());
        let mut child = Command::new("systemd-socket-activate")
            .args(["--listen", &format!("@{name}"), "--fdname", "admin", "-E"])
            .arg(format!("{ROLE}=systemd"))
            .arg(env::current_exe().unwrap())
            .args(["--exact", "by_systemds_own_program", "--nocapture"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs systemd-socket-activate");
        let addr = SocketAddr::from_abstract_name(&name).unwrap();
        let mut client = loop {
            // It listens soon.
            match UnixStream::connect_addr(&addr).await {
                Ok(client) => break client,
                Err(_) => Timer::after(Duration::from_millis(2)).await,
            };
        };
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "activated");
        assert!(child.status().await.unwrap().success());
    });
}

/// Goal: a standard stream by which sockets came is one that does no harm afterwards (`EBADF`, or a socket that gets what is printed, would).
/// Method: std's command, which can pass nothing on but these.
#[test]
fn by_a_standard_stream() {
    if is_child("standard stream") {
        let number: i32 = env::var("NUMBER").unwrap().parse().unwrap();
        let mut sockets = Sockets::inherited().unwrap();
        let listener = sockets.tcp_listener("http").unwrap().expect("it was left");
        sockets.ready().unwrap();
        drop(sockets);
        let stream = format!("/proc/self/fd/{number}");
        assert_eq!(std::fs::read_link(stream).unwrap().to_str(), Some("/dev/null"));
        assert!(File::open("/dev/null").unwrap().as_fd().as_raw_fd() > 2);
        // Children get it, and not what was left to us.
        let script = format!("test -c /dev/fd/{number} && test ! -S /dev/fd/{number}");
        assert!(std::process::Command::new("sh").args(["-c", &script]).status().unwrap().success());
        drop(listener);
        return;
    }
    within(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for number in 0..3 {
            let mut sockets = Sockets::new();
            sockets.add("http", &listener).unwrap();
            let (successor, fd) = sockets.successor().unwrap();
            let (name, value) = successor.variable(number);
            let mut command = std::process::Command::new(env::current_exe().unwrap());
            command.args(["--exact", "by_a_standard_stream", "--nocapture"]);
            command.env(ROLE, "standard stream").env("NUMBER", number.to_string()).env(name, value);
            match number {
                0 => command.stdin(fd).stdout(Stdio::null()),
                1 => command.stdout(fd),
                _ => command.stderr(fd).stdout(Stdio::null()),
            };
            let mut child = command.spawn().unwrap();
            drop(command);
            let ready = successor.ready().await;
            assert!(child.wait().unwrap().success(), "{number}");
            ready.unwrap();
        }
    });
}

#[test]
fn what_is_wrong_is_an_error() {
    if is_child("closed") {
        // The second one is closed.
        let error = Sockets::inherited().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("descriptor 9"), "{error}");
        return;
    }
    if is_child("names") {
        let error = Sockets::inherited().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("2 names for 1"), "{error}");
        return;
    }
    if is_child("own") {
        // Nothing was left to us, and so the numbers go to files of our own.
        let files: Vec<_> = (0..8).map(|_| File::open("/dev/null").unwrap()).collect();
        let error = Sockets::inherited().unwrap_err();
        assert!(error.to_string().contains("this process has opened it"), "{error}");
        assert_eq!(files.len(), 8);
        return;
    }
    if is_child("grandchild") || is_child("no descriptor") {
        let result = Sockets::inherited();
        if is_child("grandchild") {
            assert!(result.unwrap().is_empty());
            assert!(Sockets::inherited().unwrap().is_empty());
        } else {
            let error = result.unwrap_err();
            assert!(error.to_string().contains(HANDOVER_VARIABLE), "{error}");
        }
        return;
    }
    let test = "what_is_wrong_is_an_error";
    within(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut commands = Vec::new();
        let mut closed = activated(test, "closed", None, vec![dup(&listener)]);
        // More than the test program opens itself before.
        closed.env("LISTEN_FDS", "7").close_fds(true);
        for number in 4..9 {
            closed.fd(number, dup(&listener));
        }
        commands.push(closed);
        commands.push(activated(test, "names", Some("one:two"), vec![dup(&listener)]));
        let mut own = activated(test, "own", None, vec![]);
        own.env("LISTEN_FDS", "1").close_fds(true);
        commands.push(own);
        // Meant for our parent, or for nobody.
        let own = std::process::id();
        for pid in [1, own + 1] {
            let mut command = child(test, "grandchild");
            commands.push({
                command.env(HANDOVER_VARIABLE, format!("3:{pid}"));
                command.env("LISTEN_FDS", "1").env("LISTEN_PID", pid.to_string());
                command
            });
        }
        for number in ["3", "-1", "100000"] {
            let mut command = child(test, "no descriptor");
            command.env(HANDOVER_VARIABLE, format!("{number}:{own}")).close_fds(true);
            commands.push(command);
        }
        let mut command = child(test, "no descriptor");
        command.env(HANDOVER_VARIABLE, "nonsense");
        commands.push(command);
        for mut command in commands {
            assert!(command.status().await.unwrap().success(), "{command:#?}");
        }
        // Nothing was left to this process.
        assert!(Sockets::inherited().unwrap().is_empty());
        let mut sockets = Sockets::new();
        for name in ["", "a:b", "a\nb", &"x".repeat(256)] {
            let error = sockets.add(name, &listener).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
        assert_eq!(sockets.successor().unwrap_err().kind(), io::ErrorKind::InvalidInput);
    });
}
