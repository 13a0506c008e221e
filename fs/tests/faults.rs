//! Goal: what the system refuses is told, no lost write is reported as a success, and nothing leaks (FAULTS H16, H17).
//! Method: this program starts itself again under strace, which lets the calls on one path fail, or makes the kernel take back its promise not to wait; and cancels
//! 10,000 opens. It has no test harness, so that a case is one process.

#![cfg_attr(not(target_os = "linux"), allow(dead_code, unused_imports))]
#![allow(clippy::print_stdout)]

mod support;

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::process::Command;
use std::sync::{Mutex, mpsc};

use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt, future};
use smolkit_fs::{self as fs, File, OpenOptions};
use smolkit_runtime::blocking::{Limits, metrics, set_limits};
use smolkit_runtime::{block_on, unblock};
use support::{TempDir, open_below, pattern, pool_is_quiet, rounds, wait_until, within};

const EPERM: i32 = 1;
const EIO: i32 = 5;
const EAGAIN: i32 = 11;
const EACCES: i32 = 13;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;
const ENOSYS: i32 = 38;
const ELOOP: i32 = 40;
const EOPNOTSUPP: i32 = 95;
/// They concern a directory or the whole process, not one file.
const EVERYWHERE: [&str; 7] =
    ["list", "walk", "copy a tree", "watch", "replace at once", "cold", "not known"];

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
    inject_once("sync cancelled", "fsync", EIO);
    inject_once("sync data cancelled", "fdatasync", EIO);
    inject("drop after a sync cancelled", "fsync", EIO);
    inject("set length", "write", ENOSPC);
    inject("write at", "pwrite64", ENOSPC);
    inject("write at", "pwrite64", EIO);
    inject("copy", "copy_file_range", ENOSPC);
    inject("copy", "openat", EACCES);
    inject("open", "openat,openat2", EMFILE);
    inject("create", "openat", EMFILE);
    inject("rename", "rename,renameat,renameat2", EIO);
    inject("remove", "unlink,unlinkat", EACCES);
    inject("list", "getdents64", EIO);
    inject("walk", "getdents64", EIO);
    inject("copy a tree", "getdents64", EIO);
    if cfg!(not(smolkit_portable)) {
        inject("watch", "inotify_add_watch", ENOSPC);
        inject("watch", "inotify_init1", EMFILE);
    }
    inject("replace at once", "rename,renameat,renameat2", EIO);
    inject("replace at once", "fsync", ENOSPC);
    inject("drop", "write", ENOSPC);
    inject("drop", "write", EIO);
    for calls in ["preadv2", "pwrite64", "flock", "write", "fsync"] {
        start("interrupted", calls, "error=EINTR:when=1..2", 0);
    }
    // Long enough for the reads before it to be done first, which nothing depends on but that the test can fail.
    start("write at, given up", "pwrite64", "delay_enter=500000", 0);
    for errno in [EAGAIN, EOPNOTSUPP, ENOSYS, EPERM] {
        inject("cold", "preadv2", errno);
        inject("not known", "openat2", errno);
    }
    killed_on_the_way();
    cancelled_opens();
    cached_work_stays_on_its_thread();
}

#[cfg(target_os = "linux")]
fn inject(case: &str, calls: &str, errno: i32) {
    start(case, calls, &format!("error={errno}"), errno);
}

/// As the kernel does with what it could not write: it tells one caller.
#[cfg(target_os = "linux")]
fn inject_once(case: &str, calls: &str, errno: i32) {
    start(case, calls, &format!("error={errno}:when=1"), errno);
}

/// `write_atomic` in a process that is killed at each of its steps: the file has all of the one or all of the other, and nobody else could read it on the way.
#[cfg(target_os = "linux")]
fn killed_on_the_way() {
    use std::os::unix::fs::PermissionsExt;

    let steps = ["fchmod", "fsync", "rename,renameat,renameat2", "fsync"];
    for (i, (calls, when)) in steps.into_iter().zip([1, 1, 1, 2]).enumerate() {
        let dir = TempDir::new();
        let path = dir.join("file");
        std::fs::write(&path, pattern(100_000)).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let status = strace(calls, &format!("signal=KILL:when={when}"))
            .arg(std::env::current_exe().unwrap())
            .args(["replace at once", "0"])
            .arg(&path)
            .status()
            .expect("strace: .ci/tools installs it");
        // strace ends as its child does.
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{calls}");
        let expected = if i < 3 { pattern(100_000) } else { b"other".to_vec() };
        assert!(std::fs::read(&path).unwrap() == expected, "killed at {calls}, number {when}");
        for entry in std::fs::read_dir(dir.join("")).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{:?} when killed at {calls}", entry.file_name());
        }
    }
    println!("killed on the way ... ok");
}

