//! Goal: who takes our resolver instead of `getaddrinfo` gets the same answers (FAULTS D7, D8).
//! Method: in a network of the test's own, where port 53 and `/etc` belong to it, names of all kinds are looked up by both, with dnsmasq and then unbound behind
//! several versions of `resolv.conf`.

#![cfg(feature = "dns")]
// musl completes names in another way.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod dns;

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::process::Command;
use std::time::Duration;

use smolkit_net::dns::Resolver;

use self::dns::peers::Peer;
use self::dns::within;

const HOSTS: &str = "127.0.0.1 localhost\n::1 localhost\n\
    203.0.113.5 fixed.example Fixed-Alias # comment\n2001:db8::5 fixed.example\n\
    203.0.113.6 both.example\n203.0.113.7 twice\n203.0.113.8 twice\n";

/// Written by the script that makes `/etc` the test's own, so that nobody else's is ever written to.
const OWN_ETC: &str = "/etc/smolkit-test";

/// How long each of the two waits for a server, be the machine as busy as it may: the most that glibc allows (`resolv.conf(5)`).
const TIMEOUT_SECS: u64 = 30;

#[test]
fn the_same_answers_as_getaddrinfo() {
    if std::path::Path::new(OWN_ETC).exists() {
        return in_a_network_of_its_own();
    }
    let script = format!(
        "set -e; ip link set lo up; mount -t tmpfs none /etc; touch {OWN_ETC}
        RES_OPTIONS=timeout:{TIMEOUT_SECS} exec \"$0\" --exact the_same_answers_as_getaddrinfo --nocapture"
    );
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--net", "--mount", "sh", "-c", &script]);
    let output = unshare.arg(std::env::current_exe().unwrap()).output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success() && out.contains("1 passed"),
        "this test needs the right to have namespaces of its own (user, net, mount), and the programs unshare and ip \
         (Debian: apt-get install util-linux iproute2):\n{out}\n{err}"
    );
}

fn in_a_network_of_its_own() {
    let write = |file: &str, text: &str| std::fs::write(format!("/etc/{file}"), text).unwrap();
    write("passwd", "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n");
    write("hosts", HOSTS);
    write("nsswitch.conf", "hosts: files dns\n");
    // As Debian has it: all lines of the hosts file count.
    write("host.conf", "multi on\n");
    type Start = fn(SocketAddr) -> Peer;
    let starts: [Start; 2] =
        [|addr| Peer::dnsmasq(Some(addr)), |addr| Peer::unbound(Some(addr), String::new)];
    let long = format!("{}.example", "x".repeat(64));
    let mut differences = Vec::new();
    for start in starts {
        let over_v6 = std::net::TcpListener::bind("[::1]:0").is_ok();
        let _peers = (
            start(([127, 0, 0, 1], 53).into()),
            over_v6.then(|| start("[::1]:53".parse().unwrap())),
        );
        for conf in [
            "nameserver 127.0.0.1\n",
            "nameserver ::1\noptions use-vc\n",
            "nameserver 127.0.0.1\nsearch nobody.example sub.example example\n",
            "nameserver 127.0.0.1\nsearch example\noptions ndots:3\n",
            "# the first one is not there\nnameserver 127.0.0.9\nnameserver 127.0.0.1\ndomain example\n",
            "",
        ] {
            if conf.contains("::1") && !over_v6 {
                continue;
            }
            write("resolv.conf", conf);
            let timeout = Duration::from_secs(TIMEOUT_SECS);
            let resolver = Resolver::builder().timeout(timeout).deadline(2 * timeout);
            let resolver = resolver.build().unwrap();
            // Not here: "fixed-alias.", which glibc does not find in the hosts file because of its dot, and "127.1", which it takes for an address.
            for name in [
                "one.example",
                "six.example",
                "both.example",
                "many.example",
                "chain1.example",
                "missing.example",
                "txt.example",
                "one.example.",
                "ONE.Example",
                "one",
                "www",
                "www.sub",
                "chain1",
                "both",
                "six.",
                "nobody",
                "localhost",
                "LocalHost",
                "fixed.example",
                "FIXED.EXAMPLE",
                "fixed-alias",
                "twice",
                "127.0.0.1",
                "::1",
                "192.0.2.99",
                "a..b",
                "",
                "a b",
                &long,
            ] {
                differences.extend(difference(&resolver, name, conf));
            }
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

/// What is different, if anything is.
fn difference(resolver: &Resolver, name: &str, conf: &str) -> Option<String> {
    let theirs = (name, 7).to_socket_addrs().map(|addrs| addrs.map(|addr| addr.ip()));
    let theirs = theirs.map(|addrs| sorted(addrs.collect()));
    let mut ours = within(resolver.lookup_ip(name)).map(sorted);
    // A family that came a second after the other is there now.
    if matches!((&ours, &theirs), (Ok(ours), Ok(theirs)) if ours.len() < theirs.len()) {
        ours = within(resolver.lookup_ip(name)).map(sorted);
    }
    let is_same = match (&ours, &theirs) {
        (Ok(ours), Ok(theirs)) => ours == theirs,
        (ours, theirs) => ours.is_err() && theirs.is_err(),
    };
    (!is_same).then(|| format!("{name:?} with {conf:?}: {ours:?} here, {theirs:?} there"))
}

fn sorted(mut addrs: Vec<IpAddr>) -> Vec<IpAddr> {
    addrs.sort();
    addrs.dedup();
    addrs
}
