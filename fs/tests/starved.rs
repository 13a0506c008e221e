//! Goal: without threads, descriptors or a pool, file operations end with a result or an error, and lose nothing in silence (FAULTS H16, K1, K2, K3, K5).
//! Method: this program starts itself again for each case, because limits and the pool are the process's: a pool of two threads that are stuck, no threads at all, no
//! descriptors left, a burst of 500 operations, and a pool that is shut down under a file.

#![cfg_attr(not(target_os = "linux"), allow(dead_code, unused_imports))]
#![allow(clippy::print_stdout)]

mod support;

use std::pin::pin;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt, future};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use smolkit_fs::{self as fs, File};
use smolkit_runtime::blocking::{self, Limits, metrics, set_limits};
use smolkit_runtime::{block_on, unblock};
use support::{STEP_MAX, TempDir, open_below, pattern, pool_is_quiet, wait_until, within};

type Case = (&'static str, fn());

const CASES: [Case; 6] = [
    ("a stuck pool", a_stuck_pool),
    ("no threads", no_threads),
    ("no descriptors", no_descriptors),
    ("a burst", a_burst),
    ("a pool that was shut down", a_pool_that_was_shut_down),
    ("a file on its way at the shutdown", a_file_on_its_way_at_the_shutdown),
];

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if arguments.get(1).is_some_and(|case| case == "another filesystem") {
        return another_filesystem();
    }
    if let Some((_, run)) =
        CASES.iter().find(|(name, _)| arguments.get(1).is_some_and(|a| a == name))
    {
        return run();
    }
    another_filesystem_as_root();
    for (name, _) in CASES {
        let status = Command::new(std::env::current_exe().unwrap()).arg(name).status().unwrap();
        assert!(status.success(), "{name}: {status}");
        println!("{name} ... ok");
    }
}

/// In a mount namespace of its own, which only root may make.
#[cfg(target_os = "linux")]
fn another_filesystem_as_root() {
    let unshared = || {
        let mut unshare = Command::new("unshare");
        unshare.arg("-m");
        unshare
    };
    let dir = TempDir::new();
    let mut mount = unshared();
    mount.args(["mount", "-t", "tmpfs", "none"]).arg(dir.join(""));
    if !mount.status().is_ok_and(|status| status.success()) {
        println!("another filesystem: not tested, for want of rights");
        return;
    }
    let own = std::env::current_exe().unwrap();
    let status = unshared().arg(own).arg("another filesystem").status().unwrap();
    assert!(status.success(), "another filesystem: {status}");
    println!("another filesystem ... ok");
}

/// What is known of one is not believed of the next that gets its number: that may be one whose server has to be asked.
fn another_filesystem() {
    use std::os::unix::fs::MetadataExt;
    let dir = TempDir::new();
    let path = dir.join("");
    let by_a_thread = || {
        let before = metrics().begun;
        let device = within(async { fs::metadata(&path).await.unwrap().dev() });
        (device, metrics().begun > before)
    };
    let mount = |kind: &str| {
        let status = Command::new("mount").args(["-t", kind, "none"]).arg(&path).status().unwrap();
        assert!(status.success(), "mount {kind}: {status}");
    };
    let unmount = || {
        // Who learns what kind it is has it open.
        wait_until("no other jobs are counted, or keep it mounted", pool_is_quiet);
        assert!(Command::new("umount").arg(&path).status().unwrap().success());
    };
    mount("tmpfs");
    wait_until("it is known to be local", || !by_a_thread().1);
    let (device, _) = by_a_thread();
    unmount();
    mount("devpts");
    if by_a_thread().0 == device {
        wait_until("it is not taken for the former one", || by_a_thread().1);
        assert!(by_a_thread().1);
    } else {
        println!("somebody else has got the number");
    }
    unmount();
}

fn limit_threads(threads_max: usize, keep_alive: Duration) {
    let mut limits = Limits::default();
    (limits.threads_max, limits.keep_alive) = (threads_max, keep_alive);
    set_limits(limits);
}

