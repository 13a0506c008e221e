//! What becomes of a future that is spawned on an executor for threads: a task that knows its executor, and that the executor knows.
//!
//! A task holds no counted reference to its executor. It need not: the executor's state outlives every future in it (`Shared`'s `Drop` waits for the
//! last one to go), and `async_task` calls the schedule function only for a task whose future is still there.

use std::future::Future;
use std::ptr;
use std::sync::Arc;
use std::task::Waker;

use async_task::{Builder, Runnable, ScheduleInfo, Task, WithInfo};

use super::state::State;
use super::tracked::{Place, Tracked};
use super::waiting::Waiting;
use crate::context;

/// A task that has not waited yet has no place on a list.
const UNLISTED: usize = usize::MAX;

/// Makes a task of a future.
///
/// # Safety
///
/// `state` must live until the future has been dropped. The future must be `Send`, or all that run tasks of `state` must be on one thread. What it
/// borrows must live until it has been dropped.
pub(super) unsafe fn new<T>(
    state: &Arc<State>,
    future: impl Future<Output = T>,
) -> (Runnable, Task<T>) {
    let home = Home(Arc::as_ptr(state));
    let tracked = Tracked::new(future, Entry::begin(home));
    let builder = Builder::new().propagate_panic(true);
    // SAFETY: `Send`ness and lifetime of the future are the caller's promise. The schedule function is `Send`, `Sync` and `'static` but for
    // the pointer in it, which is good for as long as `async_task` calls it: until the future has been dropped.
    unsafe {
        builder.spawn_unchecked(
            move |()| tracked,
            WithInfo(move |runnable, info| schedule(home, runnable, info)),
        )
    }
}

/// A task's executor.
#[derive(Clone, Copy)]
struct Home(*const State);

// SAFETY: `State` is `Sync`, and this is used like a shared reference to it.
unsafe impl Send for Home {}
// SAFETY: as above.
unsafe impl Sync for Home {}

impl Home {
    /// # Safety
    ///
    /// A future that was made with it must not have been dropped yet, and stay so while the reference is used, unless the caller
    /// keeps the state alive otherwise.
    unsafe fn state<'s>(self) -> &'s State {
        // SAFETY: the promise of `new`'s caller, for as long as that future is there.
        unsafe { &*self.0 }
    }
}

/// The schedule function. `async_task` calls it for a task whose future has not been dropped.
fn schedule(home: Home, runnable: Runnable, info: ScheduleInfo) {
    context::with_runner(|runner| match runner {
        Some(runner) if ptr::eq(runner.state(), home.0) => {
            runner.push(runnable, info.woken_while_running);
        }
        _ => {
            // As soon as somebody else can get at the task, it can end, and the executor with it: hold on to the state until we are done.
            // SAFETY: the pointer comes from an `Arc`, and the task is still in our hands.
            unsafe { Arc::increment_strong_count(home.0) };
            // SAFETY: this is the reference that has just been counted.
            let state = unsafe { Arc::from_raw(home.0) };
            state.inject(runnable);
            state.notify();
        }
    });
}

/// Where the executor finds a task.
struct Entry {
    home: Home,
    list: u32,
    key: usize,
}

impl Entry {
    fn begin(home: Home) -> Entry {
        // SAFETY: `new`'s caller holds the state.
        unsafe { home.state() }.count_begin();
        Entry { home, list: 0, key: UNLISTED }
    }

    /// # Safety
    ///
    /// As [`Home::state`].
    unsafe fn waiting(&self) -> &Waiting {
        // SAFETY: the caller's promise.
        unsafe { self.home.state() }.waiting(self.list as usize)
    }
}

impl Place for Entry {
    fn is_listed(&self) -> bool {
        self.key != UNLISTED
    }

    fn list(&mut self, waker: &Waker) {
        self.list = context::thread_number() as u32;
        // SAFETY: the future that this belongs to is here.
        let waiting = unsafe { self.waiting() };
        self.key = waiting.insert(waker);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.is_listed() {
            // SAFETY: this belongs to the future, which is being dropped, and is counted until the end of this.
            unsafe { self.waiting() }.remove(self.key);
        }
        // SAFETY: as above. On a runner's thread the runner holds the state beyond this; elsewhere the count is the last touch.
        unsafe { self.home.state() }.count_end();
    }
}
