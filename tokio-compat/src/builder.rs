//! A Tokio runtime of our own, on threads with a name.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::TokioContext;

/// Starts a Tokio runtime for a [`TokioContext`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use smolkit_tokio_compat::TokioContext;
/// # use smolkit_runtime as smolkit;
///
/// let context = TokioContext::builder().workers(2).thread_name("clients").build()?;
/// smolkit::block_on(context.run(async {
///     tokio::time::sleep(Duration::from_millis(1)).await;
/// }));
/// context.shutdown(Duration::from_secs(1));
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    workers: usize,
    thread_name: String,
}

impl Builder {
    pub(crate) fn new() -> Builder {
        Builder { workers: 1, thread_name: "smolkit-tokio".to_owned() }
    }

    /// How many threads poll what `tokio::spawn` spawns. Default: 1, which is Tokio's current-thread runtime on a thread of its own. More are its multi-thread
    /// runtime, and one thread that looks after it.
    ///
    /// # Panics
    ///
    /// If it is 0.
    pub fn workers(mut self, workers: usize) -> Builder {
        assert!(workers > 0, "a Tokio runtime needs a worker");
        self.workers = workers;
        self
    }

    /// The name of the threads; what the system shows of it has 15 bytes. Default: `smolkit-tokio`.
    pub fn thread_name(mut self, name: impl Into<String>) -> Builder {
        self.thread_name = name.into();
        self
    }

    /// Starts the runtime, with all of I/O and timers that is compiled into Tokio.
    ///
    /// # Errors
    ///
    /// EAGAIN if the system refuses a thread, EMFILE for the poller; `InvalidInput` for a name with a zero in it.
    ///
    /// # Panics
    ///
    /// With more than one worker Tokio itself panics if the system refuses it a thread.
    pub fn build(self) -> io::Result<TokioContext> {
        if self.thread_name.contains('\0') {
            let message = "the name of Tokio's threads has a zero in it";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let mut builder = match self.workers {
            1 => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        builder.worker_threads(self.workers).thread_name(&self.thread_name).enable_all();
        let runtime = builder.build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        // If the thread is refused, the runtime is dropped here, which a thread of another runtime must not do.
        let runtime = OnlyInBackground(Some(runtime));
        let thread = thread::Builder::new().name(self.thread_name).spawn(move || {
            let runtime = runtime.into_inner();
            // An error: the last context has gone.
            let timeout = runtime.block_on(stopped).unwrap_or(Duration::ZERO);
            runtime.shutdown_timeout(timeout);
        })?;
        Ok(TokioContext::owned(handle, Owner { running: Mutex::new(Some((stop, thread))) }))
    }
}

/// A runtime whose drop waits for nothing.
struct OnlyInBackground(Option<tokio::runtime::Runtime>);

impl OnlyInBackground {
    fn into_inner(mut self) -> tokio::runtime::Runtime {
        self.0.take().expect("taken once")
    }
}

impl Drop for OnlyInBackground {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// What ends a runtime: its thread, and how to tell it. Dropped, it tells and does not wait.
pub(crate) struct Owner {
    running: Mutex<Option<(oneshot::Sender<Duration>, JoinHandle<()>)>>,
}

impl Owner {
    pub(crate) fn shutdown(&self, timeout: Duration, waits: bool) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((stop, thread)) = running else { return };
        // An error: it has panicked, which the join does not tell either.
        let _ = stop.send(timeout);
        if waits {
            let _ = thread.join();
        }
    }
}
