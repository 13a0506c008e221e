//! Goal: a server that fails makes place for the next one, within the documented time, and the error says how each failed (FAULTS D7).
//! Method: servers that cut replies off, refuse EDNS, say SERVFAIL, say nothing, or are not there.

#![cfg(feature = "dns")]

mod dns;
mod refused;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use futures_lite::future;
use smolkit_net::dns::LookupError;
use smolkit_net::{TcpConnector, TcpListener};
use smolkit_runtime::{Timer, spawn};

use self::dns::{A, NS, Server, address, name, resolver, silent, within};
use self::refused::Refused;

const ONE: [u8; 4] = [192, 0, 2, 1];
const TWO: [u8; 4] = [192, 0, 2, 2];

fn attempts(error: &io::Error) -> Vec<(SocketAddr, io::ErrorKind)> {
    let inner = error.get_ref().unwrap().downcast_ref::<LookupError>().unwrap();
    inner.attempts().map(|(server, error)| (server, error.kind())).collect()
}

#[test]
fn a_reply_that_is_cut_off_is_asked_again_over_tcp() {
    let server = Server::start(|asked, _| {
        if !asked.is_tcp {
            return vec![asked.reply().own(A, 60, &ONE).truncated().bytes];
        }
        // More than any datagram holds.
        let reply = (0..200).fold(asked.reply(), |reply, host| reply.own(A, 60, &[10, 0, 0, host]));
        vec![reply.bytes]
    });
    let resolver = server.resolver().build().unwrap();
    assert_eq!(within(resolver.a("www.example.org")).unwrap().len(), 200);
    assert_eq!((server.count(), resolver.metrics().sent_over_tcp), (2, 1));

    let server = Server::start(|asked, _| vec![asked.reply().truncated().bytes]);
    let resolver = server.resolver().attempts(1).build().unwrap();
    let error = within(resolver.a("www.example.org")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("even over TCP"), "{error}");
}

#[test]
fn a_server_older_than_edns_is_asked_without() {
    for (code, is_short) in [(1, false), (4, false), (1, true), (4, true)] {
        let server = Server::start(move |asked, _| {
            if !asked.has_edns {
                return vec![address(asked, 60, ONE)];
            }
            let reply = asked.reply().code(code);
            // Not the number of our question: nobody's.
            let other = reply.clone().id(!asked.id).header_only();
            let reply = if is_short { reply.header_only() } else { reply };
            vec![other.bytes, reply.bytes]
        });
        let resolver = server.resolver().build().unwrap();
        assert_eq!(within(resolver.a("www.example.org")).unwrap(), [Ipv4Addr::from(ONE)]);
        assert_eq!((server.count(), resolver.metrics().failures), (2, 0));
    }
    // One that refuses everything so is no reason to wait.
    let server = Server::start(|asked, _| vec![asked.reply().code(4).header_only().bytes]);
    let resolver = server.resolver().attempts(1).build().unwrap();
    let error = within(resolver.a("www.example.org")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Other, "{error}");
    // One that drops them.
    let server =
        Server::start(
            |asked, _| {
                if asked.has_edns { Vec::new() } else { vec![address(asked, 60, ONE)] }
            },
        );
    let resolver = server.resolver().timeout(Duration::from_secs(1)).attempts(60).build().unwrap();
    assert_eq!(within(resolver.a("www.example.org")).unwrap(), [Ipv4Addr::from(ONE)]);
}

