//! A name server that says what a test wants it to say, on UDP and TCP of one port.

#![allow(dead_code, unreachable_pub)]

pub mod directory;
#[cfg(target_os = "linux")]
pub mod peers;

use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_lite::future;
use smolkit_net::dns::{Resolver, ResolverBuilder};
use smolkit_runtime::{Timer, block_on};

pub const A: u16 = 1;
pub const NS: u16 = 2;
pub const CNAME: u16 = 5;
pub const SOA: u16 = 6;
pub const PTR: u16 = 12;
pub const MX: u16 = 15;
pub const TXT: u16 = 16;
pub const AAAA: u16 = 28;
pub const SRV: u16 = 33;

/// Fails if `f` takes longer than 120 s.
pub fn within<T>(f: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(Duration::from_secs(120)).await;
        panic!("not finished after 120 s")
    };
    block_on(future::or(f, late))
}

/// A question that came in.
#[derive(Clone, Debug)]
pub struct Asked {
    pub bytes: Vec<u8>,
    pub id: u16,
    /// As it was sent, with the case of its letters.
    pub name: String,
    pub kind: u16,
    pub has_edns: bool,
    pub is_tcp: bool,
    pub peer: SocketAddr,
    question_end: usize,
}

impl Asked {
    pub fn read(bytes: &[u8], is_tcp: bool, peer: SocketAddr) -> Option<Asked> {
        let (mut at, mut name) = (12, String::new());
        while *bytes.get(at)? != 0 {
            let end = at + 1 + usize::from(bytes[at]);
            name.push_str(&String::from_utf8_lossy(bytes.get(at + 1..end)?));
            name.push('.');
            at = end;
        }
        let kind = u16::from_be_bytes([*bytes.get(at + 1)?, *bytes.get(at + 2)?]);
        let id = u16::from_be_bytes([bytes[0], bytes[1]]);
        let has_edns = bytes[10..12] != [0, 0];
        let (bytes, question_end) = (bytes.to_vec(), at + 5);
        Some(Asked { bytes, id, name, kind, has_edns, is_tcp, peer, question_end })
    }

    /// In lower case, without the dot at its end.
    pub fn plain_name(&self) -> String {
        self.name.trim_end_matches('.').to_ascii_lowercase()
    }

    /// A reply without records.
    pub fn reply(&self) -> Reply {
        let mut bytes = self.bytes[..self.question_end].to_vec();
        bytes[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0]);
        Reply { bytes, name_end: self.question_end - 4 }
    }
}

/// A reply in the making.
#[derive(Clone, Debug)]
pub struct Reply {
    pub bytes: Vec<u8>,
    name_end: usize,
}

impl Reply {
    pub fn code(mut self, code: u8) -> Reply {
        self.bytes[3] = self.bytes[3] & 0xf0 | code;
        self
    }

    pub fn truncated(mut self) -> Reply {
        self.bytes[2] |= 2;
        self
    }

    /// Of a server that is not responsible, and asks no others.
    pub fn lame(mut self) -> Reply {
        self.bytes[3] &= 0x7f;
        self
    }

    /// Nothing but the header, as servers older than EDNS refuse it.
    pub fn header_only(mut self) -> Reply {
        self.bytes.truncate(12);
        self.bytes[4..12].fill(0);
        self
    }

    /// Of a server that is responsible.
    pub fn authoritative(mut self) -> Reply {
        self.bytes[2] |= 4;
        self
    }

    pub fn id(mut self, id: u16) -> Reply {
        self.bytes[..2].copy_from_slice(&id.to_be_bytes());
        self
    }

    pub fn question_type(mut self, kind: u16) -> Reply {
        self.bytes[self.name_end..][..2].copy_from_slice(&kind.to_be_bytes());
        self
    }

    pub fn question_class(mut self, class: u16) -> Reply {
        self.bytes[self.name_end + 2..][..2].copy_from_slice(&class.to_be_bytes());
        self
    }

    /// Another letter in the question's name.
    pub fn question_letter(mut self, letter: u8) -> Reply {
        self.bytes[13] = letter;
        self
    }

    /// The first letter of the question in the other case.
    pub fn question_case(mut self) -> Reply {
        self.bytes[13] ^= 0x20;
        self
    }

    /// An answer for the name of the question.
    pub fn own(self, kind: u16, ttl: u32, data: &[u8]) -> Reply {
        self.answer(&[0xc0, 12], kind, ttl, data)
    }

