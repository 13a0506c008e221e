//! Goal: where the system refuses threads, jobs run on those that are there, or on the calling one, and later calls get threads again (FAULTS K2).
//! Method: a thread without root's exemptions lowers the limit on processes to nothing, raises it again, and lowers it while a job is under way. One test in this
//! file: the limit and the pool are the process's.

#![cfg(target_os = "linux")]

mod support;

use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use smolkit_runtime::blocking::{Limits, metrics, set_limits};
use smolkit_runtime::{block_on, unblock};
use support::{STEP_MAX, TEST_MAX, wait_until, within};

#[test]
fn no_more_threads() {
    // On one thread, which is the one that drops its privileges.
    within(TEST_MAX, || {
        if rustix::process::geteuid().is_root() {
            let nobody = rustix::process::Uid::from_raw(65_534);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        }
        // The idle thread stays, however long this one takes to look at it.
        let mut limits = Limits::default();
        limits.keep_alive = TEST_MAX;
        set_limits(limits);
        let before = getrlimit(Resource::Nproc);
        let allow = |current| {
            setrlimit(Resource::Nproc, Rlimit { current, maximum: before.maximum }).unwrap();
        };
        let whereabouts = || {
            let started = Instant::now();
            let name = block_on(unblock(|| {
                let thread = thread::current();
                (thread.id(), thread.name().map(str::to_owned))
            }));
            assert!(started.elapsed() < STEP_MAX);
            name
        };

        allow(Some(0));
        assert!(thread::Builder::new().spawn(|| ()).is_err(), "the limit works");
        for _ in 0..100 {
            assert_eq!(whereabouts().0, thread::current().id(), "the calling thread");
        }
        assert_eq!(metrics().threads, 0);

        allow(before.current);
        let (_, name) = whereabouts();
        assert!(name.is_some_and(|name| name.starts_with("smolkit-block-")), "a thread again");
        wait_until("one idle thread", || (metrics().threads, metrics().idle) == (1, 1));

        // The only thread is busy, and another one is refused: the job waits.
        let (release, gate) = mpsc::channel::<()>();
        let busy = unblock(move || gate.recv());
        allow(Some(0));
        let (sender, has_run) = mpsc::channel();
        let waiting = unblock(move || sender.send(thread::current().id()).unwrap());
        assert_eq!(has_run.try_recv(), Err(mpsc::TryRecvError::Empty));
        release.send(()).unwrap();
        has_run.recv_timeout(STEP_MAX).expect("the thread goes on with it");
        block_on(waiting);
        block_on(busy).unwrap();

        // Two jobs at once: one more thread.
        allow(before.current);
        let (there, back) = (mpsc::channel(), mpsc::channel());
        let first = unblock(move || {
            there.0.send(()).unwrap();
            back.1.recv_timeout(STEP_MAX)
        });
        let second = unblock(move || {
            back.0.send(()).unwrap();
            there.1.recv_timeout(STEP_MAX)
        });
        assert_eq!((block_on(first), block_on(second)), (Ok(()), Ok(())));
    });
}
