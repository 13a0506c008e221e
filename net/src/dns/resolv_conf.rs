//! `resolv.conf(5)`: which servers to ask, and how to complete a name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

/// The port of a name server.
const PORT: u16 = 53;
/// Servers that are taken from the file. glibc takes three.
const SERVERS_MAX: usize = 8;
/// Search domains that are taken from the file.
const SEARCH_MAX: usize = 32;
/// The greatest values of the options, those of glibc (resolv.conf(5)).
const NDOTS_MAX: usize = 15;
const TIMEOUT_MAX_SECONDS: u64 = 30;
const ATTEMPTS_MAX: u32 = 5;

/// What a `resolv.conf` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResolvConf {
    pub(super) servers: Vec<SocketAddr>,
    pub(super) search: Vec<String>,
    pub(super) ndots: usize,
    pub(super) timeout: Option<Duration>,
    pub(super) attempts: Option<u32>,
    pub(super) rotate: bool,
    pub(super) tcp_only: bool,
    /// Lines that mean nothing to us, for the log.
    pub(super) ignored: Vec<String>,
}

impl Default for ResolvConf {
    /// What an empty file means, and a missing one: a server on this host (resolv.conf(5)).
    fn default() -> ResolvConf {
        ResolvConf {
            servers: vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT)],
            search: Vec::new(),
            ndots: 1,
            timeout: None,
            attempts: None,
            rotate: false,
            tcp_only: false,
            ignored: Vec::new(),
        }
    }
}

/// Reads the file's text. Nothing in it is an error: a line that makes no sense is left out, as every resolver does.
/// Without `search` and `domain` the domain is that of `host_name`, if it has one.
pub(super) fn parse(text: &str, host_name: &str) -> ResolvConf {
    let mut conf = ResolvConf { servers: Vec::new(), ..ResolvConf::default() };
    let mut search = None;
    for line in text.lines() {
        let is_word = |word: &&str| !word.starts_with(['#', ';']);
        let mut words = line.split_whitespace().take_while(is_word);
        let Some(keyword) = words.next() else { continue };
        let is_known = match keyword {
            "nameserver" => server(words.next(), &mut conf.servers),
            // The last of the two wins.
            "search" => {
                search = Some(words.take(SEARCH_MAX).map(str::to_owned).collect());
                true
            }
            "domain" => {
                search = Some(words.take(1).map(str::to_owned).collect());
                true
            }
            "options" => words.filter(|word| !option(word, &mut conf)).count() == 0,
            "sortlist" => true,
            _ => false,
        };
        if !is_known {
            conf.ignored.push(line.trim().to_owned());
        }
    }
    let own_domain = || host_name.split_once('.').map(|(_, domain)| domain.to_owned());
    conf.search = search.unwrap_or_else(|| own_domain().into_iter().collect());
    conf.search.retain(|domain| !domain.trim_matches('.').is_empty());
    if conf.servers.is_empty() {
        conf.servers = ResolvConf::default().servers;
    }
    conf
}

fn server(word: Option<&str>, servers: &mut Vec<SocketAddr>) -> bool {
    let Some(addr) = word.and_then(address) else { return false };
    if servers.len() == SERVERS_MAX {
        return false;
    }
    servers.push(addr);
    true
}

/// An address, of IPv6 perhaps with its zone, `fe80::1%eth0`; or as OpenBSD has it with a port, `[192.0.2.1]:5353`.
fn address(word: &str) -> Option<SocketAddr> {
    if let Some((ip, port)) = word.strip_prefix('[').and_then(|word| word.split_once("]:")) {
        return Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?));
    }
    if let Ok(ip) = word.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, PORT));
    }
    with_zone(word, PORT).map(SocketAddr::V6)
}

/// An address of IPv6 with its zone, the number or on Linux the name of an interface (RFC 4007 §11).
pub(super) fn with_zone(word: &str, port: u16) -> Option<SocketAddrV6> {
    let (ip, zone) = word.split_once('%')?;
    let ip = ip.parse::<Ipv6Addr>().ok()?;
    let zone = zone.parse().ok().or_else(|| interface(zone))?;
    Some(SocketAddrV6::new(ip, port, 0, zone))
}

/// The number of the interface with this name.
#[cfg(target_os = "linux")]
fn interface(name: &str) -> Option<u32> {
    let socket = std::net::UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).ok()?;
    rustix::net::netdevice::name_to_index(socket, name).ok()
}

