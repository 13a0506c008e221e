//! `hosts(5)`: names that no server is asked for.

use std::collections::HashMap;
use std::net::IpAddr;

/// What a hosts file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hosts {
    /// By name in lower case, without the dot at its end.
    addrs: HashMap<String, Vec<IpAddr>>,
    names: HashMap<IpAddr, Vec<String>>,
}

impl Hosts {
    /// Reads the file's text. A line that does not start with an address means nothing.
    pub(super) fn parse(text: &str) -> Hosts {
        let mut hosts = Hosts::default();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            // A zone (`fe80::1%eth0`) cannot be part of an address here.
            let Some(Ok(ip)) = words.next().map(str::parse::<IpAddr>) else { continue };
            for name in words {
                let addrs = hosts.addrs.entry(key(name)).or_default();
                if !addrs.contains(&ip) {
                    addrs.push(ip);
                }
                let names = hosts.names.entry(ip).or_default();
                if !names.iter().any(|other| other == name) {
                    names.push(name.to_owned());
                }
            }
        }
        hosts
    }

    /// The addresses of `name`, in the order of the file.
    pub(super) fn addrs(&self, name: &str) -> &[IpAddr] {
        self.addrs.get(&key(name)).map_or(&[], Vec::as_slice)
    }

    /// The names of `ip`, in the order of the file.
    pub(super) fn names(&self, ip: IpAddr) -> &[String] {
        self.names.get(&ip).map_or(&[], Vec::as_slice)
    }
}

fn key(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the lines of hosts(5), whatever else stands between them (FAULTS D8). Method: a file with all of it.
    #[test]
    fn all_lines() {
        let text = "127.0.0.1 localhost\n::1\tlocalhost ip6-localhost # both\n#192.0.2.9 comment\n\
            192.0.2.1 One.Example one\n192.0.2.2 one.example one.example\nnonsense one.example\n\
            192.0.2.3\nfe80::1%eth0 zone\n\n\0\n";
        let hosts = Hosts::parse(text);
        let addrs =
            |name| -> Vec<String> { hosts.addrs(name).iter().map(IpAddr::to_string).collect() };
        assert_eq!(addrs("localhost"), ["127.0.0.1", "::1"]);
        assert_eq!(addrs("ONE.example."), ["192.0.2.1", "192.0.2.2"]);
        assert_eq!(addrs("one"), ["192.0.2.1"]);
        assert!(addrs("zone").is_empty() && addrs("comment").is_empty() && addrs("").is_empty());
        assert_eq!(hosts.names([192, 0, 2, 1].into()), ["One.Example", "one"]);
        assert!(hosts.names([192, 0, 2, 3].into()).is_empty());
        assert_eq!(Hosts::parse(""), Hosts::default());
    }
}