/// Goal: a look-up that is polled once and left brings nobody what was true once, holds up nobody, and makes nobody late. Method: such look-ups, for a name that changes,
/// at a server that is silent, and in a queue for the only permit.
#[test]
fn look_ups_that_are_left_alone() {
    let count = AtomicU8::new(0);
    let server = Server::start(move |asked, _| {
        vec![address(asked, 1, [10, 0, 0, count.fetch_add(1, Ordering::SeqCst)])]
    });
    let resolver = server.resolver().timeout(Duration::from_secs(3)).build().unwrap();
    within(async {
        let mut left = pin!(resolver.a("changes.example"));
        assert!(future::poll_once(&mut left).await.is_none());
        // Its answer comes, is no longer true, and it was left for longer than a server may take.
        Timer::after(Duration::from_millis(4_500)).await;
        let found = resolver.a("changes.example").await.unwrap();
        assert_ne!(found, [Ipv4Addr::new(10, 0, 0, 0)]);
        // To whom it belongs has it, and nobody else.
        assert_eq!(left.await.unwrap(), [Ipv4Addr::new(10, 0, 0, 0)]);
        assert_ne!(resolver.a("changes.example").await.unwrap(), [Ipv4Addr::new(10, 0, 0, 0)]);

        let (slow, _socket) = silent();
        let one = self::dns::resolver([slow]).in_flight_max(1).timeout(Duration::from_secs(1));
        let one = one.attempts(1).build().unwrap();
        let mut holds = pin!(one.a("one.example"));
        assert!(future::poll_once(&mut holds).await.is_none());
        let mut left = pin!(one.a("left.example"));
        assert!(future::poll_once(&mut left).await.is_none());
        let mut third = pin!(one.a("third.example"));
        assert!(future::poll_once(&mut third).await.is_none());
        assert_eq!(holds.await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        // The permit was offered to the one that is left.
        let error = third.await.unwrap_err();
        assert!(error.to_string().contains("no answer within 1s"), "{error}");
    });
}

/// The clock ends before these times do.
#[test]
fn times_without_end() {
    let server = Server::with_address(ONE);
    let resolver = server.resolver().min_ttl(Duration::MAX).max_ttl(Duration::MAX);
    let resolver = resolver.max_negative_ttl(Duration::MAX).build().unwrap();
    within(async {
        for _ in 0..2 {
            assert_eq!(resolver.a("one.example").await.unwrap(), [Ipv4Addr::from(ONE)]);
        }
    });
    assert_eq!(server.count(), 1);
}

#[test]
fn the_next_server_is_asked() {
    let bad = Server::start(|asked, _| vec![asked.reply().code(2).bytes]);
    let good = Server::with_address(TWO);
    let resolver = resolver([bad.addr(), good.addr()]).build().unwrap();
    within(async {
        assert_eq!(resolver.a("www.example.org").await.unwrap(), [Ipv4Addr::from(TWO)]);
    });
    assert_eq!((bad.count(), good.count()), (1, 1));
}

/// As glibc does it: an empty reply says nothing if its sender does not know, and asks nobody who does.
#[test]
fn a_lame_server_is_passed_over() {
    let lame = Server::start(|asked, _| {
        let reply = asked.reply().lame();
        let reply = match asked.plain_name().split('.').next().unwrap() {
            "referral" => reply.authority(&name("org"), NS, 60, &name("ns.example.org")),
            // These know.
            "soa" => reply.soa("example.org", 60, 60),
            "responsible" => reply.authoritative(),
            "missing" => reply.code(3),
            "there" => reply.own(A, 60, &ONE),
            _ => reply,
        };
        vec![reply.bytes]
    });
    let good = Server::with_address(TWO);
    let both = resolver([lame.addr(), good.addr()]).build().unwrap();
    let alone = lame.resolver().build().unwrap();
    within(async {
        for host in ["empty.example.org", "referral.example.org"] {
            assert_eq!(both.a(host).await.unwrap(), [Ipv4Addr::from(TWO)], "{host}");
            let error = alone.a(host).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::Other, "{host}");
            assert!(error.to_string().contains("neither knows"), "{error}");
        }
        for host in ["soa.example.org", "responsible.example.org", "missing.example.org"] {
            let error = both.a(host).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{host}");
        }
        assert_eq!(both.a("there.example.org").await.unwrap(), [Ipv4Addr::from(ONE)]);
    });
}

