//! What the tests of batches share.

// Each of them uses a part of it.
#![allow(dead_code)]

use std::net::SocketAddr;
use std::time::Duration;

use futures_lite::future;
use smolkit_net::UdpSocket;
use smolkit_net::udp::{BATCH_MAX, RecvBatch, Transmit};
use smolkit_runtime::{Timer, block_on};

/// Fails if `f` takes longer than 60 s.
pub(crate) fn within<T>(f: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(Duration::from_secs(60)).await;
        panic!("not finished after 60 s")
    };
    block_on(future::or(f, late))
}

/// As above. What one thread on one core sends over loopback arrives in its order, and what one call sends in one go: a kernel with much to do leaves
/// that to a thread on each core, which may come late.
pub(crate) fn in_order<T>(f: impl Future<Output = T>) -> T {
    #[cfg(target_os = "linux")]
    {
        use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
        let before = sched_getaffinity(None).unwrap();
        let mut one = CpuSet::new();
        one.set(sched_getcpu());
        sched_setaffinity(None, &one).unwrap();
        let output = within(f);
        sched_setaffinity(None, &before).unwrap();
        output
    }
    #[cfg(not(target_os = "linux"))]
    within(f)
}

/// The loopback addresses of this machine. Without IPv6, the tests of IPv4 say what there is to say.
pub(crate) fn hosts() -> Vec<&'static str> {
    let is_there = |host: &&str| std::net::UdpSocket::bind((*host, 0)).is_ok();
    let hosts: Vec<_> = ["127.0.0.1", "::1"].into_iter().filter(is_there).collect();
    assert_eq!(hosts.first(), Some(&"127.0.0.1"));
    hosts
}

pub(crate) async fn send_all(socket: &UdpSocket, mut rest: &mut [Transmit<'_>]) {
    while !rest.is_empty() {
        let sent = socket.send_batch(rest).await.unwrap();
        assert!((1..=rest.len().min(BATCH_MAX)).contains(&sent));
        rest = &mut rest[sent..];
    }
}

/// The next `count` datagrams.
pub(crate) async fn receive(
    socket: &UdpSocket,
    batch: &mut RecvBatch,
    count: usize,
) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while all.len() < count {
        let messages = socket.recv_batch(batch).await.unwrap();
        assert_eq!((messages, messages), (batch.len(), batch.iter().len()));
        all.extend(batch.datagrams().map(|(bytes, _)| bytes.to_vec()));
    }
    all
}

pub(crate) async fn pair(host: &str) -> (UdpSocket, UdpSocket, SocketAddr) {
    let [sender, receiver] = [(); 2].map(|()| UdpSocket::bind((host, 0)));
    let (sender, receiver) = future::try_zip(sender, receiver).await.unwrap();
    // For all that a test sends before anybody receives: what finds no room is lost.
    for socket in [&sender, &receiver] {
        socket2::SockRef::from(socket).set_recv_buffer_size(1 << 20).unwrap();
    }
    let addr = receiver.local_addr().unwrap();
    (sender, receiver, addr)
}
