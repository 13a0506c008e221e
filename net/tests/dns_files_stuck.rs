//! Goal: a look at the files that takes long, or that nobody waits for, holds up no look-up (FAULTS D8).
//! Method: a pool of one thread, and a job that keeps it. A process of its own, because the pool is the process's.

#![cfg(feature = "dns")]

mod dns;

use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::mpsc;
use std::time::Duration;

use futures_lite::future;
use smolkit_net::dns::Resolver;
use smolkit_runtime::blocking::{Limits, set_limits};
use smolkit_runtime::{Timer, unblock};

use self::dns::directory::Directory;
use self::dns::within;

const ONE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const TWO: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// Keeps the pool's one thread until it is dropped.
struct Stuck(#[allow(dead_code)] mpsc::Sender<()>);

impl Stuck {
    async fn new() -> Stuck {
        let (started, has_started) = mpsc::channel();
        let (end, has_ended) = mpsc::channel::<()>();
        unblock(move || {
            started.send(()).unwrap();
            // Until the sender is gone.
            let _ = has_ended.recv();
        })
        .detach();
        has_started.recv().unwrap();
        Stuck(end)
    }
}

#[test]
fn a_stuck_pool() {
    let mut limits = Limits::default();
    limits.threads_max = 1;
    set_limits(limits);
    let directory = Directory::new("stuck");
    let hosts = directory.write("hosts", format!("{ONE} www.example.org\n"));
    let resolver = Resolver::builder()
        .resolv_conf(None)
        .hosts_file(&*hosts)
        .reload_interval(Duration::ZERO)
        .deadline(Duration::from_secs(60))
        .build()
        .unwrap();
    let found = async || resolver.lookup_ip("www.example.org").await.unwrap();
    within(async {
        // The first look is everybody's, also if who began it does not go on.
        let stuck = Stuck::new().await;
        let mut lost = pin!(found());
        assert!(future::poll_once(&mut lost).await.is_none());
        drop(stuck);
        assert_eq!(found().await, [IpAddr::from(ONE)]);

        // Later what was known before is the answer. Without it this would take until the deadline, and fail then.
        let stuck = Stuck::new().await;
        directory.replace("hosts", &format!("{TWO} www.example.org\n"));
        for _ in 0..100 {
            assert_eq!(found().await, [IpAddr::from(ONE)]);
        }
        drop(stuck);
        while found().await != [IpAddr::from(TWO)] {
            Timer::after(Duration::from_millis(1)).await;
        }
    });
}
