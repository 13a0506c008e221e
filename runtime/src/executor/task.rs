//! What becomes of a future that is spawned on an executor for threads: a task that knows its executor, and that the executor knows.
//!
//! A task holds no counted reference to its executor. It need not: the executor's state outlives every future in it (`Shared`'s `Drop` waits for the
//! last one to go), and `async_task` calls the schedule function only for a task whose future is still there. Tasks of the primary executor do not even hold
//! a pointer.

use std::future::Future;
use std::ptr;
use std::sync::Arc;
use std::task::Waker;

use async_task::{Builder, Runnable, ScheduleInfo, Task, WithInfo};

use super::primary::{At, Home, InPrimary, Primary, Ranked};
use super::state::State;
use super::tracked::{Place, Tracked};
use super::wakers::Key;
use crate::context;
use crate::sync::StaticPtr;

impl Ranked for State {
    #[inline]
    fn rank() -> &'static Primary<State> {
        static PRIMARY: Primary<State> = Primary(StaticPtr::new(ptr::null_mut()));
        &PRIMARY
    }
}

/// A task that has not waited yet is on no list.
const UNLISTED: u16 = u16::MAX;

/// Makes a task of a future, of the primary executor or of another one.
///
/// # Safety
///
/// `state` must live until the future has been dropped, and have been the primary one's all the time if `is_primary`. The future must be `Send`, or
/// all that run tasks of `state` must be on one thread. What it borrows must live until it has been dropped.
pub(super) unsafe fn new<T>(
    state: &Arc<State>,
    is_primary: bool,
    future: impl Future<Output = T>,
) -> (Runnable, Task<T>) {
    if is_primary {
        // SAFETY: the caller's promise.
        unsafe { make(InPrimary, future) }
    } else {
        // SAFETY: as above.
        unsafe { make(At(Arc::as_ptr(state)), future) }
    }
}

/// # Safety
///
/// As [`new`], of the executor that `home` stands for.
unsafe fn make<T>(home: impl Home<State>, future: impl Future<Output = T>) -> (Runnable, Task<T>) {
    // SAFETY: the caller's promise.
    let tracked = Tracked::new(future, unsafe { Entry::begin(home) });
    let builder = Builder::new().propagate_panic(true);
    // SAFETY: `Send`ness and lifetime of the future are the caller's promise. The schedule function is `Send`, `Sync` and `'static` but for
    // the pointer in it, which is good for as long as `async_task` calls it: until the future has been dropped.
    unsafe {
        builder.spawn_unchecked(
            move |()| tracked,
            WithInfo(move |runnable, info| schedule(home.get(), runnable, info)),
        )
    }
}

/// The schedule function. `async_task` calls it for a task whose future has not been dropped.
fn schedule(home: *const State, runnable: Runnable, info: ScheduleInfo) {
    context::with_runner(|runner| match runner {
        Some(runner) if ptr::eq(runner.state(), home) => {
            runner.push(runnable, info.woken_while_running);
        }
        _ => {
            // As soon as somebody else can get at the task, it can end, and the executor with it: hold on to the state until we are done.
            // SAFETY: the pointer comes from an `Arc`, and the task is still in our hands.
            unsafe { Arc::increment_strong_count(home) };
            // SAFETY: this is the reference that has just been counted.
            let state = unsafe { Arc::from_raw(home) };
            state.inject(runnable);
            state.notify();
        }
    });
}

/// Where the executor finds a task.
struct Entry<H: Home<State>> {
    home: H,
    /// Short, as all of this: a task is as small as its parts.
    list: u16,
    group: u16,
    index: u32,
}

impl<H: Home<State>> Entry<H> {
    /// # Safety
    ///
    /// `home`'s executor must live, and do so until this is dropped.
    unsafe fn begin(home: H) -> Entry<H> {
        let entry = Entry { home, list: UNLISTED, group: 0, index: 0 };
        entry.state().count_begin();
        entry
    }

    #[inline]
    fn state(&self) -> &State {
        // SAFETY: the promise of `begin`'s caller: this belongs to a future, until whose end the executor lives.
        unsafe { &*self.home.get() }
    }
}

impl<H: Home<State>> Place for Entry<H> {
    fn is_listed(&self) -> bool {
        self.list != UNLISTED
    }

    fn list(&mut self, waker: &Waker) {
        let list = self.state().waiting_list(context::thread_number());
        Key { group: self.group, index: self.index } =
            self.state().waiting(list).insert(waker.clone());
        self.list = list;
    }
}

impl<H: Home<State>> Drop for Entry<H> {
    fn drop(&mut self) {
        if self.is_listed() {
            let key = Key { group: self.group, index: self.index };
            self.state().waiting(self.list).remove(key);
        }
        // On a runner's thread the runner holds the state beyond this; elsewhere the count is the last touch.
        self.state().count_end();
    }
}
