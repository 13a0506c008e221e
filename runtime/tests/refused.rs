//! Goal: a registration that the poller refuses leaves nothing behind (FAULTS E4).
//! Method: a regular file is offered 100,000 times; live heap bytes and descriptors are counted. One test in this file: both are counted for the
//! whole process.

#![cfg(all(target_os = "linux", not(smolkit_portable)))]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};

use smolkit_runtime::Async;
use support::open_fds;

struct Counting;

static LIVE_BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE_BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

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
    let (fds, bytes) = (open_fds(), LIVE_BYTES.load(Ordering::Relaxed));
    offer(100_000);
    assert_eq!(open_fds(), fds);
    let grown = LIVE_BYTES.load(Ordering::Relaxed).saturating_sub(bytes);
    assert!(grown < 4_096, "{grown} bytes more");
}
