//! Goal: of an answer only what was asked for is used, and no answer can hang, crash or mislead the resolver (FAULTS D3 to D6).
//! Method: replies by hand with extra records, aliases in circles and long rows, malformed names, 64 KiB of pointers, and random damage.

#![cfg(feature = "dns")]

mod dns;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV6};
use std::sync::Mutex;

use smolkit_net::dns::LookupError;

use self::dns::{A, AAAA, Asked, CNAME, MX, NS, PTR, SRV, Server, TXT, address, name, within};

const OWN: [u8; 4] = [192, 0, 2, 1];
const OTHER: [u8; 4] = [203, 0, 113, 66];

#[test]
fn extra_names_are_neither_used_nor_kept() {
    let server = Server::start(|asked, _| {
        if asked.plain_name() != "www.example.org" || asked.kind != A {
            return vec![address(asked, 60, OWN)];
        }
        let bank = name("bank.example");
        let reply = asked
            .reply()
            .answer(&bank, A, 60, &OTHER)
            .own(A, 60, &OWN)
            .own(AAAA, 60, &[1; 16])
            .answer(&bank, A, 60, &OTHER)
            .authority(&bank, A, 60, &OTHER)
            .authority(&name("org"), NS, 60, &bank)
            .additional(&bank, A, 60, &OTHER)
            .additional(&[0xc0, 12], A, 60, &OTHER);
        vec![reply.bytes]
    });
    let resolver = server.resolver().build().unwrap();
    within(async {
        let found = resolver.lookup_ip("www.example.org").await.unwrap();
        assert_eq!(found, [IpAddr::from(OWN)]);
        let before = server.count();
        assert_eq!(resolver.a("bank.example").await.unwrap(), [Ipv4Addr::from(OWN)]);
        assert_eq!(server.count(), before + 1, "an answer nobody asked for was kept");
    });
}

#[test]
fn aliases_are_followed() {
    let server = Server::start(|asked, _| {
        let reply = match (asked.plain_name().as_str(), asked.kind) {
            // The whole way in one answer, in no order.
            ("whole.example", A) => asked
                .reply()
                .answer(&name("c.example"), A, 60, &OWN)
                .answer(&name("b.example"), CNAME, 60, &name("c.example"))
                .answer(&name("whole.example"), CNAME, 60, &name("B.Example")),
            // A step for each answer.
            ("step.example", _) => asked.reply().own(CNAME, 60, &name("d.example")),
            ("d.example", _) => asked.reply().own(CNAME, 60, &name("e.example")),
            ("e.example", A) => asked.reply().own(A, 60, &OWN),
            ("nowhere.example", _) => asked.reply().own(CNAME, 60, &name("none.example")).code(3),
            _ => asked.reply(),
        };
        vec![reply.bytes]
    });
    let resolver = server.resolver().build().unwrap();
    within(async {
        for host in ["whole.example", "step.example"] {
            assert_eq!(resolver.lookup_ip(host).await.unwrap(), [IpAddr::from(OWN)], "{host}");
        }
        let before = server.count();
        resolver.a("step.example").await.unwrap();
        assert_eq!(server.count(), before, "aliases are kept too");
        let error = resolver.a("nowhere.example").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    });
}

#[test]
fn circles_and_long_rows_of_aliases_end() {
    let number = |asked: &Asked| asked.plain_name()[1..].split('.').next().unwrap().parse::<u32>();
    let server = Server::start(move |asked, _| {
        let row = |from: u32, to: u32| {
            (from..to).fold(asked.reply(), |reply, index| {
                let (own, next) = (format!("r{index}.example"), format!("r{}.example", index + 1));
                reply.answer(&name(&own), CNAME, 60, &name(&next))
            })
        };
        let reply = match asked.plain_name().as_str() {
            "self.example" => asked.reply().own(CNAME, 60, &name("self.example")),
            "pair.example" => asked.reply().own(CNAME, 60, &name("other.example")).answer(
                &name("other.example"),
                CNAME,
                60,
                &name("pair.example"),
            ),
            "slow1.example" => asked.reply().own(CNAME, 60, &name("slow2.example")),
            "slow2.example" => asked.reply().own(CNAME, 60, &name("slow1.example")),
            "r0.example" => row(0, 100),
            // A hundred, one for each answer.
            _ => {
                let index = number(asked).unwrap();
                let next = name(&format!("q{}.example", index + 1));
                if index < 100 {
                    asked.reply().own(CNAME, 60, &next)
                } else {
                    asked.reply().own(A, 60, &OWN)
                }
            }
        };
        vec![reply.bytes]
    });
    let resolver = server.resolver().build().unwrap();
    within(async {
        for host in ["self", "pair", "slow1", "r0", "q0"] {
            let before = server.count();
            let error = resolver.a(&format!("{host}.example")).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::Other, "{host}: {error}");
            assert!(error.to_string().contains("alias"), "{host}: {error}");
            let questions = server.count() - before;
            assert!(questions <= 17, "{host}: {questions} questions");
        }
        // As many as are allowed.
        assert_eq!(resolver.a("q84.example").await.unwrap(), [Ipv4Addr::from(OWN)]);
    });
}

