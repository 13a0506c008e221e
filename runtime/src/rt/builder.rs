//! How a runtime is to be.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::worker::Worker;
use super::{Handle, Inner, Runtime};
use crate::executor::state::Shared;
use crate::reactor::Shard;
use crate::rt::warden::Warden;
use crate::sync::Mutex;

/// With several workers, so many tasks have to wait in a worker's queue before another one is woken to help, or takes some of them.
///
/// Fewer are reached by their owner within microseconds, and would only drag their connections' memory to another
/// core; the warden sees to it that an owner that does not get there is relieved.
const BACKLOG_MIN: usize = 16;
/// As many workers as anybody could want; a typing error should not start a million threads.
const WORKERS_MAX: usize = 1024;

/// Settings for a [`Runtime`].
#[derive(Clone, Debug)]
pub struct Builder {
    workers: usize,
    thread_name: String,
    thread_stack_bytes: usize,
}

impl Builder {
    pub(crate) fn new() -> Builder {
        Builder {
            workers: thread::available_parallelism().map_or(1, usize::from),
            thread_name: "smolkit-worker".into(),
            thread_stack_bytes: 2 * 1024 * 1024,
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
    pub fn thread_name(mut self, name: impl Into<String>) -> Builder {
        self.thread_name = name.into();
        self
    }

    /// The size of a worker's stack. By default 2 MiB.
    pub fn thread_stack_bytes(mut self, bytes: usize) -> Builder {
        self.thread_stack_bytes = bytes;
        self
    }

    /// Starts the runtime.
    ///
    /// # Errors
    ///
    /// When the system gives no more threads or file descriptors (each worker takes one thread and two descriptors). Workers
    /// that had started are stopped again.
    pub fn build(self) -> io::Result<Runtime> {
        let (runtime, refused) = self.build_some()?;
        match refused {
            Some(error) => Err(error),
            None => Ok(runtime),
        }
    }

    /// Starts as many of the workers as the system allows. An error if that is none.
    pub(super) fn build_some(self) -> io::Result<(Runtime, Option<io::Error>)> {
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
            is_stopping: AtomicBool::new(false),
            workers: AtomicUsize::new(self.workers),
            gone: AtomicUsize::new(0),
        }));
        let runtime = Runtime { handle: handle.clone(), threads: Mutex::new(Vec::new()) };
        for index in 0..self.workers {
            let handle = handle.clone();
            let thread = thread::Builder::new()
                .name(format!("{}-{index}", self.thread_name))
                .stack_size(self.thread_stack_bytes)
                .spawn(move || Worker::new(handle, index).run());
            match thread {
                Ok(thread) => crate::sync::lock(&runtime.threads).push(thread),
                Err(error) => {
                    runtime.handle.0.workers.store(index, Ordering::Relaxed);
                    let tried = format!("cannot start worker {index} of {}: {error}", self.workers);
                    let error = io::Error::new(error.kind(), tried);
                    return if index == 0 { Err(error) } else { Ok((runtime, Some(error))) };
                }
            }
        }
        Ok((runtime, None))
    }
}
