//! From what users write as a name to the names that servers are asked for.

use std::io;
use std::net::IpAddr;

use hickory_resolver::proto::rr::Name;

/// How names are completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Completion {
    pub(super) search: Vec<Name>,
    pub(super) ndots: usize,
}

impl Completion {
    /// Domains that are no names are left out.
    pub(super) fn new(search: &[String], ndots: usize) -> Completion {
        let mut search: Vec<Name> = search.iter().filter_map(|domain| parse(domain).ok()).collect();
        search.iter_mut().for_each(|domain| domain.set_fqdn(true));
        Completion { search, ndots }
    }

    /// The names to ask for, one after another until one exists: as it stands first if it has `ndots` dots, and last otherwise
    /// (resolv.conf(5)). A name with a dot at its end is complete.
    pub(super) fn candidates(&self, name: &Name) -> Vec<Name> {
        let mut whole = name.clone();
        whole.set_fqdn(true);
        if name.is_fqdn() {
            return vec![whole];
        }
        let dots = usize::from(name.num_labels()).saturating_sub(1);
        // One that gets too long does not exist.
        let completed =
            self.search.iter().filter_map(|domain| name.clone().append_domain(domain).ok());
        let mut candidates: Vec<Name> = Vec::with_capacity(self.search.len() + 1);
        if dots >= self.ndots {
            candidates.push(whole);
            candidates.extend(completed);
        } else {
            candidates.extend(completed);
            candidates.push(whole);
        }
        candidates
    }
}

/// Reads a name; labels that are not ASCII become punycode (RFC 5891).
pub(super) fn parse(name: &str) -> io::Result<Name> {
    let invalid = |why: &dyn std::fmt::Display| {
        let message = format!("cannot look up {name:?}: it is no host name: {why}");
        io::Error::new(io::ErrorKind::InvalidInput, message)
    };
    if name.trim_end_matches('.').is_empty()
        || name.contains(|c: char| c.is_whitespace() || c.is_control())
    {
        return Err(invalid(&"it is empty or has blanks"));
    }
    Name::from_str_relaxed(name).map_err(|error| invalid(&error))
}

/// The name that stands for `ip` in `in-addr.arpa` or `ip6.arpa`.
pub(super) fn reverse(ip: IpAddr) -> Name {
    let mut name = Name::from(ip);
    name.set_fqdn(true);
    name
}

/// Names that no server is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    /// This host (RFC 6761 §6.3).
    Localhost,
    /// Nobody's: `invalid` (RFC 6761 §6.4) and `onion` (RFC 7686 §2).
    Nobody,
}

/// What is special about `name`.
pub(super) fn special(name: &Name) -> Option<Special> {
    let last = name.iter().next_back()?;
    if last.eq_ignore_ascii_case(b"localhost") {
        return Some(Special::Localhost);
    }
    let is_nobodys = last.eq_ignore_ascii_case(b"invalid") || last.eq_ignore_ascii_case(b"onion");
    is_nobodys.then_some(Special::Nobody)
}

/// A name as users write it: without the dot at its end.
pub(super) fn show(name: &Name) -> String {
    let mut text = name.to_ascii();
    if text.len() > 1 && text.ends_with('.') {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(name: &str, ndots: usize) -> Vec<String> {
        let search = ["one.example", "two.example."].map(str::to_owned);
        let completion = Completion::new(&search, ndots);
        completion.candidates(&parse(name).unwrap()).iter().map(Name::to_ascii).collect()
    }

    /// Goal: the order of resolv.conf(5). Method: names with fewer, as many and more dots than `ndots`.
    #[test]
    fn search_and_ndots() {
        assert_eq!(candidates("www", 1), ["www.one.example.", "www.two.example.", "www."]);
        assert_eq!(candidates("a.b", 1), ["a.b.", "a.b.one.example.", "a.b.two.example."]);
        assert_eq!(candidates("a.b", 2), ["a.b.one.example.", "a.b.two.example.", "a.b."]);
        assert_eq!(candidates("www.", 5), ["www."]);
        assert_eq!(candidates("www", 0)[0], "www.");
        let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(55)].join(".");
        assert_eq!(candidates(&long, 1), [long + "."]);
    }

    /// Goal: what is no name is refused with a reason. Method: empty, too long, blanks, a label of 64 bytes.
    #[test]
    fn no_names() {
        let long = "a.".repeat(128);
        let label = "a".repeat(64);
        for name in ["", ".", "..", "a..b", "a b", "a\0b", &long, &label] {
            let error = parse(name).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name:?}");
            assert!(error.to_string().contains("no host name"), "{error}");
        }
        assert_eq!(
            show(&parse("_http._tcp.bücher.example").unwrap()),
            "_http._tcp.xn--bcher-kva.example"
        );
    }

    /// Goal: special names stay here. Method: each, in odd case and below others.
    #[test]
    fn special_names() {
        let special = |name| special(&parse(name).unwrap());
        assert_eq!(special("LocalHost"), Some(Special::Localhost));
        assert_eq!(special("a.localhost."), Some(Special::Localhost));
        assert_eq!(special("x.invalid"), Some(Special::Nobody));
        assert_eq!(special("localhost.example"), None);
    }
}
