//! Goal: a runtime that is dropped takes everything with it (FAULTS R5).
//! Method: 10,000 tasks hold sockets, timers, each other's handles and their runtime's; afterwards destructors, descriptors and threads are counted.
//! One test in this file: descriptors are counted for the whole process.

mod support;

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_lite::AsyncReadExt;
use smolkit_runtime::{Async, Runtime, Timer};
use support::{TEST_MAX, open_fds, wait_until, within};

const TASKS: usize = 10_000;
const SOCKETS: usize = 200;

struct CountDrop(Arc<AtomicUsize>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn everything_goes_with_the_runtime() {
    within(TEST_MAX, || {
        let fds_before = open_fds();
        let (started, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let runtime = Runtime::builder().workers(2).thread_name("leaktest").build().unwrap();
        for i in 0..TASKS {
            let (started, guard) = (started.clone(), CountDrop(dropped.clone()));
            // A circle: the runtime holds the task, which holds the runtime.
            let handle = runtime.handle().clone();
            runtime
                .spawn(async move {
                    let _guard = guard;
                    let child = handle.spawn(std::future::pending::<()>());
                    started.fetch_add(1, Ordering::SeqCst);
                    if i < SOCKETS {
                        let (mut mine, _theirs) = Async::<UnixStream>::pair().unwrap();
                        let _ = mine.read(&mut [0]).await;
                    }
                    Timer::after(Duration::from_secs(3_600)).await;
                    child.await;
                })
                .detach();
        }
        wait_until("all tasks have started", || started.load(Ordering::SeqCst) == TASKS);
        drop(runtime);
        assert_eq!(dropped.load(Ordering::SeqCst), TASKS);
        assert_eq!(open_fds(), fds_before);
        #[cfg(target_os = "linux")]
        wait_until("the workers are gone", || support::threads_named("leaktest") == 0);
    });
}