#[cfg(not(target_os = "linux"))]
fn interface(_name: &str) -> Option<u32> {
    None
}

/// One word of an `options` line; says whether it is a known one.
fn option(word: &str, conf: &mut ResolvConf) -> bool {
    let (name, value) = word.split_once(':').unwrap_or((word, ""));
    let number = value.parse::<u64>().ok();
    match (name, number) {
        ("ndots", Some(number)) => conf.ndots = (number as usize).min(NDOTS_MAX),
        ("timeout", Some(number)) => {
            let seconds = number.clamp(1, TIMEOUT_MAX_SECONDS);
            conf.timeout = Some(Duration::from_secs(seconds));
        }
        ("attempts", Some(number)) => {
            conf.attempts = Some(number.clamp(1, ATTEMPTS_MAX.into()) as u32);
        }
        ("rotate", None) => conf.rotate = true,
        ("use-vc", None) => conf.tcp_only = true,
        // What they ask for is done anyway, or means something to glibc alone.
        (
            "edns0"
            | "trust-ad"
            | "single-request"
            | "single-request-reopen"
            | "no-tld-query"
            | "inet6"
            | "debug"
            | "no-check-names",
            None,
        ) => {}
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(addrs: &[&str]) -> Vec<SocketAddr> {
        addrs.iter().map(|addr| addr.parse().unwrap()).collect()
    }

    /// Goal: every line of resolv.conf(5) that matters to us is understood. Method: a file with all of them, comments, and nonsense.
    #[test]
    fn all_lines() {
        let text = "# comment\n; comment\nnameserver 192.0.2.1\nnameserver\t2001:db8::1 # why\n\
            nameserver fe80::1%7\nnameserver [192.0.2.2]:5353\nnameserver [192.0.2.2]:99999\nnameserver nonsense\nnameserver\ndomain first.example\n\
            search one.example two.example.\noptions ndots:3 timeout:7 attempts:4 rotate edns0\n\
            options use-vc unheard-of\nfamily inet4\n\u{fffd}\u{fffd}\n";
        let conf = parse(text, "host.own.example");
        let expected =
            servers(&["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%7]:53", "192.0.2.2:5353"]);
        assert_eq!(conf.servers, expected);
        assert_eq!(conf.search, ["one.example", "two.example."]);
        assert_eq!((conf.ndots, conf.attempts), (3, Some(4)));
        assert_eq!(conf.timeout, Some(Duration::from_secs(7)));
        assert!(conf.rotate && conf.tcp_only);
        let ignored = [
            "nameserver [192.0.2.2]:99999",
            "nameserver nonsense",
            "nameserver",
            "options use-vc unheard-of",
            "family inet4",
            "\u{fffd}\u{fffd}",
        ];
        assert_eq!(conf.ignored, ignored);
    }

    /// Goal: an empty file is this host's own server (FAULTS D8). Method: empty, blank, comments alone.
    #[test]
    fn nothing_in_it() {
        for text in ["", "\n\n", "# nothing\n", "search .\n", "\0\0\0"] {
            let conf = parse(text, "host");
            assert_eq!(conf.servers, servers(&["127.0.0.1:53"]), "{text:?}");
            assert!(conf.search.is_empty(), "{text:?}");
        }
        assert_eq!(parse("", "host.own.example").search, ["own.example"]);
    }

    /// Goal: numbers have limits. Method: values beyond them, and far beyond.
    #[test]
    fn limits() {
        let huge = "options ndots:99 timeout:9999999999 attempts:18446744073709551615\n";
        let conf = parse(huge, "");
        assert_eq!((conf.ndots, conf.attempts), (15, Some(5)));
        assert_eq!(conf.timeout, Some(Duration::from_secs(30)));
        let conf = parse("options timeout:0 attempts:0 ndots:-1\n", "");
        assert_eq!(conf.timeout, Some(Duration::from_secs(1)));
        assert_eq!((conf.ndots, conf.attempts), (1, Some(1)));
        let many = "nameserver 192.0.2.1\n".repeat(100) + "search" + &" a.example".repeat(100);
        let conf = parse(&many, "");
        assert_eq!((conf.servers.len(), conf.search.len()), (SERVERS_MAX, SEARCH_MAX));
    }
}