    pub fn answer(self, name: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Reply {
        self.record(7, name, kind, ttl, data)
    }

    pub fn authority(self, name: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Reply {
        self.record(9, name, kind, ttl, data)
    }

    pub fn additional(self, name: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Reply {
        self.record(11, name, kind, ttl, data)
    }

    /// An SOA record of `zone` with these times.
    pub fn soa(self, zone: &str, ttl: u32, minimum: u32) -> Reply {
        let mut data = [name("ns.example"), name("admin.example")].concat();
        data.extend([0; 16]);
        data.extend(minimum.to_be_bytes());
        self.authority(&name(zone), SOA, ttl, &data)
    }

    fn record(mut self, count: usize, name: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Reply {
        let (low, carried) = self.bytes[count].overflowing_add(1);
        self.bytes[count] = low;
        self.bytes[count - 1] += u8::from(carried);
        self.bytes.extend(name);
        self.bytes.extend(kind.to_be_bytes());
        self.bytes.extend([0, 1]);
        self.bytes.extend(ttl.to_be_bytes());
        self.bytes.extend((data.len() as u16).to_be_bytes());
        self.bytes.extend(data);
        self
    }
}

/// A name as it goes over the wire.
pub fn name(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

type Answer = dyn Fn(&Asked, &UdpSocket) -> Vec<Vec<u8>> + Send + Sync;

/// The server. It ends when it is dropped.
pub struct Server {
    addr: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    is_ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// `answer` is called with each question, and gives the messages to send back. It may send others by itself.
    pub fn start(
        answer: impl Fn(&Asked, &UdpSocket) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Server {
        Server::start_at(Ipv4Addr::LOCALHOST, answer)
    }

    pub fn start_at(
        ip: Ipv4Addr,
        answer: impl Fn(&Asked, &UdpSocket) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Server {
        let (udp, tcp) = sockets(ip);
        let addr = udp.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let is_ended = Arc::<AtomicBool>::default();
        let answer: Arc<Answer> = Arc::new(answer);
        let udp = Arc::new(udp);
        let threads = vec![
            {
                let (udp, asked, answer) = (udp.clone(), asked.clone(), answer.clone());
                let is_ended = is_ended.clone();
                thread::spawn(move || serve_udp(&udp, &asked, &is_ended, &*answer))
            },
            {
                let (asked, is_ended) = (asked.clone(), is_ended.clone());
                thread::spawn(move || serve_tcp(&tcp, &udp, &asked, &is_ended, &*answer))
            },
        ];
        Server { addr, asked, is_ended, threads }
    }

    /// Answers every question for an IPv4 address with this one, for an hour.
    pub fn with_address(ip: [u8; 4]) -> Server {
        Server::start(move |asked, _| vec![address(asked, 3_600, ip)])
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The questions so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// A resolver that asks this server, reads no files and waits for 20 s.
    pub fn resolver(&self) -> ResolverBuilder {
        resolver([self.addr])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_ended.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let result = thread.join();
            if !thread::panicking() {
                result.unwrap();
            }
        }
    }
}

pub fn resolver(servers: impl IntoIterator<Item = SocketAddr>) -> ResolverBuilder {
    Resolver::builder()
        .servers(servers)
        .resolv_conf(None)
        .hosts_file(None)
        .timeout(Duration::from_secs(20))
        .deadline(Duration::from_secs(60))
}

/// A reply with one address if the question is for IPv4; else "there is none".
pub fn address(asked: &Asked, ttl: u32, ip: [u8; 4]) -> Vec<u8> {
    match asked.kind {
        A => asked.reply().own(A, ttl, &ip).bytes,
        _ => asked.reply().bytes,
    }
}

/// Looks up `host` until there are addresses of both families: one that comes a second after the other, as happens on a busy machine, is done without.
pub async fn both_families(resolver: &Resolver, host: &str) -> Vec<IpAddr> {
    loop {
        let found = resolver.lookup_ip(host).await.unwrap();
        if found.iter().any(IpAddr::is_ipv4) && found.iter().any(IpAddr::is_ipv6) {
            return found;
        }
    }
}

/// A port of loopback where nobody answers, and nobody refuses, held by the socket.
pub fn silent() -> (SocketAddr, UdpSocket) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    (socket.local_addr().unwrap(), socket)
}

fn sockets(ip: Ipv4Addr) -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let udp = UdpSocket::bind((ip, 0)).unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            let pause = Some(Duration::from_millis(20));
            udp.set_read_timeout(pause).unwrap();
            tcp.set_nonblocking(true).unwrap();
            return (udp, tcp);
        }
    }
    panic!("no port is free for both UDP and TCP");
}

fn serve_udp(udp: &UdpSocket, asked: &Mutex<Vec<Asked>>, is_ended: &AtomicBool, answer: &Answer) {
    let mut buffer = [0; 65_536];
    while !is_ended.load(Ordering::SeqCst) {
        // The pause is over, or an earlier reply was refused.
        let Ok((count, peer)) = udp.recv_from(&mut buffer) else { continue };
        let Some(question) = Asked::read(&buffer[..count], false, peer) else { continue };
        asked.lock().unwrap().push(question.clone());
        for reply in answer(&question, udp) {
            // The client may have gone.
            drop(udp.send_to(&reply, peer));
        }
    }
}

/// One connection after another, and one question for each.
fn serve_tcp(
    tcp: &TcpListener,
    udp: &UdpSocket,
    asked: &Mutex<Vec<Asked>>,
    is_ended: &AtomicBool,
    answer: &Answer,
) {
    while !is_ended.load(Ordering::SeqCst) {
        let (mut stream, peer) = match tcp.accept() {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(5));
                continue;
            }
            Err(error) => panic!("cannot accept: {error}"),
        };
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut length = [0; 2];
        if stream.read_exact(&mut length).is_err() {
            continue;
        }
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut bytes).is_err() {
            continue;
        }
        let Some(question) = Asked::read(&bytes, true, peer) else { continue };
        asked.lock().unwrap().push(question.clone());
        let mut out = Vec::new();
        for reply in answer(&question, udp) {
            out.extend((reply.len() as u16).to_be_bytes());
            out.extend(reply);
        }
        // The client may have gone. It closes first, if it got what it wanted.
        if stream.write_all(&out).is_ok() {
            drop(stream.read(&mut [0]));
        }
    }
}
