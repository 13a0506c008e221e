//! What becomes of a future that is spawned on a local executor.
//!
//! As for executors of many threads, a task holds no counted reference to its executor: the core outlives every future in it, and
//! `async_task` calls the schedule function only for a task whose future is still there.

use std::future::Future;
use std::task::Waker;

use async_task::{Builder, Runnable, Task};

use super::core::Core;
use crate::executor::tracked::{INLINE_BYTES_MAX, Place, Tracked};

/// A task that has not waited yet has no place on the list.
const UNLISTED: usize = usize::MAX;

/// Spawns a task.
///
/// # Safety
///
/// To be called on the core's thread. The core must live, and must stay where it is, until the future has been dropped; so must what the future borrows.
pub(super) unsafe fn spawn<T>(core: &Core, future: impl Future<Output = T>) -> Task<T> {
    if size_of_val(&future) > INLINE_BYTES_MAX {
        // SAFETY: the caller's promise; a box changes nothing about it.
        unsafe { spawn_inline(core, Box::pin(future)) }
    } else {
        // SAFETY: the caller's promise.
        unsafe { spawn_inline(core, future) }
    }
}

/// # Safety
///
/// As `spawn`.
unsafe fn spawn_inline<T>(core: &Core, future: impl Future<Output = T>) -> Task<T> {
    let home = Home(core);
    core.count_begin();
    let tracked = Tracked::new(future, Entry { home, key: UNLISTED });
    let builder = Builder::new().propagate_panic(true);
    // SAFETY: tasks are run and dropped by `Core` alone, whose thread this is. The schedule function is `Send`, `Sync` and `'static` but for the
    // pointer in it, which is good for as long as `async_task` calls it: until the future has been dropped.
    let (runnable, task) = unsafe {
        builder.spawn_unchecked(move |()| tracked, move |runnable| schedule(home, runnable))
    };
    if core.is_closed() {
        drop(runnable);
    } else {
        core.push(runnable);
    }
    task
}

/// A task's executor.
#[derive(Clone, Copy)]
struct Home(*const Core);

// SAFETY: other threads read through it only what never changes (`thread`, `remote`).
unsafe impl Send for Home {}
// SAFETY: as above.
unsafe impl Sync for Home {}

/// The schedule function. `async_task` calls it for a task whose future has not been dropped, so the core is there.
fn schedule(home: Home, runnable: Runnable) {
    // SAFETY: see above.
    if unsafe { Core::is_mine(home.0) } {
        // SAFETY: see above, and this is the core's thread.
        let core = unsafe { &*home.0 };
        core.push(runnable);
    } else {
        // SAFETY: see above. As soon as the task is out of our hands it can end, and the core with it: what we need after that is ours.
        let remote = unsafe { Core::remote(home.0) };
        remote.push(runnable);
    }
}

/// Where the executor finds a task.
struct Entry {
    home: Home,
    key: usize,
}

impl Place for Entry {
    fn is_listed(&self) -> bool {
        self.key != UNLISTED
    }

    fn list(&mut self, waker: &Waker) {
        // SAFETY: the future that this belongs to is here, and being polled: on the core's thread.
        let core = unsafe { &*self.home.0 };
        self.key = core.list(waker);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // SAFETY: this belongs to the future, which is being dropped: on the core's thread, and the core waits for it.
        let core = unsafe { &*self.home.0 };
        if self.is_listed() {
            core.unlist(self.key);
        }
        core.count_end();
    }
}