#[test]
fn a_dead_server_is_passed_over() {
    let (dead, _socket) = silent();
    let nobody = Refused::new();
    // Longer than the good one takes, in the end: a machine may have much else to do.
    for timeout in [1, 4, 16].map(Duration::from_secs) {
        let good = Server::with_address(TWO);
        let both = resolver([nobody.addr, dead, good.addr()]);
        let resolver = both.timeout(timeout).build().unwrap();
        let failures = within(async {
            assert_eq!(resolver.a("one.example").await.unwrap(), [Ipv4Addr::from(TWO)]);
            let first = resolver.metrics().failures;
            // It comes last from now on: neither of the two is asked.
            assert_eq!(resolver.a("two.example").await.unwrap(), [Ipv4Addr::from(TWO)]);
            (first, resolver.metrics().failures)
        });
        if failures == (2, 2) {
            assert_eq!(resolver.metrics().sent, 4);
            return;
        }
    }
    panic!("the good one is not asked first, or never answers in time");
}

#[test]
fn the_error_names_every_server() {
    let bad = Server::start(|asked, _| vec![asked.reply().code(2).bytes]);
    let ((dead, _socket), nobody) = (silent(), Refused::new());
    let nobody = nobody.addr;
    let mut timeout = Duration::from_secs(1);
    let mut ask = |servers: &[SocketAddr]| loop {
        let resolver = resolver(servers.iter().copied()).timeout(timeout).build().unwrap();
        let error = within(resolver.a("www.example.org")).unwrap_err();
        // The one that is there needs longer on a machine that has much else to do.
        if !attempts(&error).contains(&(bad.addr(), io::ErrorKind::TimedOut)) {
            return (error, timeout);
        }
        timeout *= 4;
    };
    let (error, waited) = ask(&[dead, nobody, bad.addr()]);
    let kinds = [
        (dead, io::ErrorKind::TimedOut),
        (nobody, io::ErrorKind::ConnectionRefused),
        (bad.addr(), io::ErrorKind::Other),
    ];
    let mut found = attempts(&error);
    assert_eq!(found.len(), 6);
    assert_eq!(found[..3], kinds);
    found.dedup();
    for (server, _) in kinds {
        assert!(error.to_string().contains(&server.to_string()), "{error}");
    }
    let late = format!("no answer within {waited:?}");
    for text in ["www.example.org", "(A)", &late, "refused", "Server Failure"] {
        assert!(error.to_string().contains(text), "{error}");
    }
    // One that said something counts for more than those that did not, wherever it stands.
    assert_eq!(error.kind(), io::ErrorKind::Other);
    assert_eq!(ask(&[bad.addr(), nobody]).0.kind(), io::ErrorKind::Other);
    assert_eq!(ask(&[bad.addr()]).0.kind(), io::ErrorKind::Other);
    assert_eq!(ask(&[dead]).0.kind(), io::ErrorKind::TimedOut);
    assert_eq!(ask(&[nobody]).0.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn the_time_is_bounded() {
    let (dead, _socket) = silent();
    within(async {
        // Servers, times attempts, times timeout; never earlier.
        let timeout = Duration::from_millis(40);
        let patient = resolver([dead, dead]).timeout(timeout).attempts(3).build().unwrap();
        let start = Instant::now();
        let error = patient.a("www.example.org").await.unwrap_err();
        assert_eq!(attempts(&error), vec![(dead, io::ErrorKind::TimedOut); 6]);
        assert!(start.elapsed() >= 6 * timeout);
        // The deadline of the whole look-up, over search domains and all.
        let hasty = resolver([dead]).deadline(Duration::from_millis(30)).attempts(5);
        let hasty = hasty.search(["one.example", "two.example"]).build().unwrap();
        let error = hasty.lookup_ip("www").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().contains("deadline"), "{error}");
    });
}

#[test]
fn one_family_is_enough() {
    // Nothing about IPv6: neither an answer nor an error.
    let server =
        Server::start(
            |asked, _| {
                if asked.kind == A { vec![address(asked, 60, ONE)] } else { Vec::new() }
            },
        );
    let resolver = server.resolver().build().unwrap();
    within(async {
        let found = resolver.lookup_ip("www.example.org").await.unwrap();
        assert_eq!(found, [std::net::IpAddr::from(ONE)]);
    });
}

/// Who connects does not wait for the other family as long as who wants to know all addresses (RFC 8305 §3).
#[test]
fn a_silent_family_does_not_hold_up_a_connection() {
    let silent_for_v6 = || {
        Server::start(|asked, _| {
            if asked.kind == A { vec![address(asked, 60, [127, 0, 0, 1])] } else { Vec::new() }
        })
    };
    within(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = format!("www.example.org:{}", listener.local_addr().unwrap().port());
        // The connection is there before the list, though it takes a step more. On a busy machine it may take several races.
        for _ in 0..10 {
            let servers = [silent_for_v6(), silent_for_v6()];
            let [list, own] = [0, 1].map(|index| servers[index].resolver().build().unwrap());
            let connector = TcpConnector::new().resolver(&own);
            let connected = async { connector.connect(&name).await.map(|_| true) };
            let listed = async { list.lookup_ip("www.example.org").await.map(|_| false) };
            if future::or(connected, listed).await.unwrap() {
                return;
            }
        }
        panic!("a connection waits for a family that does not come");
    });
}

