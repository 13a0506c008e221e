//! Goal: answers are kept for as long as they say, and the system's files are followed when they change (FAULTS D8).
//! Method: odd times to live, and files of the test's own that change, vanish, are empty, or are none.

#![cfg(feature = "dns")]

mod dns;
mod refused;

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use smolkit_net::dns::{Resolver, ResolverBuilder};
use smolkit_runtime::Timer;

use self::dns::directory::Directory;
use self::dns::{A, CNAME, Server, address, name, within};
use self::refused::Refused;

const ONE: [u8; 4] = [192, 0, 2, 1];
const TWO: [u8; 4] = [192, 0, 2, 2];

#[test]
fn answers_are_kept_as_long_as_they_say() {
    let server = Server::start(|asked, _| {
        let ttl = match asked.plain_name().split('.').next().unwrap() {
            "zero" => 0,
            "huge" => 1 << 31,
            "most" => u32::MAX,
            "long" => (1 << 31) - 1,
            "alias" => {
                // The shorter time counts.
                let target = name("target.example");
                let reply = asked.reply().own(CNAME, 0, &target);
                return vec![reply.answer(&target, A, 3_600, &ONE).bytes];
            }
            _ => 60,
        };
        vec![address(asked, ttl, ONE)]
    });
    let resolver = server.resolver().build().unwrap();
    within(async {
        for (host, is_kept) in [
            ("zero", false),
            ("huge", false),
            ("most", false),
            ("long", true),
            ("alias", false),
            ("minute", true),
        ] {
            let before = server.count();
            for _ in 0..3 {
                let found = resolver.a(&format!("{host}.example")).await.unwrap();
                assert_eq!(found, [Ipv4Addr::from(ONE)]);
            }
            let expected = if is_kept { 1 } else { 3 };
            assert_eq!(server.count() - before, expected, "{host}");
        }
        // A floor under all of them.
        let before = server.count();
        let resolver = server.resolver().min_ttl(Duration::from_secs(60)).build().unwrap();
        for _ in 0..3 {
            resolver.a("zero.example").await.unwrap();
        }
        assert_eq!(server.count() - before, 1);
        // What is forgotten is asked for again.
        resolver.clear_cache();
        resolver.a("zero.example").await.unwrap();
        assert_eq!(server.count() - before, 2);
    });
}

#[test]
fn what_is_not_there_is_kept_too() {
    let server = Server::start(|asked, _| {
        let name = asked.plain_name();
        let reply = asked.reply();
        let reply = match name.split('.').next().unwrap() {
            "none" => reply.code(3).soa("example", 60, 3_600),
            "empty" => reply.soa("example", 3_600, 60),
            "zero" => reply.code(3).soa("example", 60, 0),
            "silent" => reply.code(3),
            "huge" => reply.code(3).soa("example", 1 << 31, u32::MAX),
            // Somebody else's zone has no say.
            _ => reply.code(3).soa("bank.test", 60, 60),
        };
        vec![reply.bytes]
    });
    let resolver = server.resolver().build().unwrap();
    within(async {
        for (host, is_kept) in [
            ("none", true),
            ("empty", true),
            ("zero", false),
            ("silent", false),
            ("huge", false),
            ("foreign", false),
        ] {
            let before = server.count();
            for _ in 0..3 {
                let error = resolver.a(&format!("{host}.example")).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::NotFound);
            }
            assert_eq!(server.count() - before, if is_kept { 1 } else { 3 }, "{host}");
        }
        let before = server.count();
        let resolver = server.resolver().max_negative_ttl(Duration::ZERO).build().unwrap();
        for _ in 0..3 {
            resolver.a("none.example").await.unwrap_err();
        }
        assert_eq!(server.count() - before, 3);
    });
}

