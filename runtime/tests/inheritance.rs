//! Goal: a child process inherits nothing of the runtime's or of its sockets (FAULTS E14).
//! Method: a child lists its descriptors before there are any of ours, and with a thousand open.

mod support;

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::Command;
use std::time::Duration;

use smolkit_runtime::{Async, Runtime, Timer, block_on, unblock};
use support::{TEST_MAX, open_fds, rounds, within};

/// What a child has open, besides its listing of it. Some were inherited from whoever started this test: no fault of ours.
fn descriptors_of_a_child() -> Vec<String> {
    let script = "for fd in /dev/fd/*; do echo ${fd##*/}; done";
    let output = Command::new("sh").args(["-c", script]).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(String::from).collect()
}

#[test]
fn children_inherit_nothing() {
    within(TEST_MAX, || {
        support::raise_descriptor_limit(1_500);
        let before = descriptors_of_a_child();
        let own = open_fds();
        let runtime = Runtime::builder().workers(2).build().unwrap();
        let path = std::env::temp_dir().join(format!("smolkit-inherit-{}", std::process::id()));
        // Of a process of the same number that was killed.
        let _ = std::fs::remove_file(&path);
        let mut open = Vec::new();
        let (_listeners, _datagrams) = block_on(async {
            let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
            let addr = listener.get_ref().local_addr().unwrap();
            let unix_listener = Async::<UnixListener>::bind(&path).unwrap();
            for _ in 0..rounds(20, 250) {
                let client = Async::<TcpStream>::connect(addr).await.unwrap();
                let (server, _) = listener.accept().await.unwrap();
                let unix_client = Async::<UnixStream>::connect(&path).await.unwrap();
                let (unix_server, _) = unix_listener.accept().await.unwrap();
                open.push((client, server, unix_client, unix_server));
            }
            let datagrams = (
                Async::<UdpSocket>::bind(([127, 0, 0, 1], 0)).unwrap(),
                Async::<UnixDatagram>::pair().unwrap(),
                Async::<UnixDatagram>::unbound().unwrap(),
                Async::<UnixStream>::pair().unwrap(),
            );
            Timer::after(Duration::from_millis(1)).await;
            unblock(|| ()).await;
            runtime.spawn(Timer::after(Duration::from_millis(1))).await;
            ((listener, unix_listener), datagrams)
        });
        std::fs::remove_file(&path).unwrap();
        assert!(open_fds() > own + 80, "there is something that could be inherited");
        assert_eq!(descriptors_of_a_child(), before);
    });
}
