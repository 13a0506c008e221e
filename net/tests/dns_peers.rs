//! Goal: real servers understand our questions and we their answers, as `dig` does (FAULTS D6, D7).
//! Method: dnsmasq and unbound with one list of records, asked by `dig` and by us.

#![cfg(feature = "dns")]
#![cfg(target_os = "linux")]

mod dns;

use std::io;
use std::net::IpAddr;

use smolkit_net::dns::Resolver;

use self::dns::peers::{Peer, dig};
use self::dns::{both_families, resolver, within};

/// What we get for a question, as `dig` writes it.
async fn ours(resolver: &Resolver, name: &str, kind: &str) -> Vec<String> {
    fn lines<T>(found: io::Result<Vec<T>>, show: impl Fn(&T) -> String) -> Vec<String> {
        match found {
            Ok(records) => records.iter().map(show).collect(),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
                Vec::new()
            }
        }
    }
    let mut found = match kind {
        "A" => lines(resolver.a(name).await, |ip| ip.to_string()),
        "AAAA" => lines(resolver.aaaa(name).await, |ip| ip.to_string()),
        "TXT" => lines(resolver.txt(name).await, |txt| format!("\"{txt}\"")),
        "MX" => lines(resolver.mx(name).await, |mx| format!("{} {}.", mx.preference, mx.exchange)),
        "SRV" => lines(resolver.srv(name).await, |srv| {
            format!("{} {} {} {}.", srv.priority, srv.weight, srv.port, srv.target)
        }),
        _ => unreachable!("{kind}"),
    };
    found.sort();
    found
}

fn the_same_answers_as_dig(peer: &Peer) {
    let resolver = resolver([peer.addr]).cache_size(0).build().unwrap();
    within(async {
        for (name, kind, count) in [
            ("one.example", "A", 1),
            ("ONE.Example", "A", 1),
            ("one.example", "AAAA", 0),
            ("one.example", "MX", 0),
            ("six.example", "AAAA", 1),
            ("both.example", "A", 1),
            ("both.example", "AAAA", 1),
            ("chain1.example", "A", 1),
            ("chain1.example", "AAAA", 1),
            ("chain1.example", "TXT", 0),
            ("missing.example", "A", 0),
            ("missing.example", "SRV", 0),
            ("txt.example", "TXT", 1),
            ("_http._tcp.example", "SRV", 3),
            ("mail.example", "MX", 2),
        ] {
            let found = ours(&resolver, name, kind).await;
            assert_eq!(found, dig(peer.addr, name, kind), "{name} {kind}");
            assert_eq!(found.len(), count, "{name} {kind}");
        }
        assert_eq!(resolver.metrics().sent_over_tcp, 0);
        // What does not fit into a datagram.
        for (name, kind, count) in [("many.example", "A", 100), ("long.example", "TXT", 20)] {
            let before = resolver.metrics().sent_over_tcp;
            let found = ours(&resolver, name, kind).await;
            assert_eq!(found, dig(peer.addr, name, kind), "{name} {kind}");
            assert_eq!(found.len(), count, "{name} {kind}");
            assert_eq!(resolver.metrics().sent_over_tcp, before + 1, "{name} {kind}");
        }
        let names = resolver.ptr([192, 0, 2, 1].into()).await.unwrap();
        assert_eq!(names, ["one.example"]);
        assert_eq!(dig(peer.addr, "1.2.0.192.in-addr.arpa", "PTR"), ["one.example."]);
        let error = resolver.ptr([192, 0, 2, 99].into()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
        assert_eq!(both_families(&resolver, "chain1.example").await.len(), 2);
        assert_eq!(resolver.metrics().failures, 0);
    });
}

#[test]
fn dnsmasq() {
    let peer = Peer::dnsmasq(None);
    the_same_answers_as_dig(&peer);
    // It answers for its own domain alone, and has nobody to ask about others: REFUSED.
    let resolver = resolver([peer.addr]).attempts(1).build().unwrap();
    let error = within(resolver.a("www.example.org")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Other, "{error}");
    assert!(error.to_string().contains("Query Refused"), "{error}");
}

#[test]
fn unbound() {
    let peer = Peer::unbound(None, String::new);
    the_same_answers_as_dig(&peer);
    // Whom it asks about other domains is not there: SERVFAIL. The next server is asked.
    let other = dns::Server::with_address([192, 0, 2, 77]);
    let alone = resolver([peer.addr]).attempts(1).build().unwrap();
    let error = within(alone.a("www.example.org")).unwrap_err();
    assert!(error.to_string().contains("Server Failure"), "{error}");
    let both = resolver([peer.addr, other.addr()]).build().unwrap();
    let found = within(both.lookup_ip("www.example.org")).unwrap();
    assert_eq!(found, [IpAddr::from([192, 0, 2, 77])]);
    // Negative answers have an SOA record and are kept.
    let keeping = resolver([peer.addr]).build().unwrap();
    within(async {
        for _ in 0..3 {
            keeping.a("missing.example").await.unwrap_err();
            keeping.aaaa("one.example").await.unwrap_err();
        }
    });
    assert_eq!((keeping.metrics().sent, keeping.metrics().cache_hits), (2, 4));
}