#[test]
fn answers_are_forgotten_in_time() {
    let server = Server::start(|asked, _| {
        let ttl = if asked.plain_name().starts_with("short") { 1 } else { 3_600 };
        vec![address(asked, ttl, ONE)]
    });
    let capped = server.resolver().max_ttl(Duration::from_secs(1)).build().unwrap();
    let resolver = server.resolver().build().unwrap();
    within(async {
        for (resolver, host) in [(&resolver, "short.example"), (&capped, "long.example")] {
            let before = server.count();
            let start = Instant::now();
            while server.count() < before + 2 {
                resolver.a(host).await.unwrap();
                Timer::after(Duration::from_millis(20)).await;
            }
            assert!(start.elapsed() >= Duration::from_secs(1), "{host}: forgotten too early");
        }
    });
}

#[test]
fn the_cache_is_bounded() {
    let server = Server::with_address(ONE);
    let resolver = server.resolver().cache_size(16).build().unwrap();
    within(async {
        for round in 0..2 {
            for index in 0..3_000 {
                resolver.a(&format!("n{index}.example")).await.unwrap();
            }
            // It may overrun for a moment, by what waits to be tidied up.
            let hits = resolver.metrics().cache_hits;
            assert!(hits < 600, "round {round}: {hits} answers from a cache of 16");
        }
    });
}

fn nameserver(addr: SocketAddr) -> String {
    format!("nameserver [{}]:{}\n", addr.ip(), addr.port())
}

/// One that looks at its files each time.
fn from_files(resolv_conf: &str, hosts: &str) -> ResolverBuilder {
    Resolver::builder()
        .resolv_conf(resolv_conf)
        .hosts_file(hosts)
        .reload_interval(Duration::ZERO)
        .timeout(Duration::from_secs(20))
        .deadline(Duration::from_secs(60))
}

#[test]
fn changed_files_are_read_again() {
    let directory = Directory::new("change");
    let (one, two) = (Server::with_address(ONE), Server::with_address(TWO));
    let conf = directory.write("resolv.conf", nameserver(one.addr()));
    let hosts = directory.write("hosts", "");
    let resolver = from_files(&conf, &hosts).build().unwrap();
    within(async {
        let a = async |name| resolver.a(name).await.unwrap();
        assert_eq!(a("www.example.org").await, [Ipv4Addr::from(ONE)]);
        assert_eq!(a("www.example.org").await, [Ipv4Addr::from(ONE)]);
        assert_eq!((one.count(), resolver.metrics().reloads), (1, 0));
        // Other servers, other answers: nothing of the old ones is kept.
        directory.write("resolv.conf", nameserver(two.addr()));
        assert_eq!(a("www.example.org").await, [Ipv4Addr::from(TWO)]);
        directory.replace("resolv.conf", &nameserver(one.addr()));
        assert_eq!(a("www.example.org").await, [Ipv4Addr::from(ONE)]);
        assert_eq!((one.count(), two.count(), resolver.metrics().reloads), (2, 1, 2));
        // The same text again is no change.
        directory.replace("resolv.conf", &nameserver(one.addr()));
        assert_eq!(a("www.example.org").await, [Ipv4Addr::from(ONE)]);
        assert_eq!((one.count(), resolver.metrics().reloads), (2, 2));

        directory.replace("hosts", "192.0.2.7 www.example.org\n::1 www.example.org\n");
        assert_eq!(a("WWW.example.org.").await, [Ipv4Addr::new(192, 0, 2, 7)]);
        assert_eq!(resolver.lookup_ip("www.example.org").await.unwrap().len(), 2);
        assert_eq!(resolver.ptr([192, 0, 2, 7].into()).await.unwrap(), ["www.example.org"]);
        fs::remove_file(&hosts).unwrap();
        assert_eq!(a("www.example.org").await, [Ipv4Addr::from(ONE)]);
        assert_eq!(one.count(), 2, "the servers are the same, and so are their answers");
    });
}