/// K1: what is cached is served all the same; the rest waits, is counted, and is done when there are threads again.
fn a_stuck_pool() {
    // Before the first job, so that there never are more.
    limit_threads(2, Duration::from_secs(5));
    let dir = TempDir::new();
    let path = dir.join("file");
    std::fs::write(&path, pattern(4096)).unwrap();
    // What kind of filesystem it is, is asked by a thread, once.
    wait_until("the filesystem is known", || {
        let before = metrics().begun;
        within(async { fs::metadata(&path).await.unwrap() });
        metrics().begun == before
    });
    let (release, gate) = mpsc::channel::<()>();
    let gate = std::sync::Arc::new(std::sync::Mutex::new(gate));
    let stuck: Vec<_> = (0..2)
        .map(|_| {
            let gate = gate.clone();
            unblock(move || gate.lock().unwrap().recv())
        })
        .collect();
    wait_until("both threads are stuck", || metrics().queued == 0);
    within(async {
        let cached = async || {
            assert_eq!(fs::read(&path).await.unwrap(), pattern(4096));
            assert_eq!(fs::metadata(&path).await.unwrap().len(), 4096);
            let mut file = File::open(&path).await.unwrap();
            let mut buffer = [0; 100];
            assert_eq!(file.read_at(&mut buffer, 100).await.unwrap(), 100);
            assert_eq!(file.read(&mut [0; 10]).await.unwrap(), 10);
        };
        let mut served = 0;
        while served < 100 {
            // Not every time: what others do with the filesystem, and a cache that is short of memory, may be in the way for a moment.
            match future::poll_once(pin!(cached())).await {
                Some(()) => served += 1,
                None => future::yield_now().await,
            }
        }
        let given_up_before = metrics().queued;
        let waiting = dir.join("waiting");
        let mut write = Box::pin(fs::write(&waiting, "later"));
        assert!(future::poll_once(&mut write).await.is_none());
        let given_up = future::poll_once(fs::create_dir(dir.join("never"))).await;
        assert!(given_up.is_none());
        assert_eq!(metrics().queued, given_up_before + 2);
        drop(release);
        for stuck in stuck {
            assert!(stuck.await.is_err());
        }
        write.await.unwrap();
        assert_eq!(fs::read_to_string(&waiting).await.unwrap(), "later");
        // What had not begun was given up with the future.
        assert!(!dir.join("never").exists());
    });
}

/// K2: everything is done by the calling thread.
fn no_threads() {
    if rustix::process::geteuid().is_root() {
        let nobody = rustix::process::Uid::from_raw(65_534);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
    }
    let dir = TempDir::new();
    let before = getrlimit(Resource::Nproc);
    setrlimit(Resource::Nproc, Rlimit { current: Some(0), maximum: before.maximum }).unwrap();
    assert!(std::thread::Builder::new().spawn(|| ()).is_err(), "the limit works");
    within(async {
        let src = dir.join("src");
        fs::create_dir(&src).await.unwrap();
        let mut file = File::create(src.join("file")).await.unwrap();
        file.write_all(&pattern(2 << 20)).await.unwrap();
        file.sync_all().await.unwrap();
        assert_eq!(fs::copy_dir(&src, dir.join("dst")).await.unwrap().files, 1);
        let mut events = fs::watch(dir.join("dst")).await.unwrap();
        fs::write_atomic(dir.join("dst/other"), "text").await.unwrap();
        events.next().await.unwrap().unwrap();
        assert_eq!(fs::walk(dir.join("")).count().await, 6);
        fs::TempDir::new_in(&src).await.unwrap().close().await.unwrap();
        drop(fs::TempFile::new_in(&src).await.unwrap());
        assert!(fs::read(dir.join("dst/file")).await.unwrap() == pattern(2 << 20));
        assert_eq!(std::fs::read_dir(&src).unwrap().count(), 1);
        fs::remove_dir_all(src).await.unwrap();
    });
    assert_eq!(metrics().threads, 0);
}

