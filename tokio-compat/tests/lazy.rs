//! Goal: no thread starts before it is needed; one that is refused is an error, and not for ever.
//! Method: threads are counted, and a thread without root's exemptions lowers the limit on processes. One test in this file: both are the process's.

#![cfg(target_os = "linux")]

use std::io;
use std::thread;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use smolkit_runtime::block_on;
use smolkit_tokio_compat::{TokioContext, compat, set_default};

fn count_threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn the_default_runtime() {
    if rustix::process::geteuid().is_root() {
        let nobody = rustix::process::Uid::from_raw(65_534);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
    }
    let before = getrlimit(Resource::Nproc);
    let allow = |current| {
        setrlimit(Resource::Nproc, Rlimit { current, maximum: before.maximum }).unwrap();
    };
    let threads = count_threads();
    allow(Some(0));
    assert!(thread::Builder::new().spawn(|| ()).is_err(), "the limit works");
    for _ in 0..20 {
        let error = compat(async {}).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "EAGAIN");
        assert_eq!(TokioContext::builder().build().unwrap_err().kind(), error.kind());
    }
    assert_eq!(count_threads(), threads, "nothing was started");

    allow(before.current);
    let spawned =
        || async { tokio::spawn(async { thread::current().name().map(str::to_owned) }).await };
    let name = block_on(async { compat(spawned()).unwrap().await }).unwrap();
    assert_eq!(name.as_deref(), Some("smolkit-tokio"));
    assert_eq!(count_threads(), threads + 1, "one thread, and no more for the second");
    block_on(async { compat(spawned()).unwrap().await }).unwrap();
    assert_eq!(count_threads(), threads + 1);

    let other = TokioContext::builder().thread_name("another").build().unwrap();
    let former = set_default(other).expect("the one that has run");
    let name = block_on(async { compat(spawned()).unwrap().await }).unwrap();
    assert_eq!(name.as_deref(), Some("another"));
    let name = block_on(former.run(spawned())).unwrap();
    assert_eq!(name.as_deref(), Some("smolkit-tokio"));
}
