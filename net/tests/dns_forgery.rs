//! Goal: nobody slips in an answer who does not see the question (FAULTS D1, D2).
//! Method: a server that forges every part of a reply before it sends the real one, and statistics over what 2,000 questions look like.

#![cfg(feature = "dns")]

mod dns;

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use smolkit_runtime::spawn;

use self::dns::{A, Asked, MX, PTR, Reply, SRV, Server, address, within};

const REAL: [u8; 4] = [192, 0, 2, 1];
const FORGED: [u8; 4] = [203, 0, 113, 66];

/// Pearson's statistic for `values` spread over `bins` equal parts of `low..=high`.
fn chi_square(values: &[u16], low: u16, high: u16, bins: usize) -> f64 {
    let width = (f64::from(high) - f64::from(low) + 1.0) / bins as f64;
    let mut counts = vec![0_u32; bins];
    for &value in values {
        counts[((f64::from(value) - f64::from(low)) / width) as usize] += 1;
    }
    let expected = values.len() as f64 / bins as f64;
    counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum()
}

/// Exceeded with 15 degrees of freedom once in 10^8 times.
const UNLIKELY: f64 = 68.0;

#[test]
fn numbers_ports_and_cases_are_random() {
    let server = Server::with_address(REAL);
    let resolver = server.resolver().cache_size(0).build().unwrap();
    within(async {
        for index in 0..2_000 {
            resolver.a(&format!("abcdefghijklmnop.n{index}.example")).await.unwrap();
        }
    });
    let asked = server.asked();
    // Resent ones count as well: they have numbers and ports of their own.
    assert!(asked.len() >= 2_000);
    let ids: Vec<u16> = asked.iter().map(|asked| asked.id).collect();
    let ports: Vec<u16> = asked.iter().map(|asked| asked.peer.port()).collect();
    for (what, values, low) in [("number", &ids, 0), ("port", &ports, 1_024)] {
        let spread = chi_square(values, low, u16::MAX, 16);
        assert!(spread < UNLIKELY, "{what}: {spread}");
        let lowest: Vec<u16> = values.iter().map(|value| value % 16).collect();
        let spread = chi_square(&lowest, 0, 15, 16);
        assert!(spread < UNLIKELY, "lowest bits of the {what}: {spread}");
        let steps: Vec<u16> =
            values.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]) >> 12).collect();
        let is_even = what == "number";
        // The difference of two ports that are evenly spread over less than 2^16 is not quite evenly spread.
        let spread = chi_square(&steps, 0, 15, 16);
        assert!(spread < if is_even { UNLIKELY } else { 2.0 * UNLIKELY }, "steps: {spread}");
        let distinct: std::collections::HashSet<_> = values.iter().collect();
        assert!(distinct.len() > 1_850, "{what}: {} values", distinct.len());
    }
    let mut cases = [0; 16];
    for asked in &asked {
        for (count, letter) in cases.iter_mut().zip(asked.name.bytes()) {
            *count += u32::from(letter.is_ascii_uppercase());
        }
    }
    // Six standard deviations.
    let half = asked.len() as f64 / 2.0;
    let margin = 6.0 * (asked.len() as f64 / 4.0).sqrt();
    assert!(cases.iter().all(|&count| (f64::from(count) - half).abs() < margin), "{cases:?}");
}

/// The answer to a look-up while `forge` comes before the real reply.
fn answer_after(
    forge: impl Fn(&Asked, &UdpSocket) -> Vec<Vec<u8>> + Send + Sync + 'static,
) -> (Vec<Ipv4Addr>, Server) {
    let server = Server::start(move |asked, udp| {
        let mut replies = forge(asked, udp);
        replies.push(address(asked, 60, REAL));
        replies
    });
    let resolver = server.resolver().build().unwrap();
    let found = within(resolver.a("www.example.org")).unwrap();
    (found, server)
}

fn forged(asked: &Asked) -> Reply {
    asked.reply().own(A, 3_600, &FORGED)
}

#[test]
fn forged_replies_are_left_out() {
    type Forge = fn(&Asked) -> Vec<u8>;
    let forges: [(&str, Forge); 7] = [
        ("number", |asked| forged(asked).id(asked.id.wrapping_add(1)).bytes),
        ("name", |asked| forged(asked).question_letter(b'x').bytes),
        ("type", |asked| forged(asked).question_type(28).bytes),
        ("class", |asked| forged(asked).question_class(3).bytes),
        ("empty", |_| Vec::new()),
        ("header alone", |asked| forged(asked).bytes[..12].to_vec()),
        ("one byte", |asked| forged(asked).bytes[..1].to_vec()),
    ];
    for (what, forge) in forges {
        // A header that promises a question which does not come is malformed, with the right number: then TCP brings the real answer.
        let (found, server) =
            answer_after(
                move |asked, _| {
                    if asked.is_tcp { Vec::new() } else { vec![forge(asked)] }
                },
            );
        assert_eq!(found, [Ipv4Addr::from(REAL)], "{what}");
        let expected = if what == "header alone" { 2 } else { 1 };
        assert!(server.count() <= expected, "{what}: {} questions", server.count());
    }
}

