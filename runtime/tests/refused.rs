//! Goal: a registration that the poller refuses leaves nothing behind (FAULTS E4).
//! Method: a regular file is offered 100,000 times; live heap bytes and descriptors are counted. One test in this file: both are counted for the
//! whole process.

#![cfg(all(target_os = "linux", not(smolkit_portable)))]

#[path = "support/heap.rs"]
mod heap;
mod support;

use std::io;
use std::os::fd::AsFd;

use heap::live_bytes;
use smolkit_runtime::Async;
use support::open_fds;

#[test]
fn a_regular_file() {
    let file = std::fs::File::open("Cargo.toml").unwrap();
    let offer = |count| {
        for _ in 0..count {
            let error = Async::new(file.as_fd()).expect_err("epoll takes no regular files");
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        }
    };
    offer(100);
    let (fds, bytes) = (open_fds(), live_bytes());
    offer(100_000);
    assert_eq!(open_fds(), fds);
    let grown = live_bytes().saturating_sub(bytes);
    assert!(grown < 4_096, "{grown} bytes more");
}
