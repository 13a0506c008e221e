//! Which Tokio runtime is found.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{EnterGuard, Handle};

use crate::builder::{Builder, Owner};
use crate::future::InContext;

/// A Tokio runtime that futures find: one of the program's own, by its `Handle`, or one that a [`Builder`] has started.
///
/// Clones are the same runtime.
///
/// # Examples
///
/// ```
/// use smolkit_tokio_compat::TokioContext;
/// # use smolkit_runtime as smolkit;
///
/// // A runtime that is there anyway, and is driven by threads of its own.
/// let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
/// let context = TokioContext::from(tokio.handle().clone());
/// let spawned = smolkit::block_on(context.run(async { tokio::spawn(async { 1 }).await }));
/// assert_eq!(spawned.map_err(std::io::Error::other)?, 1);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct TokioContext {
    handle: Handle,
    /// Ends the runtime with the last clone, if it is ours.
    owner: Option<Arc<Owner>>,
}

/// For [`compat`]; started with the first one.
static DEFAULT: Mutex<Option<TokioContext>> = Mutex::new(None);

/// Runs a future where it finds Tokio: in the context of the calling thread, if it has one (within a Tokio program), and else in the default one.
///
/// That is what [`set_default`] has set, or a runtime with one thread, `smolkit-tokio`, which starts now.
///
/// # Errors
///
/// The default runtime could not be started: EAGAIN if the system refuses a thread, EMFILE for its poller. Trying again helps if these pass by.
///
/// # Examples
///
/// See [the crate](crate).
pub fn compat<F>(future: F) -> io::Result<InContext<F>> {
    Ok(TokioContext::current()?.run(future))
}

/// Sets what [`compat`] uses from now on where a thread has no context of its own. Returns what it used before.
///
/// Futures that run keep theirs.
pub fn set_default(context: TokioContext) -> Option<TokioContext> {
    DEFAULT.lock().unwrap_or_else(PoisonError::into_inner).replace(context)
}

impl TokioContext {
    /// For a runtime of its own, with the number of its threads.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// What [`compat`] would use now.
    ///
    /// # Errors
    ///
    /// As for [`compat`].
    pub fn current() -> io::Result<TokioContext> {
        if let Ok(handle) = Handle::try_current() {
            return Ok(TokioContext::from(handle));
        }
        let mut default = DEFAULT.lock().unwrap_or_else(PoisonError::into_inner);
        if default.is_none() {
            *default = Some(Builder::new().build()?);
        }
        Ok(default.clone().expect("set above"))
    }

    pub(crate) fn owned(handle: Handle, owner: Owner) -> TokioContext {
        TokioContext { handle, owner: Some(Arc::new(owner)) }
    }

    /// Runs a future, or a stream, where it finds this runtime.
    pub fn run<F>(&self, future: F) -> InContext<F> {
        InContext::new(future, self.clone())
    }

    /// Lets the calling thread find this runtime until the guard is dropped: for what is no future, like making a `tokio::net::TcpListener` from one of std.
    ///
    /// Not across an `.await`: the guard belongs to the thread, and the compiler says so where the future must be `Send`.
    ///
    /// # Panics
    ///
    /// While the thread ends, after its thread-local variables are gone; and if guards are not dropped in the reverse order.
    pub fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }

    pub(crate) fn try_enter(&self) -> Option<EnterGuard<'_>> {
        let gone = Handle::try_current().is_err_and(|error| error.is_thread_local_destroyed());
        (!gone).then(|| self.handle.enter())
    }

    /// The runtime's handle.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Ends the runtime, if a [`Builder`] has started it: drops what it has spawned, and waits for its thread, and for its blocking work no longer than `timeout`.
    ///
    /// It blocks the calling thread. A runtime of the program's own is left alone. Called by one of the runtime's own tasks it does not wait.
    pub fn shutdown(self, timeout: Duration) {
        if let Some(owner) = &self.owner {
            let is_here = Handle::try_current().is_ok_and(|here| here.id() == self.handle.id());
            // Without a task it is merely entered.
            owner.shutdown(timeout, !(is_here && tokio::task::try_id().is_some()));
        }
    }
}

impl From<Handle> for TokioContext {
    /// Somebody must drive that runtime: a multi-thread one does so itself, a current-thread one only while some thread is in its `block_on`.
    fn from(handle: Handle) -> TokioContext {
        TokioContext { handle, owner: None }
    }
}

impl fmt::Debug for TokioContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioContext")
            .field("runtime", &self.handle.id())
            .field("owned", &self.owner.is_some())
            .finish()
    }
}
