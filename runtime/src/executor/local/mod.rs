//! An executor that stays on its thread.

mod core;
mod remote;
mod task;

use std::cell::OnceCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use self::core::{Core, Seat};
use crate::Task;
use crate::context::{self, PollInside};
use crate::executor::tracked::spawn_boxed_if_large;

/// A `run()` future runs so many tasks before it lets I/O, timers and its siblings have their turn.
const RUN_BATCH: u32 = 128;

/// An executor for futures that are not `Send`. It stays on the thread that made it.
///
/// Wakers of its tasks may go anywhere; the tasks themselves are polled and dropped on this thread.
///
/// ```compile_fail
/// fn assert_send<T: Send>() {}
/// assert_send::<smolkit_runtime::LocalExecutor<'static>>();
/// ```
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
/// use smolkit_runtime::{LocalExecutor, block_on};
///
/// let ex = LocalExecutor::new();
/// let shared = Rc::new(7);
/// let task = ex.spawn(async move { *shared + 1 });
/// assert_eq!(block_on(ex.run(task)), 8);
/// ```
pub struct LocalExecutor<'a> {
    /// Its tasks know it by its address. Not in a `Box`, which would have to be the only way to it.
    core: OnceCell<Rc<Core>>,
    _tasks: PhantomData<std::cell::UnsafeCell<&'a ()>>,
    _not_send: PhantomData<Rc<()>>,
}

impl UnwindSafe for LocalExecutor<'_> {}
impl RefUnwindSafe for LocalExecutor<'_> {}

impl<'a> LocalExecutor<'a> {
    /// Creates an executor. Allocates nothing before the first use.
    pub const fn new() -> LocalExecutor<'a> {
        LocalExecutor { core: OnceCell::new(), _tasks: PhantomData, _not_send: PhantomData }
    }

    /// Whether there are no unfinished tasks.
    pub fn is_empty(&self) -> bool {
        self.core().is_empty()
    }

    /// Spawns a task. It runs when this thread calls [`run`](LocalExecutor::run) or
    /// [`tick`](LocalExecutor::tick).
    ///
    /// Dropping the [`Task`] cancels it, from whatever thread; its future is dropped on this one.
    pub fn spawn<T: 'a>(&self, future: impl Future<Output = T> + 'a) -> Task<T> {
        spawn_boxed_if_large!(future => {
            // SAFETY: `drop` ends the tasks before `'a` ends.
            unsafe { self.spawn_unchecked(future) }
        })
    }

    /// # Safety
    ///
    /// What the future borrows must live until it has been dropped.
    pub(super) unsafe fn spawn_unchecked<T>(&self, future: impl Future<Output = T>) -> Task<T> {
        // SAFETY: this executor is not `Sync`, and once it has tasks it does not leave its thread. Its `drop` waits for all futures to be dropped, and the
        // core stays where it is.
        unsafe { task::spawn(self.core(), future) }
    }

    /// Spawns many tasks, and puts their handles into `handles`.
    pub fn spawn_many<T: 'a, F: Future<Output = T> + 'a>(
        &self,
        futures: impl IntoIterator<Item = F>,
        handles: &mut impl Extend<Task<F::Output>>,
    ) {
        handles.extend(futures.into_iter().map(|future| self.spawn(future)));
    }

    /// Runs one task if one is ready, and says whether it did.
    pub fn try_tick(&self) -> bool {
        match self.core().next() {
            Some(runnable) => {
                let _inside = PollInside::new();
                runnable.run();
                true
            }
            None => false,
        }
    }

    /// Waits until a task is ready, and runs it.
    ///
    /// # Cancel safety
    ///
    /// Dropping this future loses no task: whoever runs this executor next finds it.
    pub async fn tick(&self) {
        let core = self.core();
        let seat = Seat::new(core);
        let runnable = poll_fn(|cx| {
            seat.wake_up();
            loop {
                if let Some(runnable) = core.next() {
                    return Poll::Ready(runnable);
                }
                if seat.sleep(cx.waker()) {
                    return Poll::Pending;
                }
            }
        })
        .await;
        let _inside = PollInside::new();
        runnable.run();
    }

    /// Runs tasks until `future` is done, and returns its output.
    ///
    /// # Cancel safety
    ///
    /// Dropping this future loses no task: the next one that runs this executor goes on with them.
    pub async fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let core = self.core();
        let seat = Seat::new(core);
        let mut future = pin!(future);
        poll_fn(|cx| {
            seat.wake_up();
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            let _inside = PollInside::new();
            for _ in 0..RUN_BATCH {
                match core.next() {
                    Some(runnable) => {
                        runnable.run();
                    }
                    None if seat.sleep(cx.waker()) => return Poll::Pending,
                    None => {}
                }
            }
            context::poll_io();
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }

    fn core(&self) -> &Core {
        self.core.get_or_init(|| {
            let core = Rc::new(Core::new());
            core.claim_rank();
            core
        })
    }
}

// What the tasks borrow must outlive this: the compiler has to know that they are dropped here.
impl Drop for LocalExecutor<'_> {
    fn drop(&mut self) {
        if let Some(core) = self.core.get() {
            core.close();
        }
    }
}

impl Default for LocalExecutor<'_> {
    fn default() -> Self {
        LocalExecutor::new()
    }
}

impl fmt::Debug for LocalExecutor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalExecutor").finish_non_exhaustive()
    }
}
