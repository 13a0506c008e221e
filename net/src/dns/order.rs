//! The order of a name's addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Puts IPv6 before IPv4, and what cannot be reached from here behind both: of RFC 6724 §6 the rules 1 and 6, which are those that decide on
/// hosts with one address for each family. Otherwise the order of the answer stays.
pub(super) fn sort(addrs: &mut [IpAddr]) {
    if addrs.len() < 2 {
        return;
    }
    let probes = Probes::new();
    addrs.sort_by_cached_key(|ip| (!probes.has_route(*ip), ip.is_ipv4()));
}

/// Sockets that ask for a route. To connect one sends nothing.
struct Probes {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
}

impl Probes {
    fn new() -> Probes {
        let v4 = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok();
        let v6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).ok();
        Probes { v4, v6 }
    }

    fn has_route(&self, ip: IpAddr) -> bool {
        let probe = if ip.is_ipv4() { &self.v4 } else { &self.v6 };
        // The port does not matter, but it must not be 0.
        probe.as_ref().is_some_and(|socket| socket.connect(SocketAddr::new(ip, 9)).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: an address without a route does not come first. Method: this host's own, and IPv6 addresses of nobody.
    #[test]
    fn routes_first() {
        let mut addrs = ["100::1", "127.0.0.1", "100::2"].map(|ip| ip.parse().unwrap());
        let has_route = Probes::new().has_route("100::1".parse().unwrap());
        sort(&mut addrs);
        let expected: [IpAddr; 3] = if has_route {
            ["100::1", "100::2", "127.0.0.1"].map(|ip| ip.parse().unwrap())
        } else {
            ["127.0.0.1", "100::1", "100::2"].map(|ip| ip.parse().unwrap())
        };
        assert_eq!(addrs, expected);
    }
}