#[test]
fn questions_under_way_are_limited() {
    let (sender, receiver) = mpsc::channel();
    let sender = Mutex::new(sender);
    // It does not answer; the test does, from the server's socket.
    let server = Server::start(move |asked, udp| {
        sender.lock().unwrap().send((asked.clone(), udp.try_clone().unwrap())).unwrap();
        Vec::new()
    });
    let resolver = server.resolver().in_flight_max(4).timeout(Duration::from_secs(30));
    let resolver = resolver.build().unwrap();
    within(async {
        let ask = |index| {
            let resolver = resolver.clone();
            spawn(async move { resolver.a(&format!("n{index}.example")).await })
        };
        let tasks: Vec<_> = (0..40).map(ask).collect();
        for _ in 0..10 {
            // As many as are let through; then nobody asks until one is answered.
            let mut open = Vec::new();
            while open.len() < 4 {
                match receiver.try_recv() {
                    Ok(asked) => open.push(asked),
                    Err(_) => drop(Timer::after(Duration::from_millis(1)).await),
                }
            }
            assert!(receiver.try_recv().is_err(), "more than four are under way");
            for (asked, udp) in open {
                udp.send_to(&address(&asked, 60, ONE), asked.peer).unwrap();
            }
        }
        for task in tasks {
            assert_eq!(task.await.unwrap(), [Ipv4Addr::from(ONE)]);
        }
    });
}

#[test]
fn a_dropped_lookup_leaves_nothing() {
    let (dead, _socket) = silent();
    let resolver = resolver([dead]).in_flight_max(1).build().unwrap();
    within(async {
        for index in 0..100 {
            let host = format!("n{index}.example");
            let lookup = async { resolver.a(&host).await.map(drop) };
            let gone = async {
                while resolver.metrics().sent < index + 1 {
                    Timer::after(Duration::from_millis(1)).await;
                }
                Ok(())
            };
            // With one question at a time: the one before must have gone, or this one never starts.
            futures_lite::future::or(lookup, gone).await.unwrap();
        }
    });
}

#[test]
fn connect_uses_it_when_told_to() {
    let server = Server::with_address([127, 0, 0, 1]);
    let resolver = server.resolver().build().unwrap();
    within(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connector = TcpConnector::new().resolver(&resolver);
        let named = format!("only.this.server.example:{}", addr.port());
        for stream in [
            connector.connect(named.as_str()).await.unwrap(),
            connector.connect(&named).await.unwrap(),
            connector.connect(("only.this.server.example", addr.port())).await.unwrap(),
            connector.connect(("only.this.server.example".to_owned(), addr.port())).await.unwrap(),
            connector.connect(addr).await.unwrap(),
            connector.connect(addr.to_string()).await.unwrap(),
        ] {
            assert_eq!(stream.peer_addr().unwrap(), addr);
        }
        // The others came from the cache.
        assert_eq!(server.asked().iter().filter(|asked| asked.kind == A).count(), 1);
        let error = connector.connect("no port").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let refused = Refused::new();
        let late = server.resolver().servers([refused.addr]).build().unwrap();
        let error = TcpConnector::new().resolver(&late).connect("x.example:1").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains("x.example"), "{error}");
    });
}