#[test]
fn replies_from_elsewhere_are_left_out() {
    let other_port = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (found, server) = answer_after(move |asked, _| {
        other_port.send_to(&forged(asked).bytes, asked.peer).unwrap();
        Vec::new()
    });
    assert_eq!((found, server.count()), (vec![Ipv4Addr::from(REAL)], 1));

    let (found, server) = answer_after(|asked, udp| {
        let port = udp.local_addr().unwrap().port();
        // Only Linux has all of 127.0.0.0/8 without being asked for it.
        if let Ok(other_address) = UdpSocket::bind(("127.0.0.2", port)) {
            other_address.send_to(&forged(asked).bytes, asked.peer).unwrap();
        }
        Vec::new()
    });
    assert_eq!((found, server.count()), (vec![Ipv4Addr::from(REAL)], 1));
}

#[test]
fn the_wrong_case_is_asked_again_over_tcp() {
    let (found, server) = answer_after(|asked, _| {
        if asked.is_tcp { Vec::new() } else { vec![forged(asked).question_case().bytes] }
    });
    assert_eq!(found, [Ipv4Addr::from(REAL)]);
    assert_eq!(server.asked().iter().filter(|asked| asked.is_tcp).count(), 1);
    // Without it the case does not matter.
    let server = Server::start(|asked, _| vec![forged(asked).question_case().bytes]);
    let resolver = server.resolver().randomize_case(false).build().unwrap();
    assert_eq!(within(resolver.a("www.example.org")).unwrap(), [Ipv4Addr::from(FORGED)]);
    assert_eq!(server.asked()[0].name, "www.example.org.");
}

/// Names in records point to the name of the question, and so to its letters.
#[test]
fn the_random_case_is_not_seen_by_users() {
    let server = Server::start(|asked, _| {
        let host = b"\x04Host\xc0\x0c";
        let reply = asked.reply();
        let reply = match asked.kind {
            MX => reply.own(MX, 60, &[&[0, 1][..], host].concat()),
            SRV => reply.own(SRV, 60, &[&[0, 1, 0, 2, 0, 3][..], host].concat()),
            _ => reply.own(PTR, 60, host),
        };
        vec![reply.bytes]
    });
    for tcp_only in [false, true] {
        let resolver = server.resolver().tcp_only(tcp_only).build().unwrap();
        within(async {
            let zone = "abcdefghijklmnopqrst.example";
            let host = format!("Host.{zone}");
            assert_eq!(
                resolver.mx("ABCDEFGHIJKLMNOPQRST.example").await.unwrap()[0].exchange,
                host
            );
            assert_eq!(resolver.srv(zone).await.unwrap()[0].target, host);
            let names = resolver.ptr([192, 0, 2, 7].into()).await.unwrap();
            assert_eq!(names, ["Host.7.2.0.192.in-addr.arpa"]);
        });
    }
}

#[test]
fn every_other_number_comes_first() {
    let is_first = AtomicBool::new(true);
    let server = Server::start(move |asked, udp| {
        // What does not fit into the socket's buffer is lost, perhaps the real reply too: then a later question gets it.
        if is_first.swap(false, Ordering::SeqCst) {
            for offset in 1..=u16::MAX {
                let reply = forged(asked).id(asked.id.wrapping_add(offset)).bytes;
                udp.send_to(&reply, asked.peer).ok();
            }
        }
        vec![address(asked, 60, REAL)]
    });
    let resolver = server.resolver().timeout(Duration::from_secs(2)).attempts(30).build().unwrap();
    assert_eq!(within(resolver.a("www.example.org")).unwrap(), [Ipv4Addr::from(REAL)]);
}

#[test]
fn replies_to_others_on_a_connection_are_left_out() {
    let server = Server::start(|asked, _| {
        let mut replies = Vec::new();
        for offset in 1..1_000 {
            replies.push(forged(asked).id(asked.id.wrapping_add(offset)).bytes);
        }
        replies.push(forged(asked).question_letter(b'x').bytes);
        replies.push(forged(asked).question_class(3).bytes);
        replies.push(forged(asked).question_case().bytes);
        replies.push(address(asked, 60, REAL));
        replies
    });
    let resolver = server.resolver().tcp_only(true).build().unwrap();
    assert_eq!(within(resolver.a("www.example.org")).unwrap(), [Ipv4Addr::from(REAL)]);
    assert_eq!(server.count(), 1);
}

/// Many at once would be as many chances for who guesses.
#[test]
fn the_same_question_is_under_way_once() {
    let (sender, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let server = Server::start(move |asked, _| {
        gate.lock().unwrap().recv_timeout(Duration::from_secs(30)).unwrap();
        vec![address(asked, 0, REAL)]
    });
    let resolver = server.resolver().timeout(Duration::from_secs(30)).build().unwrap();
    within(async {
        let ask = |_| {
            let resolver = resolver.clone();
            spawn(async move { resolver.a("www.example.org").await })
        };
        let tasks: Vec<_> = (0..50).map(ask).collect();
        while resolver.metrics().shared < 49 {
            smolkit_runtime::Timer::after(Duration::from_millis(1)).await;
        }
        sender.send(()).unwrap();
        for task in tasks {
            assert_eq!(task.await.unwrap(), [Ipv4Addr::from(REAL)]);
        }
        assert_eq!((server.count(), resolver.metrics().sent), (1, 1));
        // A time to live of 0 is for those who waited, and for nobody after them.
        sender.send(()).unwrap();
        resolver.a("www.example.org").await.unwrap();
        assert_eq!(server.count(), 2);
    });
}