/// Each refusal is an error; when there are descriptors again, all goes on.
fn no_descriptors() {
    let dir = TempDir::new();
    for i in 0..5 {
        std::fs::create_dir(dir.join(format!("d{i}"))).unwrap();
        std::fs::write(dir.join(format!("d{i}/file")), "text").unwrap();
    }
    let before = getrlimit(Resource::Nofile);
    let allow = |current| {
        setrlimit(Resource::Nofile, Rlimit { current, maximum: before.maximum }).unwrap();
    };
    let emfile = Some(rustix::io::Errno::MFILE.raw_os_error());
    within(async {
        let mut file = File::create(dir.join("open")).await.unwrap();
        let mut walk = fs::walk(dir.join(""));
        assert!(walk.next().await.unwrap().is_ok(), "the start");
        allow(Some(0));
        let path = dir.join("d0/file");
        assert_eq!(fs::read(&path).await.unwrap_err().raw_os_error(), emfile);
        assert_eq!(File::open(&path).await.unwrap_err().raw_os_error(), emfile);
        assert_eq!(fs::write(&path, "lost").await.unwrap_err().raw_os_error(), emfile);
        assert_eq!(fs::read_dir(dir.join("")).await.unwrap_err().raw_os_error(), emfile);
        assert!(fs::TempFile::new_in(dir.join("")).await.is_err());
        let error = fs::watch(dir.join("")).await.unwrap_err();
        let hint = if cfg!(smolkit_portable) { "cannot watch" } else { "max_user_instances" };
        assert!(error.to_string().contains(hint), "{error}");
        // Asking about a path does without; and so does what is open.
        assert_eq!(fs::metadata(&path).await.unwrap().len(), 4);
        file.write_all(b"written").await.unwrap();
        file.flush().await.unwrap();
        let error = walk.next().await.unwrap().unwrap_err();
        assert_eq!(error.io_error().raw_os_error(), emfile);
        assert!(walk.next().await.is_none());
        let walk = fs::walk(dir.join(""));
        allow(before.current);
        assert_eq!(walk.count().await, 12);
        assert_eq!(fs::read_to_string(&path).await.unwrap(), "text");
    });
    wait_until("nothing is left open", || open_below(&dir) == 0);
}

/// K5: the threads of a burst leave.
fn a_burst() {
    let dir = TempDir::new();
    limit_threads(500, Duration::from_millis(20));
    within(async {
        let writes =
            (0..500).map(|i| smolkit_runtime::spawn(fs::write(dir.join(i.to_string()), "text")));
        for write in writes.collect::<Vec<_>>() {
            write.await.unwrap();
        }
        assert_eq!(fs::walk(dir.join("")).count().await, 501);
    });
    wait_until("all have left", || metrics().threads == 0);
    // And come again.
    within(fs::create_dir(dir.join("dir"))).unwrap();
}

/// K3: a write that nobody will do is an error, and not a wait without end.
fn a_pool_that_was_shut_down() {
    let dir = TempDir::new();
    let mut file = within(File::create(dir.join("file"))).unwrap();
    assert_eq!(blocking::shutdown(STEP_MAX), 0);
    within(async {
        // The first bytes are taken over; whoever asks hears that they are lost.
        let written = file.write_all(b"lost").await;
        let error = written.and(file.flush().await).unwrap_err();
        assert!(error.to_string().contains("shut down"), "{error}");
    });
}

/// K3: what was begun is finished before a shutdown returns; what was taken over and not begun is told as lost.
fn a_file_on_its_way_at_the_shutdown() {
    let dir = TempDir::new();
    limit_threads(1, Duration::from_secs(5));
    let mut begun = within(File::create(dir.join("begun"))).unwrap();
    let mut queued = within(File::create(dir.join("queued"))).unwrap();
    let (release, gate) = mpsc::channel::<()>();
    block_on(async {
        begun.write_all(&pattern(400_000)).await.unwrap();
        begun.flush().await.unwrap();
    });
    let stuck = unblock(move || gate.recv());
    wait_until("the thread is stuck", || metrics().queued == 0);
    block_on(queued.write_all(b"lost")).unwrap();
    let ender = std::thread::spawn(|| blocking::shutdown(STEP_MAX));
    within(async {
        let error = queued.close().await.unwrap_err();
        assert!(error.to_string().contains("shut down"), "{error}");
    });
    drop(release);
    assert_eq!(ender.join().unwrap(), 0);
    drop(stuck);
    assert_eq!(std::fs::read(dir.join("begun")).unwrap(), pattern(400_000));
}
