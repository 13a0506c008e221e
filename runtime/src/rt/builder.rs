//! How a runtime is to be.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use super::metrics::Counters;
use super::stalls::Stalls;
use super::worker::Worker;
use super::{Handle, Inner, Runtime};
use crate::blocking;
use crate::executor::state::Shared;
use crate::reactor::Shard;
use crate::rt::warden::Warden;
use crate::sync::thread::JoinHandle;
use crate::sync::{AtomicBool, AtomicUsize, BACKLOG_MIN, Condvar, Mutex, Ordering};
use crate::sys::cores::parallelism;
use crate::threads;

/// As many workers as anybody could want; a typing error should not start a million threads.
pub(super) const WORKERS_MAX: usize = 1024;

/// What the builder says about the workers.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) has_helper_threads: bool,
    pub(super) on_thread_start: Hook,
    pub(super) on_thread_stop: Hook,
    pub(super) on_thread_park: Hook,
    pub(super) on_thread_unpark: Hook,
}

/// Something to be called on a worker's thread.
#[derive(Clone, Default)]
pub(super) struct Hook(Option<Arc<dyn Fn() + Send + Sync>>);

impl Hook {
    fn new(hook: impl Fn() + Send + Sync + 'static) -> Hook {
        Hook(Some(Arc::new(hook)))
    }

    pub(super) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Calls it. False if there is none.
    pub(super) fn call(&self) -> bool {
        if let Some(hook) = &self.0 {
            // The panic hook reports a panic; a worker does not end by it.
            let _ = panic::catch_unwind(AssertUnwindSafe(|| hook()));
        }
        self.0.is_some()
    }
}

/// Workers that run, but are not yet anybody's to stop.
pub(super) struct Started {
    pub(super) handle: Handle,
    threads: Vec<JoinHandle<()>>,
    /// Why they are fewer than wanted.
    refused: Option<io::Error>,
}

/// Settings for a [`Runtime`].
///
/// # Examples
///
/// ```
/// use smolkit_runtime::Runtime;
///
/// let runtime = Runtime::builder()
///     .workers(2)
///     .thread_name("my-worker")
///     .on_thread_start(|| { /* say, pin the thread to a core */ })
///     .build()?;
/// assert_eq!(runtime.workers(), 2);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct Builder {
    workers: usize,
    thread_name: String,
    thread_stack_size: usize,
    max_blocking_threads: Option<usize>,
    thread_keep_alive: Option<Duration>,
    settings: Settings,
}

impl Builder {
    pub(crate) fn new() -> Builder {
        Builder {
            workers: parallelism(),
            thread_name: "smolkit-worker".into(),
            thread_stack_size: 2 * 1024 * 1024,
            max_blocking_threads: None,
            thread_keep_alive: None,
            settings: Settings {
                has_helper_threads: true,
                on_thread_start: Hook::default(),
                on_thread_stop: Hook::default(),
                on_thread_park: Hook::default(),
                on_thread_unpark: Hook::default(),
            },
        }
    }

    /// How many worker threads: 1 to 1,024. By default one for each core.
    ///
    /// # Panics
    ///
    /// If `count` is out of that range.
    pub fn workers(mut self, count: usize) -> Builder {
        assert!((1..=WORKERS_MAX).contains(&count), "workers: {count} is not in 1..={WORKERS_MAX}");
        self.workers = count;
        self
    }

    /// What the worker threads are called; `-0`, `-1`... is added. By default `smolkit-worker`.
    ///
    /// Linux shows the first 15 bytes of it.
    ///
    /// # Panics
    ///
    /// If there is a zero byte in `name`: no system takes it.
    pub fn thread_name(mut self, name: impl Into<String>) -> Builder {
        self.thread_name = name.into();
        let name = &self.thread_name;
        assert!(!name.contains('\0'), "thread_name: {name:?} has a zero byte in it");
        self
    }

    /// The size of a worker's stack in bytes. By default 2 MiB.
    ///
    /// The system may need more, and takes what it needs; a size that it does not have is an error of [`build`](Builder::build). How much a
    /// task needs is for you to know: one that runs beyond its worker's stack ends the process.
    pub fn thread_stack_size(mut self, bytes: usize) -> Builder {
        self.thread_stack_size = bytes;
        self
    }

    /// How many threads for blocking work there may be at once: 1 to 10,000. By default what `BLOCKING_MAX_THREADS` says, or else 500.
    ///
    /// There is one pool for the whole process: this sets its limit when the runtime is built, as
    /// [`blocking::set_limits`](crate::blocking::set_limits) does at any time, and the last one who sets it decides.
    ///
    /// # Panics
    ///
    /// If `count` is out of that range.
    pub fn max_blocking_threads(mut self, count: usize) -> Builder {
        let range = 1..=blocking::THREADS_MAX;
        assert!(range.contains(&count), "max_blocking_threads: {count} is not in {range:?}");
        self.max_blocking_threads = Some(count);
        self
    }

