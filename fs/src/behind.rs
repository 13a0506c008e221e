//! Writes on their way to a file.
//!
//! `write` only copies into a buffer; a job on a thread that may block writes that to the file, and goes on until nothing is left. What fails there is told to
//! the next one who writes, flushes, syncs or closes; if nobody asks, it is logged. The same goes for what a sync finds.
//!
//! Changes beside the position pass by here as well, because they may be finished when nobody waits for them any more.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use smolkit_runtime::unblock;

/// So much may wait to be written, and as much again be with the thread that writes.
const BYTES_MAX: usize = 512 << 10;

#[derive(Debug)]
pub(crate) struct Behind {
    file: Arc<File>,
    state: Mutex<State>,
    /// The file was changed beside its position: what was read ahead may not be so any more.
    is_stale: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// To be written next.
    bytes: Vec<u8>,
    /// Kept for its memory.
    spare: Vec<u8>,
    /// A job is under way.
    is_busy: bool,
    /// Not told to anybody yet. What was written after it is lost as well.
    error: Option<io::Error>,
    /// Who waits for room, or for all to be written.
    wakers: Vec<Waker>,
}

impl Behind {
    pub(crate) fn new(file: Arc<File>) -> Arc<Behind> {
        Arc::new(Behind { file, state: Mutex::default(), is_stale: AtomicBool::new(false) })
    }

    /// Takes bytes over, as soon as there is room for one.
    pub(crate) fn poll_write(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let waker = cx.waker().clone();
        let mut state = self.lock();
        if let Some(error) = state.error.take() {
            drop(state);
            return Poll::Ready(Err(error));
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let count = bytes.len().min(BYTES_MAX - state.bytes.len());
        if count == 0 {
            let former = state.wait(waker);
            drop(state);
            drop(former);
            return Poll::Pending;
        }
        state.bytes.extend_from_slice(&bytes[..count]);
        let is_first = !mem::replace(&mut state.is_busy, true);
        drop(state);
        if is_first {
            let job = Job(Some(self.clone()));
            unblock(move || job.run()).detach();
        }
        Poll::Ready(Ok(count))
    }

    /// Waits until all has been written, or has failed, which is told once.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waker = cx.waker().clone();
        let mut state = self.lock();
        if state.is_busy {
            let former = state.wait(waker);
            drop(state);
            drop(former);
            return Poll::Pending;
        }
        let error = state.error.take();
        drop(state);
        Poll::Ready(error.map_or(Ok(()), Err))
    }

    /// Keeps a failure as one of a write.
    pub(crate) fn sync(&self, sync: fn(&File) -> io::Result<()>) {
        if let Err(error) = sync(&self.file) {
            self.lock().error.get_or_insert(error);
        }
    }

    /// Changes the file beside its position.
    pub(crate) fn beside<T>(&self, change: impl FnOnce(&File) -> T) -> T {
        let result = change(&self.file);
        // Here and not where it is waited for: who waits may have left.
        self.is_stale.store(true, Ordering::SeqCst);
        result
    }

    pub(crate) fn is_stale(&self) -> bool {
        self.is_stale.load(Ordering::SeqCst)
    }

    pub(crate) fn renew(&self) {
        self.is_stale.store(false, Ordering::SeqCst);
    }

    /// Writes until nothing is left.
    fn work(&self) {
        loop {
            let mut state = self.lock();
            let is_over = state.bytes.is_empty();
            let mut bytes = Vec::new();
            if is_over {
                state.is_busy = false;
            } else {
                bytes = mem::take(&mut state.bytes);
                state.bytes = mem::take(&mut state.spare);
            }
            let wakers = mem::take(&mut state.wakers);
            drop(state);
            wake(wakers);
            if is_over {
                return;
            }
            if let Err(error) = (&*self.file).write_all(&bytes) {
                return self.fail(error);
            }
            bytes.clear();
            self.lock().spare = bytes;
        }
    }

    fn fail(&self, error: io::Error) {
        let mut state = self.lock();
        // After a gap they would stand in the wrong place.
        state.bytes.clear();
        state.error = Some(error);
        state.is_busy = false;
        let wakers = mem::take(&mut state.wakers);
        drop(state);
        wake(wakers);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that could panic runs under it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the pool is given. Dropped instead of run, because the pool was shut down, it leaves nobody waiting.
struct Job(Option<Arc<Behind>>);

impl Job {
    fn run(mut self) {
        if let Some(behind) = self.0.take() {
            behind.work();
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(behind) = &self.0 {
            let message = "cannot write: the pool for blocking work was shut down";
            behind.fail(io::Error::other(message));
        }
    }
}

impl State {
    /// Returns a waker to be dropped when the lock is released.
    fn wait(&mut self, waker: Waker) -> Option<Waker> {
        match self.wakers.iter().any(|known| known.will_wake(&waker)) {
            true => Some(waker),
            false => {
                self.wakers.push(waker);
                None
            }
        }
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = &state.error {
            tracing::error!(%error, file = ?self.file, "a write failed after the last flush of a file that was dropped: what was written is lost");
        }
    }
}

/// Wakes all of them. The panic of a foreign waker must not end the job, with which writes would be lost; the panic hook has reported it.
fn wake(wakers: Vec<Waker>) {
    for waker in wakers {
        drop(catch_unwind(AssertUnwindSafe(|| waker.wake())));
    }
}