#[cfg(target_os = "linux")]
fn strace(calls: &str, what: &str) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
    strace.args(["-e", &format!("inject={calls}:{what}")]);
    strace
}

#[cfg(target_os = "linux")]
fn start(case: &str, calls: &str, what: &str, errno: i32) {
    let dir = TempDir::new();
    let path = dir.join("file");
    std::fs::write(&path, pattern(100_000)).unwrap();
    let mut strace = strace(calls, what);
    if !EVERYWHERE.contains(&case) {
        strace.arg("-P").arg(&path);
    }
    let status = strace
        .arg(std::env::current_exe().unwrap())
        .args([case, &errno.to_string()])
        .arg(&path)
        .status()
        .expect("strace: .ci/tools installs it");
    assert!(status.success(), "{case}, {calls} with {what}: {status}");
    println!("{case}, {calls} with {what} ... ok");
}

/// Each case meets the failure, and must report just that.
async fn run(case: &str, errno: i32, path: &Path) {
    if case.ends_with("cancelled") {
        // Before the first job, so that there never is a second one.
        only_one_thread();
    }
    match case {
        "drop" | "drop after a sync cancelled" => return dropped(case, errno, path).await,
        "cold" | "not known" => return elsewhere(case, path).await,
        "interrupted" => return interrupted(path).await,
        "write at, given up" => return written_late(path).await,
        _ => {}
    }
    let error = attempt(case, path).await.expect_err("it must not be reported as a success");
    let told = io::Error::from_raw_os_error(errno);
    // Some say more than the system, and have its words in theirs.
    assert_eq!(error.kind(), told.kind(), "{error}");
    assert!(error.to_string().contains(&told.to_string()), "{error}");
    if case == "replace at once" {
        assert!(std::fs::read(path).unwrap() == pattern(100_000), "it is as it was");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}

/// A file that is dropped with writes on their way, of which one fails: it is logged.
async fn dropped(case: &str, errno: i32, path: &Path) {
    tracing::subscriber::set_global_default(Listener).unwrap();
    let mut file = File::create(path).await.unwrap();
    // Either it is taken over and fails behind the caller's back, or the failure was told already.
    file.write_all(&pattern(100_000)).await.unwrap();
    if case != "drop" {
        file.flush().await.unwrap();
        give_up(file.sync_all()).await;
    }
    drop(file);
    let told = io::Error::from_raw_os_error(errno).to_string();
    wait_until("the loss is logged", || {
        let heard = HEARD.lock().unwrap();
        heard.iter().any(|line| line.contains(&told) && line.contains("lost"))
    });
}

fn only_one_thread() {
    let mut limits = Limits::default();
    limits.threads_max = 1;
    set_limits(limits);
}

/// Drops the future when the only thread has done what it waits for, and before it hears how that went.
async fn give_up<T>(future: impl Future<Output = io::Result<T>>) {
    // It is kept busy until it is asked for.
    let (release, gate) = mpsc::channel::<()>();
    unblock(move || gate.recv()).detach();
    wait_until("it is busy", || metrics().queued == 0);
    let mut future = pin!(future);
    assert!(future::poll_once(&mut future).await.is_none(), "it waits for the thread");
    drop(release);
    wait_until("it is done", pool_is_quiet);
}

static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps what is logged.
struct Listener;

impl tracing::Subscriber for Listener {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Line(String);
        impl tracing::field::Visit for Line {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0.push_str(&format!("{field}={value:?} "));
            }
        }
        let mut line = Line(String::new());
        event.record(&mut line);
        HEARD.lock().unwrap().push(line.0);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// The kernel would have to wait, or knows no such promise: then another thread does it, and the result is the same.
async fn elsewhere(case: &str, path: &Path) {
    let is_cold = case == "cold";
    if is_cold {
        // A thread is asked once what kind of filesystem it is.
        here(async || fs::metadata(path).await.unwrap()).await;
    }
    wait_until("no other jobs are counted", pool_is_quiet);
    for _ in 0..3 {
        let before = metrics().begun;
        assert!(fs::read(path).await.unwrap() == pattern(100_000));
        assert!(metrics().begun > before, "a thread read it");
        let mut file = if is_cold {
            here(async || File::open(path).await.unwrap()).await
        } else {
            let before = metrics().begun;
            let file = File::open(path).await.unwrap();
            assert!(metrics().begun > before, "a thread opened it");
            file
        };
        let (before, mut all) = (metrics().begun, Vec::new());
        file.read_to_end(&mut all).await.unwrap();
        assert!(all == pattern(100_000));
        assert!(!is_cold || metrics().begun > before, "a thread read it");
        let before = metrics().begun;
        assert_eq!(file.read_at(&mut [0; 10], 5).await.unwrap(), 10);
        assert!(!is_cold || metrics().begun > before, "a thread read it");
        let before = metrics().begun;
        assert_eq!(fs::metadata(path).await.unwrap().len(), 100_000);
        assert!(is_cold || metrics().begun > before, "a thread looked it up");
    }
}

/// Does it until it was once done without another thread. What others do with the filesystem, and a cache that is short of memory, may be in the way for a moment.
async fn here<T>(mut operation: impl AsyncFnMut() -> T) -> T {
    loop {
        let before = metrics().begun;
        let done = operation().await;
        if metrics().begun == before {
            return done;
        }
        future::yield_now().await;
    }
}

/// Calls that a signal comes in between are made again.
async fn interrupted(path: &Path) {
    let mut options = OpenOptions::new();
    let mut file = options.read(true).write(true).open(path).await.unwrap();
    drop(file.lock().await.unwrap());
    let mut bytes = [0; 1_000];
    assert_eq!(file.read_at(&mut bytes, 1).await.unwrap(), bytes.len());
    file.read_exact(&mut bytes).await.unwrap();
    assert_eq!(file.write_at(b"one", 0).await.unwrap(), 3);
    file.write_all(b"two").await.unwrap();
    file.sync_all().await.unwrap();
    let written = std::fs::read(path).unwrap();
    assert_eq!((&written[..3], &written[1_000..1_003]), (&b"one"[..], &b"two"[..]));
}

/// A write at a position whose future is dropped on its way: reads have what it wrote as soon as it is written.
async fn written_late(path: &Path) {
    let mut options = OpenOptions::new();
    let mut file = options.read(true).write(true).open(path).await.unwrap();
    let is_written = || std::fs::read(path).unwrap()[5_000..5_003] == *b"new";
    let mut write = Box::pin(file.write_at(b"new", 5_000));
    // Done already, if this thread is kept from running for so long; then there is no more to be seen, and it holds all the same.
    let _ = future::poll_once(&mut write).await;
    // Before that it would be given up with its future.
    wait_until("it is being written", || is_being_written() || is_written());
    drop(write);
    let mut start = [0; 2_500];
    // The second one reads ahead.
    file.read_exact(&mut start).await.unwrap();
    file.read_exact(&mut start).await.unwrap();
    wait_until("it is written", is_written);
    // Between the write and the word of it there is a moment.
    wait_until("the thread has said so", pool_is_quiet);
    file.read_exact(&mut start[..3]).await.unwrap();
    assert_eq!(start[..3], *b"new");
}

/// Whether a thread is in the call that writes these 3 bytes at 5,000, `proc_pid_syscall(5)`.
fn is_being_written() -> bool {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    // One that has just ended has none any more.
    let mut calls = threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("syscall")).ok());
    calls.any(|call| call.contains(&format!(" {:#x} {:#x} ", 3, 5_000)))
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
        "sync cancelled" => {
            let file = File::create(path).await?;
            give_up(file.sync_all()).await;
            file.sync_all().await?;
        }
        "sync data cancelled" => {
            let file = File::create(path).await?;
            give_up(file.sync_data()).await;
            file.sync_data().await?;
        }
        "set length" => {
            let mut file = File::create(path).await?;
            file.write_all(b"one").await?;
            file.set_len(1).await?;
        }
        "open" => drop(File::open(path).await?),
        "create" => drop(File::create(path).await?),
        "copy" => drop(fs::copy(path, path.with_extension("copy")).await?),
        "rename" => fs::rename(path, path.with_extension("new")).await?,
        "remove" => fs::remove_file(path).await?,
        "list" => {
            let mut entries = fs::read_dir(path.parent().unwrap()).await?;
            while entries.try_next().await?.is_some() {}
        }
        "walk" => {
            let mut walk = fs::walk(path.parent().unwrap());
            while walk.try_next().await?.is_some() {}
        }
        "copy a tree" => {
            let dir = path.parent().unwrap();
            let copied = fs::copy_dir(dir, dir.with_extension("copy")).await;
            let _ = copied.inspect_err(|_| {
                std::fs::remove_dir(dir.with_extension("copy")).unwrap();
            })?;
        }
        "watch" => drop(fs::watch(path.parent().unwrap()).await?),
        "replace at once" => fs::write_atomic(path, "other").await?,
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
    for _ in 0..rounds(1_000, 10_000) {
        open();
    }
    wait_until("all have been opened or given up", pool_is_quiet);
    assert_eq!(open_below(&dir), 0, "all are closed again");
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
    // The least of several: a lock that another program's work on the same filesystem holds for a moment is waited for, too.
    wait_until("1,000 rounds wait less than 100 times", || {
        let before = switches();
        for _ in 0..1_000 {
            work();
        }
        switches() - before < 100
    });
    println!("cached work stays on its thread ... ok");
}

/// How often this thread has waited.
#[cfg(target_os = "linux")]
fn switches() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.unwrap().trim().parse().unwrap()
}