#[test]
fn malformed_names_are_errors() {
    let long = [&[63; 64][..], &[63; 64], &[63; 64], &[63; 64], &[0]].concat();
    let malformed: [&[u8]; 8] = [
        // To itself, forward, into the header, beyond the end.
        b"\xc0\x21",
        b"\xc0\x30",
        b"\xc0\x03",
        b"\xff\xff",
        // A label of 64 bytes, one of an unknown kind, one that is cut off, a name of 257 bytes.
        &[&[64; 65][..], &[0]].concat(),
        b"\x80",
        b"\x20cut",
        &long,
    ];
    for (index, bad) in malformed.iter().enumerate() {
        let bad = bad.to_vec();
        let server =
            Server::start(move |asked, _| vec![asked.reply().answer(&bad, A, 60, &OWN).bytes]);
        let resolver = server.resolver().attempts(1).build().unwrap();
        let error = within(resolver.a("www.example.org")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{index}: {error}");
        // Once over UDP, once over TCP.
        assert_eq!(server.count(), 2, "{index}");
    }
}

/// What takes a decoder the longest.
#[test]
fn sixty_four_kilobytes_of_malice() {
    let messages: [fn(&Asked) -> Vec<u8>; 5] = [
        // 8,000 pointers in a row, and thousands of names at its end.
        |asked| {
            let mut reply = asked.reply();
            let first = reply.bytes.len() as u16 + 11;
            let mut row = vec![0; 2];
            for index in 0..8_000_u16 {
                let before = if index == 0 { first } else { first + 2 * index };
                row.extend((0xc000 | before).to_be_bytes());
            }
            let end = 0xc000 | (first + 2 * 8_000);
            reply = reply.answer(&[0], 10, 60, &row);
            while reply.bytes.len() < 65_500 {
                reply = reply.answer(&end.to_be_bytes(), A, 60, &OWN);
            }
            reply.bytes
        },
        // As many records as there is room for.
        |asked| {
            let mut reply = asked.reply();
            while reply.bytes.len() < 65_500 {
                reply = reply.own(A, 60, &OTHER);
            }
            reply.bytes
        },
        // A row of aliases as long as there is room for, backwards.
        |asked| {
            let mut reply = asked.reply();
            for index in (0..2_000).rev() {
                let (own, next) = (format!("r{index}"), format!("r{}", index + 1));
                reply = reply.answer(&name(&own), CNAME, 60, &name(&next));
            }
            reply.own(CNAME, 60, &name("r0")).bytes
        },
        // Counts that promise 65,535 of everything.
        |asked| {
            let mut bytes = asked.reply().own(A, 60, &OWN).bytes;
            bytes[4..12].fill(0xff);
            bytes.resize(65_000, 0);
            bytes
        },
        // A name of 127 labels and as many pointers, and as many records of that name as there is room for.
        |asked| {
            let mut reply = asked.reply();
            let first = reply.bytes.len() as u16 + 11;
            let mut row = b"\x01a\x00\x00".to_vec();
            for index in 0..126 {
                row.extend([1, b'a']);
                row.extend((0xc000 | (first + 4 * index)).to_be_bytes());
            }
            let end = 0xc000 | (first + 4 * 126);
            reply = reply.answer(&[0], 10, 60, &row);
            while reply.bytes.len() < 65_500 {
                reply = reply.answer(&end.to_be_bytes(), A, 60, &OWN);
            }
            reply.bytes
        },
    ];
    for (index, message) in messages.into_iter().enumerate() {
        let server = Server::start(move |asked, _| {
            if asked.is_tcp { vec![message(asked)] } else { vec![asked.reply().truncated().bytes] }
        });
        let resolver = server.resolver().attempts(1).build().unwrap();
        let result = within(resolver.a("www.example.org"));
        match index {
            1 => assert_eq!(result.unwrap().len(), 256),
            2 => assert_eq!(result.unwrap_err().kind(), io::ErrorKind::Other),
            _ => assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidData),
        }
    }
}

/// Damage at random, the same in each run.
#[test]
fn damaged_replies_do_no_harm() {
    let count = if std::env::var_os("SMOLKIT_FULL").is_some() { 5_000 } else { 500 };
    let state = Mutex::new(0x2545_f491_4f6c_dd1d_u64);
    let random = move |below: usize| {
        let mut state = state.lock().unwrap();
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 33) as usize % below
    };
    let server = Server::start(move |asked, _| {
        let mut bytes = asked
            .reply()
            .own(CNAME, 60, &name("a.example"))
            .answer(&name("a.example"), asked.kind, 60, &OWN)
            .soa("example", 60, 60)
            .bytes;
        for _ in 0..1 + random(4) {
            let at = 2 + random(bytes.len() - 2);
            bytes[at] = random(256) as u8;
        }
        bytes.truncate(bytes.len() - random(2) * random(bytes.len() - 2));
        vec![bytes]
    });
    let resolver = server
        .resolver()
        .attempts(1)
        .timeout(std::time::Duration::from_millis(5))
        .cache_size(0)
        .build()
        .unwrap();
    within(async {
        for index in 0..count {
            let host = format!("n{index}.example");
            // Whatever comes of it: an answer, or an error that says why.
            let result = match index % 3 {
                0 => resolver.a(&host).await.map(drop),
                1 => resolver.srv(&host).await.map(drop),
                _ => resolver.txt(&host).await.map(drop),
            };
            if let Err(error) = result {
                assert!(error.to_string().contains(&host), "{error}");
            }
        }
    });
}