#[test]
fn files_that_are_none() {
    let directory = Directory::new("none");
    let server = Server::with_address(ONE);
    let missing = directory.0.join("missing").to_str().unwrap().to_owned();
    let folder = directory.0.to_str().unwrap().to_owned();
    let empty = directory.write("empty", "");
    let nonsense = directory.write("nonsense", [0xff, 0xfe, 0, b'\n', 0x80]);
    let good = directory.write("good", nameserver(server.addr()));
    let huge = directory.write("huge", vec![b'\n'; 65 << 10]);
    let pipe = directory.0.join("pipe").to_str().unwrap().to_owned();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    within(async {
        // What cannot be read is an error that names it.
        for (conf, hosts, bad) in
            [(&folder, &empty, &folder), (&huge, &empty, &huge), (&good, &folder, &folder)]
        {
            let resolver = from_files(conf, hosts).build().unwrap();
            let error = resolver.a("www.example.org").await.unwrap_err();
            assert!(error.to_string().contains(bad), "{error}");
        }
        // Nothing in it: a server on this host, port 53, where nobody or somebody may be.
        for conf in [&missing, &empty, &nonsense, &pipe, &"/dev/null".to_owned()] {
            let resolver = from_files(conf, &missing).timeout(Duration::from_secs(1));
            let resolver = resolver.build().unwrap();
            let result = resolver.a("www.example.org").await;
            let error = match result {
                Ok(_) => continue,
                Err(error) => error.to_string(),
            };
            assert!(error.contains("127.0.0.1:53") || error.contains("no such"), "{error}");
        }
        // One that worked goes on to work when its file can no longer be read.
        let resolver = from_files(&good, &empty).build().unwrap();
        resolver.a("one.example").await.unwrap();
        fs::remove_file(&good).unwrap();
        fs::create_dir(&good).unwrap();
        assert_eq!(resolver.a("two.example").await.unwrap(), [Ipv4Addr::from(ONE)]);
    });
}

#[test]
fn search_and_ndots() {
    let directory = Directory::new("search");
    let server = Server::start(|asked, _| match asked.plain_name().as_str() {
        "www.two.example" | "a.b" => vec![address(asked, 60, ONE)],
        "broken.one.example" => vec![asked.reply().code(2).bytes],
        "broken.two.example" => vec![address(asked, 60, TWO)],
        _ => vec![asked.reply().code(3).bytes],
    });
    let text = nameserver(server.addr()) + "search one.example two.example\noptions ndots:2\n";
    let conf = directory.write("resolv.conf", text);
    let hosts = directory.write("hosts", "");
    let resolver = from_files(&conf, &hosts).build().unwrap();
    let asked = |from: usize| -> Vec<String> {
        server.asked()[from..].iter().map(|asked| asked.plain_name()).collect()
    };
    within(async {
        assert_eq!(resolver.a("www").await.unwrap(), [Ipv4Addr::from(ONE)]);
        assert_eq!(asked(0), ["www.one.example", "www.two.example"]);
        let before = server.count();
        assert_eq!(resolver.a("a.b").await.unwrap(), [Ipv4Addr::from(ONE)]);
        assert_eq!(asked(before), ["a.b.one.example", "a.b.two.example", "a.b"]);
        let before = server.count();
        assert_eq!(resolver.a("x.y.z").await.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(asked(before), ["x.y.z", "x.y.z.one.example", "x.y.z.two.example"]);
        let before = server.count();
        assert_eq!(resolver.a("www.").await.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(asked(before), ["www"]);
        // A domain whose servers are broken does not hide the next one, nor does a server that is not there beside one that says so.
        assert_eq!(resolver.a("broken").await.unwrap(), [Ipv4Addr::from(TWO)]);
        let nobody = Refused::new();
        let both = nameserver(server.addr()) + &nameserver(nobody.addr);
        directory.replace("resolv.conf", &(both + "search one.example two.example\n"));
        assert_eq!(resolver.a("broken").await.unwrap(), [Ipv4Addr::from(TWO)]);
    });
}

#[test]
fn the_systems_own_files() {
    within(async {
        let found = Resolver::system().lookup_ip("localhost").await.unwrap();
        assert!(found.iter().all(IpAddr::is_loopback), "{found:?}");
        assert!(!found.is_empty());
    });
}

#[test]
fn a_builder_that_makes_no_sense() {
    let error = Resolver::builder().servers([]).build().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    let error = Resolver::builder().search(["a..b"]).build().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}
