//! Waits for the children whose handles were dropped.
//!
//! A thread of its own, so that it depends on no runtime; it exists only while there are such children.

use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use smolkit_runtime::{LocalExecutor, block_on};

use crate::process::Running;

static ORPHANS: Mutex<Orphans> =
    Mutex::new(Orphans { arrived: Vec::new(), tended_count: 0, has_thread: false, waker: None });

struct Orphans {
    /// Not taken over by the thread yet.
    arrived: Vec<Orphan>,
    /// Taken over, and still running.
    tended_count: usize,
    has_thread: bool,
    waker: Option<Waker>,
}

struct Orphan {
    running: Running,
    /// It was asked to end; SIGKILL follows after so long.
    grace: Option<Duration>,
}

/// Sees to it that the child is waited for when it ends.
pub(crate) fn adopt(running: Running, grace: Option<Duration>) {
    lock().arrived.push(Orphan { running, grace });
    tend();
}

/// Makes sure that somebody looks after those who have arrived.
///
/// If the system refuses the thread, those that have ended are waited for here, and the others at the next spawn or drop.
pub(crate) fn tend() {
    let mut orphans = lock();
    if orphans.has_thread {
        let waker = orphans.waker.take();
        drop(orphans);
        if let Some(waker) = waker {
            waker.wake();
        }
        return;
    }
    if orphans.arrived.is_empty() {
        return;
    }
    orphans.has_thread = true;
    drop(orphans);
    let thread = thread::Builder::new().name("smolkit-reaper".into());
    if thread.spawn(|| block_on(reap())).is_err() {
        let mut orphans = lock();
        orphans.has_thread = false;
        orphans.arrived.retain(|orphan| matches!(orphan.running.try_wait(), Ok(None)));
    }
}

async fn reap() {
    let executor = LocalExecutor::new();
    let take_over = async {
        while let Some(arrived) = arrivals().await {
            for orphan in arrived {
                executor.spawn(wait(orphan)).detach();
            }
        }
    };
    executor.run(take_over).await;
}

/// Those who have arrived. `None`: nobody is left, and the thread may go.
async fn arrivals() -> Option<Vec<Orphan>> {
    poll_fn(|cx| {
        let mut orphans = lock();
        if !orphans.arrived.is_empty() {
            let arrived = std::mem::take(&mut orphans.arrived);
            orphans.tended_count += arrived.len();
            return Poll::Ready(Some(arrived));
        }
        if orphans.tended_count == 0 {
            // Under the same lock: who arrives from now on starts another thread.
            orphans.has_thread = false;
            return Poll::Ready(None);
        }
        orphans.waker = Some(cx.waker().clone());
        Poll::Pending
    })
    .await
}

async fn wait(orphan: Orphan) {
    // An error means that somebody else has waited for it: nothing is left to do.
    let _ = match orphan.grace {
        Some(grace) => orphan.running.kill_after(grace).await,
        None => orphan.running.wait().await,
    };
    drop(orphan);
    let mut orphans = lock();
    orphans.tended_count -= 1;
    let waker = if orphans.tended_count == 0 { orphans.waker.take() } else { None };
    drop(orphans);
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn lock() -> MutexGuard<'static, Orphans> {
    ORPHANS.lock().unwrap_or_else(PoisonError::into_inner)
}
