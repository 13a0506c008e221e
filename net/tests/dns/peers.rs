//! dnsmasq and unbound as Debian has them, with one list of records for both, and `dig` to ask them.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::directory::Directory;

/// What the servers know: name, type, data.
pub fn records() -> Vec<(String, &'static str, String)> {
    let mut records = Vec::new();
    let mut add = |name: &str, kind, data: &str| {
        records.push((format!("{name}.example"), kind, data.to_owned()));
    };
    add("one", "A", "192.0.2.1");
    add("six", "AAAA", "2001:db8::6");
    add("both", "A", "192.0.2.2");
    add("both", "AAAA", "2001:db8::2");
    add("www.sub", "A", "192.0.2.7");
    // More than a datagram holds.
    for host in 0..100 {
        add("many", "A", &format!("10.1.0.{host}"));
    }
    for index in 0..20 {
        add("long", "TXT", &format!("{index:03}").repeat(60));
    }
    add("chain1", "CNAME", "chain2.example");
    add("chain2", "CNAME", "chain3.example");
    add("chain3", "CNAME", "both.example");
    add("txt", "TXT", "v=one two; three");
    add("_http._tcp", "SRV", "10 60 80 one.example");
    add("_http._tcp", "SRV", "10 20 8080 both.example");
    add("_http._tcp", "SRV", "5 0 81 six.example");
    add("mail", "MX", "20 both.example");
    add("mail", "MX", "10 one.example");
    records
}

/// A server that is running. It ends when it is dropped.
pub struct Peer {
    child: Child,
    pub addr: SocketAddr,
    _directory: Directory,
}

impl Peer {
    /// At this address, or at a port of loopback that is free.
    pub fn dnsmasq(at: Option<SocketAddr>) -> Peer {
        let directory = Directory::new("dnsmasq");
        Peer::start(at, directory, |addr, _| {
            let mut command = program("dnsmasq", "dnsmasq-base");
            // It answers for these domains alone, and reads no file of the system.
            command.args(["--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"]);
            command.args(["--bind-interfaces", "--local-ttl=60", "--local=/example/"]);
            command.arg("--local=/in-addr.arpa/").arg(format!("--port={}", addr.port()));
            command.arg(format!("--listen-address={}", addr.ip()));
            command.args(records().iter().map(dnsmasq_option));
            command
        })
    }

    /// As above; `more` gives lines of its section `server`, for each start anew.
    pub fn unbound(at: Option<SocketAddr>, more: impl Fn() -> String) -> Peer {
        let directory = Directory::new("unbound");
        let zone = directory.write("zone", zone());
        Peer::start(at, directory, |addr, directory| {
            let (ip, port, more) = (addr.ip(), addr.port(), more());
            // Nobody is asked about other domains, so it says SERVFAIL; over TCP it finds that out at once.
            let text = format!(
                "server:\n interface: {ip}@{port}\n do-daemonize: no\n username: \"\"\n chroot: \"\"\n \
                 pidfile: \"\"\n use-syslog: no\n logfile: \"\"\n num-threads: 1\n directory: \"/\"\n \
                 module-config: \"iterator\"\n tcp-upstream: yes\n outbound-msg-retry: 1\n do-not-query-localhost: no\n local-zone: \"2.0.192.in-addr.arpa.\" static\n \
                 local-data-ptr: \"192.0.2.1 60 one.example\"\n{more}\n\
                 auth-zone:\n name: \"example.\"\n zonefile: \"{zone}\"\n for-upstream: no\n\
                 forward-zone:\n name: \".\"\n forward-addr: 127.0.0.1@9\n"
            );
            let mut command = program("unbound", "unbound");
            command.arg("-d").arg("-c").arg(directory.write("conf", text));
            command
        })
    }

    /// Whether it listens at this address, too. Waits until it does.
    pub fn is_at(&mut self, addr: SocketAddr) -> bool {
        is_up(addr, &mut self.child)
    }

    fn start(
        at: Option<SocketAddr>,
        directory: Directory,
        command: impl Fn(SocketAddr, &Directory) -> Command,
    ) -> Peer {
        let mut heard = String::new();
        // Somebody else may take the port before the server does.
        for _ in 0..5 {
            let addr = at.unwrap_or_else(free_port);
            let mut command = command(addr, &directory);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            if is_up(addr, &mut child) {
                return Peer { child, addr, _directory: directory };
            }
            // It may have ended by itself.
            let _ = child.kill();
            child.stderr.take().unwrap().read_to_string(&mut heard).unwrap();
            child.wait().unwrap();
        }
        panic!("the server does not start; it said:\n{heard}");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Both listen on TCP when they are ready.
fn is_up(addr: SocketAddr, child: &mut Child) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
        if TcpStream::connect(addr).is_ok() {
            return true;
        }
        thread::sleep(Duration::from_millis(5));
    }
    false
}

pub fn free_port() -> SocketAddr {
    for _ in 0..100 {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = udp.local_addr().unwrap();
        if TcpListener::bind(addr).is_ok() {
            return addr;
        }
    }
    panic!("no port is free for both UDP and TCP");
}

/// The program of this name; daemons lie where only root looks.
fn program(name: &str, package: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut folders = path.split(':').chain(["/usr/sbin"]);
    let is_there = |folder: &&str| Path::new(folder).join(name).exists();
    match folders.find(is_there) {
        Some(folder) => Command::new(Path::new(folder).join(name)),
        None => panic!(
            "these tests need the program {name} (Debian: apt-get install {package}; .ci/tools does it)"
        ),
    }
}

fn dnsmasq_option((name, kind, data): &(String, &str, String)) -> String {
    let words: Vec<&str> = data.split(' ').collect();
    match (*kind, &words[..]) {
        ("A" | "AAAA", _) => format!("--host-record={name},{data}"),
        ("CNAME", _) => format!("--cname={name},{data}"),
        ("TXT", _) => format!("--txt-record={name},{data}"),
        ("MX", [preference, host]) => format!("--mx-host={name},{host},{preference}"),
        ("SRV", [priority, weight, port, host]) => {
            format!("--srv-host={name},{host},{port},{priority},{weight}")
        }
        _ => unreachable!("{kind}"),
    }
}

fn zone() -> String {
    let mut zone =
        "example. 60 IN SOA ns.example. admin.example. 1 60 60 60 60\nexample. 60 IN NS ns.example.\n"
            .to_owned();
    for (name, kind, data) in records() {
        let data = match kind {
            "TXT" => format!("\"{data}\""),
            "CNAME" | "MX" | "SRV" => format!("{data}."),
            _ => data,
        };
        zone += &format!("{name}. 60 IN {kind} {data}\n");
    }
    zone
}

/// What `dig` gets for a question, one line for each record, sorted. Aliases on the way are left out.
pub fn dig(server: SocketAddr, name: &str, kind: &str) -> Vec<String> {
    let mut command = program("dig", "bind9-dnsutils");
    command.args(["+noall", "+answer", "+time=30", "+tries=2", "-p", &server.port().to_string()]);
    command.args([&format!("@{}", server.ip()), "-q", name, "-t", kind]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "dig fails: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let of_kind = |line: &str| {
        let mut words = line.split_whitespace();
        let found = words.nth(3)? == kind;
        found.then(|| words.collect::<Vec<_>>().join(" "))
    };
    let mut lines: Vec<String> = text.lines().filter_map(of_kind).collect();
    lines.sort();
    lines
}
