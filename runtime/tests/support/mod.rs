//! What several tests need.

#![allow(dead_code)]

use std::process::Command;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// No single step of a test may take longer: only one that hangs does, however busy the machine is.
pub(crate) const STEP_MAX: Duration = Duration::from_secs(30);

/// Nor a whole test.
pub(crate) const TEST_MAX: Duration = Duration::from_secs(120);

/// Runs `f` on a thread of its own, and fails if it has not come back at the deadline.
pub(crate) fn within<T: Send + 'static>(
    limit: Duration,
    f: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let _ = sender.send(f());
    });
    match receiver.recv_timeout(limit) {
        Ok(output) => {
            thread.join().expect("it has sent its output");
            output
        }
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("not finished after {limit:?}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().expect_err("it has sent nothing"))
        }
    }
}

/// Waits until `condition` holds, and fails if that takes longer than a step may.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < STEP_MAX, "stalled: {what}");
        thread::yield_now();
    }
}

const CHILD: &str = "SMOLKIT_TEST_CHILD";

/// Runs the test `name` again in a process of its own, where nothing else is counted.
pub(crate) fn alone(name: &str, test: impl FnOnce()) {
    if std::env::var_os(CHILD).is_some() {
        return test();
    }
    let status = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        // Who waits for ever is left behind on purpose.
        .env("ASAN_OPTIONS", "detect_leaks=0")
        .status();
    assert!(status.expect("this program again").success());
}

/// `small` normally; `full` when the variable SMOLKIT_FULL asks for the long run.
pub(crate) fn rounds(small: usize, full: usize) -> usize {
    if std::env::var_os("SMOLKIT_FULL").is_some() { full } else { small }
}

/// Lets this process have `wanted` descriptors, or as many as it may; says how many those are.
pub(crate) fn raise_descriptor_limit(wanted: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let present = getrlimit(Resource::Nofile);
    let allowed = present.maximum.unwrap_or(u64::MAX).min(wanted);
    if present.current.is_some_and(|current| current < allowed) {
        let limit = Rlimit { current: Some(allowed), maximum: present.maximum };
        setrlimit(Resource::Nofile, limit).unwrap();
    }
    allowed.max(present.current.unwrap_or(u64::MAX).min(wanted))
}

/// The CPU time of this thread.
pub(crate) fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// How many file descriptors this process has open.
pub(crate) fn open_fds() -> usize {
    // The directory's own descriptor is in the list.
    std::fs::read_dir("/dev/fd").expect("a list of descriptors").count() - 1
}

/// What the system says of one thread of this process.
#[cfg(target_os = "linux")]
pub(crate) struct ThreadStatus(String);

#[cfg(target_os = "linux")]
impl ThreadStatus {
    fn field(&self, key: &str) -> &str {
        let value = self.0.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(":\t"));
        value.expect("every thread has this field")
    }

    pub(crate) fn id(&self) -> u32 {
        self.field("Pid").parse().expect("a number")
    }

    pub(crate) fn name(&self) -> &str {
        self.field("Name")
    }

    pub(crate) fn is_asleep(&self) -> bool {
        self.field("State").starts_with('S')
    }

    /// How often it has gone to sleep.
    pub(crate) fn voluntary_switches(&self) -> u64 {
        self.field("voluntary_ctxt_switches").parse().expect("a number")
    }
}

/// All threads of this process. One that ends meanwhile is left out: it is in the list and has no status any more.
#[cfg(target_os = "linux")]
pub(crate) fn threads() -> impl Iterator<Item = ThreadStatus> {
    let list = std::fs::read_dir("/proc/self/task").expect("a list of threads");
    list.flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("status")).ok())
        .map(ThreadStatus)
}

/// How many threads of this process have a name that starts so.
#[cfg(target_os = "linux")]
pub(crate) fn threads_named(prefix: &str) -> usize {
    threads().filter(|thread| thread.name().starts_with(prefix)).count()
}

/// No reports of panics that say "on purpose".
pub(crate) fn quiet_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&"on purpose") {
                default(info);
            }
        }));
    });
}

/// A small generator of pseudo-random numbers.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }
}

/// Leaves a value behind for good, where a leak checker still finds it.
pub(crate) fn keep<T: 'static>(value: T) -> &'static T {
    let kept = Box::leak(Box::new(value));
    remember(kept);
    kept
}

/// `mem::forget`, but a leak checker still finds it.
pub(crate) fn forget_reachable<T>(value: T) {
    remember(Box::into_raw(Box::new(value)));
}

fn remember<T>(kept: *const T) {
    static KEPT: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    KEPT.lock().expect("nobody panics here").push(kept.expose_provenance());
}