    /// How long a thread for blocking work waits for the next job before it ends. By default 5 s.
    ///
    /// For the whole process, as [`max_blocking_threads`](Builder::max_blocking_threads).
    pub fn thread_keep_alive(mut self, time: Duration) -> Builder {
        self.thread_keep_alive = Some(time);
        self
    }

    /// Whether threads other than the workers may be started for this runtime. By default they may.
    ///
    /// With `false`, none is on behalf of what runs on its workers and in its [`block_on`](Runtime::block_on), or where it has been
    /// [entered](Runtime::enter). Tasks, timers and I/O need none. What does:
    ///
    /// - [`unblock`](crate::unblock): its closure runs on the calling thread, before the call returns, if the process has no thread for blocking
    ///   work yet; else on one of those.
    /// - I/O or a timer that was first waited for outside of this runtime and of any `block_on`: if the process has no thread for that yet, waiting for I/O is an
    ///   error ([`Unsupported`](io::ErrorKind::Unsupported)), and a timer keeps its thread busy until its time has come.
    /// - a foreign `block_on` in a task or in `block_on`: what it waits for comes only if another worker, or another thread in
    ///   `block_on`, is there to drive.
    pub fn helper_threads(mut self, may_start: bool) -> Builder {
        self.settings.has_helper_threads = may_start;
        self
    }

    /// Calls `hook` on each worker's thread before it runs the first task.
    ///
    /// A panic of this hook, or of those below, is reported by the panic hook, and otherwise ignored.
    pub fn on_thread_start(mut self, hook: impl Fn() + Send + Sync + 'static) -> Builder {
        self.settings.on_thread_start = Hook::new(hook);
        self
    }

    /// Calls `hook` on each worker's thread when it ends.
    pub fn on_thread_stop(mut self, hook: impl Fn() + Send + Sync + 'static) -> Builder {
        self.settings.on_thread_stop = Hook::new(hook);
        self
    }

    /// Calls `hook` on a worker's thread each time before it sleeps. It should be short, and must not block.
    pub fn on_thread_park(mut self, hook: impl Fn() + Send + Sync + 'static) -> Builder {
        self.settings.on_thread_park = Hook::new(hook);
        self
    }

    /// Calls `hook` on a worker's thread each time after it has slept.
    pub fn on_thread_unpark(mut self, hook: impl Fn() + Send + Sync + 'static) -> Builder {
        self.settings.on_thread_unpark = Hook::new(hook);
        self
    }

    /// Starts the runtime.
    ///
    /// # Errors
    ///
    /// When the system gives no more threads or file descriptors (each worker takes one thread and two descriptors). Workers
    /// that had started are stopped again.
    pub fn build(self) -> io::Result<Runtime> {
        let (threads_max, keep_alive) = (self.max_blocking_threads, self.thread_keep_alive);
        let Started { handle, threads, refused } = self.start()?;
        let runtime = Runtime { handle, threads: Mutex::new(threads) };
        match refused {
            Some(error) => Err(error),
            None => {
                blocking::set_some_limits(threads_max, keep_alive);
                Ok(runtime)
            }
        }
    }

    /// Starts as many of the workers as the system allows. An error if that is none.
    pub(super) fn start(self) -> io::Result<Started> {
        let shards = (0..self.workers).map(|_| Shard::new(false)).collect::<io::Result<_>>();
        let shards = shards.map_err(|error| {
            let tried = format!("cannot make the pollers of {} workers: {error}", self.workers);
            io::Error::new(error.kind(), tried)
        })?;
        // A single worker has nobody to call: it finds its own queue empty before it sleeps.
        let backlog_min = if self.workers > 1 { BACKLOG_MIN } else { usize::MAX };
        let handle = Handle(Arc::new(Inner {
            shared: Shared::new(backlog_min, self.workers),
            shards,
            warden: Warden::new(),
            stalls: Stalls::new(self.workers),
            counters: (0..self.workers).map(|_| Counters::default()).collect(),
            settings: self.settings,
            is_stopping: AtomicBool::new(false),
            workers: AtomicUsize::new(self.workers),
            at_risk: AtomicUsize::new(0),
            is_ward: AtomicBool::new(false),
            gone: Mutex::new(0),
            has_gone: Condvar::new(),
        }));
        let mut threads = Vec::new();
        let mut refused = None;
        for index in 0..self.workers {
            let worker = handle.clone();
            let name = format!("{}-{index}", self.thread_name);
            let life = Box::new(move || Worker::new(worker, index).run());
            match threads::start(name, Some(self.thread_stack_size), life) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    // Relaxed: whoever has a task has it from somebody who got the handle after this.
                    handle.0.workers.store(index, Ordering::Relaxed);
                    let tried = format!("cannot start worker {index} of {}: {error}", self.workers);
                    let error = io::Error::new(error.kind(), tried);
                    if index == 0 {
                        return Err(error);
                    }
                    refused = Some(error);
                    break;
                }
            }
        }
        Ok(Started { handle, threads, refused })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("workers", &self.workers)
            .field("thread_name", &self.thread_name)
            .field("thread_stack_size", &self.thread_stack_size)
            .field("helper_threads", &self.settings.has_helper_threads)
            .finish_non_exhaustive()
    }
}
