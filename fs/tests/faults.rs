//! Goal: what the system refuses is told, no lost write is reported as a success, and nothing leaks (FAULTS H16, H17).
//! Method: this program starts itself again under strace, which lets the calls on one path fail; and cancels 10,000 opens. It has no test
//! harness, so that a case is one process.

#![cfg_attr(not(target_os = "linux"), allow(dead_code, unused_imports))]
#![allow(clippy::print_stdout)]

mod support;

use std::io;
use std::path::Path;
use std::process::Command;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use smolkit_fs::{self as fs, File};
use smolkit_runtime::{block_on, unblock};
use support::{TempDir, open_fds, pattern, rounds, wait_until, within};

const EIO: i32 = 5;
const EACCES: i32 = 13;
const ENOSPC: i32 = 28;
const ELOOP: i32 = 40;

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if let [_, case, errno, path] = &arguments[..] {
        let errno = errno.parse().unwrap();
        return within(run(case, errno, Path::new(path)));
    }
    inject("read", "openat,openat2", EACCES);
    inject("read", "openat,openat2", ELOOP);
    inject("read", "read,preadv2", EIO);
    inject("read in pieces", "read,preadv2", EIO);
    inject("write", "write", ENOSPC);
    inject("write", "write", EIO);
    inject("write in pieces", "write", ENOSPC);
    inject("write in pieces and close", "write", ENOSPC);
    inject("sync", "fsync", EIO);
    inject("sync", "write", ENOSPC);
    inject("sync data", "fdatasync", EIO);
    inject("set length", "write", ENOSPC);
    inject("write at", "pwrite64", ENOSPC);
    cancelled_opens();
    cached_work_stays_on_its_thread();
}

#[cfg(target_os = "linux")]
fn inject(case: &str, calls: &str, errno: i32) {
    let dir = TempDir::new();
    let path = dir.join("file");
    std::fs::write(&path, pattern(100_000)).unwrap();
    let status = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-P"])
        .arg(&path)
        .args(["-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:error={errno}")])
        .arg(std::env::current_exe().unwrap())
        .args([case, &errno.to_string()])
        .arg(&path)
        .status()
        .expect("strace: .ci/tools installs it");
    assert!(status.success(), "{case}, {calls} fails with {errno}: {status}");
    println!("{case}, {calls} fails with {errno} ... ok");
}

/// Each case meets the failure, and must report just that.
async fn run(case: &str, errno: i32, path: &Path) {
    let error = attempt(case, path).await.expect_err("it must not be reported as a success");
    assert_eq!(error.raw_os_error(), Some(errno), "{error}");
}

async fn attempt(case: &str, path: &Path) -> io::Result<()> {
    let bytes = pattern(700_000);
    match case {
        "read" => drop(fs::read(path).await?),
        "read in pieces" => {
            let mut file = File::open(path).await?;
            let mut buffer = [0; 100];
            while file.read(&mut buffer).await? > 0 {}
        }
        "write" => fs::write(path, &bytes).await?,
        "write in pieces" => {
            let mut file = File::create(path).await?;
            for piece in bytes.chunks(10_000) {
                file.write_all(piece).await?;
            }
            file.flush().await?;
        }
        "write in pieces and close" => {
            let mut file = File::create(path).await?;
            for piece in bytes.chunks(10_000) {
                file.write_all(piece).await?;
            }
            file.close().await?;
        }
        "sync" => {
            let mut file = File::create(path).await?;
            file.write_all(b"one").await?;
            file.sync_all().await?;
        }
        "sync data" => {
            let mut file = File::create(path).await?;
            file.write_all(b"one").await?;
            file.sync_data().await?;
        }
        "set length" => {
            let mut file = File::create(path).await?;
            file.write_all(b"one").await?;
            file.set_len(1).await?;
        }
        "write at" => drop(File::create(path).await?.write_at(b"one", 1).await?),
        _ => panic!("no such case"),
    }
    Ok(())
}

fn cancelled_opens() {
    let dir = TempDir::new();
    let path = dir.join("file");
    let open = || {
        // Once on its way to a thread, for sure; once maybe done at once.
        let _ = block_on(future::poll_once(File::create(&path)));
        let _ = block_on(future::poll_once(File::open(&path)));
    };
    open();
    // The pool's queue is empty when this has run on each of its threads, or been overtaken by none.
    wait_until("the pool is idle", || block_on(unblock(open_fds)) == open_fds());
    let before = open_fds();
    for _ in 0..rounds(1_000, 10_000) {
        open();
    }
    wait_until("all are closed again", || open_fds() == before);
    println!("cancelled opens ... ok");
}

/// What is cached is read and looked up without waiting for another thread.
#[cfg(target_os = "linux")]
fn cached_work_stays_on_its_thread() {
    let dir = TempDir::new();
    let path = dir.join("file");
    std::fs::write(&path, pattern(4096)).unwrap();
    let work = || {
        block_on(async {
            assert_eq!(fs::read(&path).await.unwrap().len(), 4096);
            assert_eq!(fs::metadata(&path).await.unwrap().len(), 4096);
            let mut file = File::open(&path).await.unwrap();
            let mut buffer = [0; 1000];
            while file.read(&mut buffer).await.unwrap() > 0 {}
            assert_eq!(file.read_at(&mut buffer, 100).await.unwrap(), 1000);
        });
    };
    // The first time asks what kind of filesystem it is.
    wait_until("the filesystem is known", || {
        let before = switches();
        work();
        switches() == before
    });
    let before = switches();
    for _ in 0..1_000 {
        work();
    }
    let count = switches() - before;
    assert!(count < 100, "{count} waits in 1,000 rounds");
    println!("cached work stays on its thread ... ok");
}

/// How often this thread has waited.
#[cfg(target_os = "linux")]
fn switches() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.unwrap().trim().parse().unwrap()
}
