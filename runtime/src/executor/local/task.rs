//! What becomes of a future that is spawned on a local executor.
//!
//! As for executors of many threads, a task holds no counted reference to its executor: the core outlives every future in it, and
//! `async_task` calls the schedule function only for a task whose future is still there. There is a primary one here, too.

use std::future::Future;
use std::ptr;
use std::task::Waker;

use async_task::{Builder, Runnable, Task};

use super::core::Core;
use crate::executor::primary::{At, Home, InPrimary, Primary, Ranked};
use crate::executor::tracked::{Place, Tracked};
use crate::executor::wakers::Key;
use crate::sync::StaticPtr;

impl Ranked for Core {
    #[inline]
    fn rank() -> &'static Primary<Core> {
        static PRIMARY: Primary<Core> = Primary(StaticPtr::new(ptr::null_mut()));
        &PRIMARY
    }
}

/// Spawns a task.
///
/// # Safety
///
/// To be called on the core's thread. The core must live, and must stay where it is, until the future has been dropped; so must what the future borrows.
pub(super) unsafe fn spawn<T>(core: &Core, future: impl Future<Output = T>) -> Task<T> {
    let (runnable, task) = if core.is_primary() {
        // SAFETY: the caller's promise, and a core keeps the rank while it has tasks.
        unsafe { make(InPrimary, core, future) }
    } else {
        // SAFETY: as above.
        unsafe { make(At(core), core, future) }
    };
    if core.is_closed() {
        drop(runnable);
    } else {
        core.push(runnable);
    }
    task
}

/// # Safety
///
/// As [`spawn`]; `home` must stand for `core` as long.
unsafe fn make<T>(
    home: impl Home<Core>,
    core: &Core,
    future: impl Future<Output = T>,
) -> (Runnable, Task<T>) {
    core.count_begin();
    let tracked = Tracked::new(future, Entry { home, key: Key::NOWHERE });
    let builder = Builder::new().propagate_panic(true);
    // SAFETY: tasks are run and dropped by `Core` alone, whose thread this is. The schedule function is `Send`, `Sync` and `'static` but for the
    // pointer in it, which is good for as long as `async_task` calls it: until the future has been dropped.
    unsafe {
        builder.spawn_unchecked(move |()| tracked, move |runnable| schedule(home.get(), runnable))
    }
}

/// The schedule function. `async_task` calls it for a task whose future has not been dropped, so the core is there.
fn schedule(home: *const Core, runnable: Runnable) {
    // SAFETY: see above.
    if unsafe { Core::is_mine(home) } {
        // SAFETY: see above, and this is the core's thread.
        let core = unsafe { &*home };
        core.push(runnable);
    } else {
        // SAFETY: see above. As soon as the task is out of our hands it can end, and the core with it: what we need after that is ours.
        let remote = unsafe { Core::remote(home) };
        remote.push(runnable);
    }
}

/// Where the executor finds a task.
struct Entry<H: Home<Core>> {
    home: H,
    /// Nowhere before the first wait.
    key: Key,
}

impl<H: Home<Core>> Entry<H> {
    #[inline]
    fn core(&self) -> &Core {
        // SAFETY: this belongs to a future, which is polled and dropped on the core's thread, and whose end the core waits for.
        unsafe { &*self.home.get() }
    }
}

impl<H: Home<Core>> Place for Entry<H> {
    fn is_listed(&self) -> bool {
        !self.key.is_nowhere()
    }

    fn list(&mut self, waker: &Waker) {
        self.key = self.core().list(waker.clone());
    }
}

impl<H: Home<Core>> Drop for Entry<H> {
    fn drop(&mut self) {
        if self.is_listed() {
            self.core().unlist(self.key);
        }
        self.core().count_end();
    }
}