#[test]
fn every_type_of_record() {
    let server = Server::start(|asked, _| {
        let srv = |priority: u8, weight: u8, target| {
            [&[0, priority, 0, weight, 0x1f, 0x90][..], &name(target)].concat()
        };
        let mx = |preference: u8, host| [&[0, preference][..], &name(host)].concat();
        let reply = asked.reply();
        let reply = match asked.kind {
            AAAA => reply.own(AAAA, 60, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
            SRV => reply
                .own(SRV, 60, &srv(2, 9, "late.example"))
                .own(SRV, 60, &srv(1, 1, "light.example"))
                .own(SRV, 60, &srv(1, 5, "heavy.example"))
                .own(SRV, 60, &srv(3, 0, "")),
            MX => reply.own(MX, 60, &mx(20, "b.example")).own(MX, 60, &mx(10, "a.example")),
            TXT => reply.own(TXT, 60, b"\x05v=one\x04 two").own(TXT, 60, b"\x02\xff\x00\x00"),
            PTR => reply.own(PTR, 60, &name("Host.Example")),
            _ => reply.own(A, 60, &OWN),
        };
        vec![reply.bytes]
    });
    let resolver = server.resolver().build().unwrap();
    within(async {
        assert_eq!(resolver.a("a.example").await.unwrap(), [Ipv4Addr::from(OWN)]);
        assert_eq!(resolver.aaaa("a.example").await.unwrap()[0].to_string(), "2001:db8::1");
        let srv = resolver.srv("_http._tcp.example").await.unwrap();
        let order: Vec<_> = srv.iter().map(|srv| (srv.priority, srv.target.as_str())).collect();
        let expected = [(1, "heavy.example"), (1, "light.example"), (2, "late.example"), (3, ".")];
        assert_eq!(order, expected);
        assert_eq!((srv[0].weight, srv[0].port), (5, 8_080));
        let mx = resolver.mx("example").await.unwrap();
        let order: Vec<_> = mx.iter().map(|mx| (mx.preference, mx.exchange.as_str())).collect();
        assert_eq!(order, [(10, "a.example"), (20, "b.example")]);
        let txt = resolver.txt("example").await.unwrap();
        assert_eq!(txt[0].to_string(), "v=one two");
        assert_eq!(txt[1].strings().collect::<Vec<_>>(), [&[0xff, 0][..], &[]]);
        for (ip, reverse) in [
            ("192.0.2.7", "7.2.0.192.in-addr.arpa"),
            (
                "2001:db8::7",
                "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
            ),
        ] {
            assert_eq!(resolver.ptr(ip.parse().unwrap()).await.unwrap(), ["Host.Example"]);
            assert_eq!(server.asked().last().unwrap().plain_name(), reverse);
        }
        let both = resolver.lookup_ip("a.example").await.unwrap();
        assert_eq!(both.len(), 2);
    });
}

#[test]
fn what_no_server_is_asked_for() {
    let server = Server::with_address(OTHER);
    let resolver = server.resolver().build().unwrap();
    within(async {
        let loopback = resolver.lookup_ip("some.localhost").await.unwrap();
        assert!(loopback.iter().all(IpAddr::is_loopback) && loopback.len() == 2);
        assert_eq!(resolver.lookup_ip("::1").await.unwrap(), ["::1".parse::<IpAddr>().unwrap()]);
        assert_eq!(resolver.a("192.0.2.9").await.unwrap(), [Ipv4Addr::new(192, 0, 2, 9)]);
        let scoped = SocketAddrV6::new("fe80::1".parse().unwrap(), 80, 0, 1);
        assert_eq!(resolver.socket_addrs("fe80::1%1", 80).await.unwrap(), [scoped.into()]);
        if cfg!(target_os = "linux") {
            assert_eq!(resolver.socket_addrs("fe80::1%lo", 80).await.unwrap(), [scoped.into()]);
        }
        let error = resolver.socket_addrs("fe80::1%nothing", 80).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(resolver.ptr([127, 1, 2, 3].into()).await.unwrap(), ["localhost"]);
        for name in ["x.invalid", "x.onion"] {
            let error = resolver.lookup_ip(name).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            let inner = error.get_ref().unwrap().downcast_ref::<LookupError>().unwrap();
            assert_eq!((inner.name(), inner.record_type()), (name, "A and AAAA"));
        }
        assert_eq!(resolver.aaaa("192.0.2.9").await.unwrap_err().kind(), io::ErrorKind::NotFound);
        for name in ["", "a b", "a..b", &"x".repeat(64)] {
            let error = resolver.a(name).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        }
    });
    assert_eq!(server.count(), 0);
}
