//! What the current thread is: a worker, a runner of an executor, in `block_on`, or none of these.

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;
use std::task::Waker;

use crate::executor::runner::Runner;
use crate::reactor::{Shard, commons};
use crate::rt::{Handle, Inner, Worker};
use crate::sync::{Ordering, thread_local};

/// So many operations of I/O and timers succeed in one poll of a task; then the task waits for its next turn.
const BUDGET: u32 = 64;
/// Outside of our tasks nobody is counted.
const NO_BUDGET: u32 = u32::MAX;

thread_local! {
    static CONTEXT: Local = const {
        Local {
            worker: Cell::new(ptr::null()),
            runner: Cell::new(ptr::null()),
            scope: Cell::new(Scope { runtime: ptr::null(), id: 0, is_public: false }),
            scopes: Cell::new(0),
            blocking_depth: Cell::new(0),
            number: Cell::new(usize::MAX),
            seat: Cell::new(ptr::null()),
            task: Cell::new(ptr::null()),
            has_stranger: Cell::new(false),
            budget: Cell::new(NO_BUDGET),
        }
    };
}

struct Local {
    /// Not null only during `Worker::run` of this thread.
    worker: Cell<*const Worker>,
    /// Not null only while that runner is being polled.
    runner: Cell<*const Runner>,
    scope: Cell<Scope>,
    /// How many scopes there have been, for their names.
    scopes: Cell<u64>,
    blocking_depth: Cell<u32>,
    number: Cell<usize>,
    /// What the waker of this thread's worker, or of its innermost `block_on`, points at.
    seat: Cell<*const ()>,
    /// The same for the task that is being polled.
    task: Cell<*const ()>,
    /// Somebody waits with a waker that is neither.
    has_stranger: Cell<bool>,
    /// How many more operations may succeed in the present poll.
    budget: Cell<u32>,
}

/// Which runtime `spawn` means.
#[derive(Clone, Copy, Debug)]
struct Scope {
    /// Not null inside a runtime's workers, its `block_on`, and where it has been entered.
    runtime: *const Inner,
    id: u64,
    /// Entered by a guard that is in the hands of others, who may drop it when they like.
    is_public: bool,
}

impl Scope {
    /// Opens a new scope, and gives the one to go back to.
    fn open(handle: &Handle, is_public: bool) -> (Scope, u64) {
        CONTEXT.with(|local| {
            let id = local.scopes.get() + 1;
            local.scopes.set(id);
            (local.scope.replace(Scope { runtime: handle.as_ptr(), id, is_public }), id)
        })
    }
}

/// The shard that the current thread registers its sources and timers with.
pub(crate) fn shard() -> io::Result<Arc<Shard>> {
    match worker() {
        Some(worker) if !worker.shard().is_closed() => Ok(worker.shard().clone()),
        _ => commons::shard(),
    }
}

/// Looks for events without waiting, where the current thread is one that drives.
pub(crate) fn poll_io() {
    if let Some(commons) = commons::existing().filter(|_| is_blocking()) {
        commons.poll(&mut Vec::new());
    }
}

/// A small number that tells threads apart, well enough to spread them over a few lists.
pub(crate) fn thread_number() -> usize {
    // Not from `sync`: what a model's run shares begins with that run, and this is the process's.
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let number = CONTEXT.try_with(|local| {
        if local.number.get() == usize::MAX {
            // Relaxed: it has to differ from others, and no more.
            local.number.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        local.number.get()
    });
    number.unwrap_or(0)
}

fn is_blocking() -> bool {
    CONTEXT.try_with(|local| local.blocking_depth.get() > 0).unwrap_or(false)
}

/// To be called by all who begin to wait for something in the common shard, when they are registered there.
pub(crate) fn ensure_driven() -> io::Result<()> {
    let Some(commons) = commons::existing() else { return Ok(()) };
    let blocks = CONTEXT.try_with(|local| {
        (local.blocking_depth.get() > 0).then(|| local.has_stranger.replace(false))
    });
    match blocks.ok().flatten() {
        Some(false) => Ok(()),
        Some(true) => {
            // Most strangers come back: no thread is no reason to refuse them.
            let _ = commons.note_stranger();
            Ok(())
        }
        None => commons.ensure_helper(),
    }
}

/// To be called with every waker that is kept, before it is.
///
/// A thread that drives a poller comes back to it when the task or the `block_on` that it is in returns. A waker that belongs
/// to neither may mean that it sleeps somewhere else first: then somebody has to look after the poller.
#[inline]
pub(crate) fn expect_wake(waker: &Waker) {
    let is_ours = CONTEXT.try_with(|local| {
        let data = waker.data();
        data == local.task.get() || data == local.seat.get()
    });
    if !is_ours.unwrap_or(true) {
        expect_stranger();
    }
}

#[cold]
fn expect_stranger() {
    match worker() {
        Some(worker) => worker.note_stranger(),
        None => {
            let _ = CONTEXT.try_with(|local| local.has_stranger.set(true));
        }
    }
}

/// The same for a waker by which a runner is told of its tasks: they are registered already.
#[inline]
pub(crate) fn keep_runner_waker(waker: &Waker) -> Waker {
    expect_wake(waker);
    let has_stranger = CONTEXT.try_with(|local| local.has_stranger.get()).unwrap_or(false);
    if has_stranger && is_blocking() {
        // See there.
        let _ = ensure_driven();
    }
    waker.clone()
}

/// A spawned task, whose waker that is, is about to be polled. Whoever runs tasks keeps a [`PollInside`] meanwhile.
#[inline]
pub(crate) fn begin_poll(waker: &Waker) {
    let _ = CONTEXT.try_with(|local| {
        local.task.set(waker.data());
        local.budget.set(BUDGET);
    });
}

/// Tasks are polled inside of what this thread does, which may be another one's poll: that goes on when the guard is dropped.
pub(crate) struct PollInside {
    task: *const (),
    budget: u32,
}

impl PollInside {
    pub(crate) fn new() -> PollInside {
        let inside = CONTEXT
            .try_with(|local| PollInside { task: local.task.get(), budget: local.budget.get() });
        inside.unwrap_or(PollInside { task: ptr::null(), budget: NO_BUDGET })
    }
}

impl Drop for PollInside {
    fn drop(&mut self) {
        let _ = CONTEXT.try_with(|local| {
            local.task.set(self.task);
            local.budget.set(self.budget);
        });
    }
}

/// A `block_on` polls its future.
pub(crate) fn refill_budget() {
    let _ = CONTEXT.try_with(|local| local.budget.set(BUDGET));
}

/// To be called before each operation of I/O or timers that may succeed at once; `cost` is as many of those as this one takes the time of.
///
/// A task that always finds something to do would never let others have their turn: after 64 operations in one poll it has to wait
/// for its next one. `None`: it has to. Else what [`restore_budget`] needs if the operation turns out to have to wait.
#[inline]
pub(crate) fn spend_budget(cost: u32) -> Option<Budget> {
    let budget = CONTEXT.try_with(|local| {
        let budget = local.budget.get();
        if budget != NO_BUDGET {
            local.budget.set(budget.saturating_sub(cost));
        }
        budget
    });
    (budget != Ok(0)).then(|| Budget(budget.unwrap_or(NO_BUDGET)))
}

/// What there was before an operation.
pub(crate) struct Budget(u32);

impl Budget {
    pub(crate) const SPENT: Budget = Budget(0);
}

/// The operation has to wait: it has cost nothing.
///
/// Else a task that waits for more of them than it has budget for would never get to the last ones, and wake itself for ever.
#[inline]
pub(crate) fn restore_budget(budget: Budget) {
    let _ = CONTEXT.try_with(|local| local.budget.set(budget.0));
}

/// The worker that this thread is.
pub(crate) fn worker<'w>() -> Option<&'w Worker> {
    let worker = CONTEXT.try_with(|local| local.worker.get()).unwrap_or(ptr::null());
    // SAFETY: `EnterWorker` puts the pointer here for as long as it borrows the worker, and takes it away when it is
    // dropped. The reference is used within a call on this thread's stack, above that guard.
    unsafe { worker.as_ref() }
}

/// Makes this thread a worker until the guard is dropped.
pub(crate) struct EnterWorker<'w>(#[allow(dead_code)] &'w Worker);

impl<'w> EnterWorker<'w> {
    pub(crate) fn new(worker: &'w Worker) -> EnterWorker<'w> {
        CONTEXT.with(|local| local.worker.set(worker));
        EnterWorker(worker)
    }
}

impl Drop for EnterWorker<'_> {
    fn drop(&mut self) {
        CONTEXT.with(|local| local.worker.set(ptr::null()));
    }
}

/// Calls `f` with the runner that is being polled on this thread, if there is one.
#[inline]
pub(crate) fn with_runner<R>(f: impl FnOnce(Option<&Runner>) -> R) -> R {
    let runner = CONTEXT.try_with(|local| local.runner.get()).unwrap_or(ptr::null());
    // SAFETY: `EnterRunner` puts the pointer here for as long as it borrows the runner, and puts the former one back when
    // it is dropped; this call ends before.
    f(unsafe { runner.as_ref() })
}

/// Makes a runner the current one until the guard is dropped.
pub(crate) struct EnterRunner<'r> {
    outer: *const Runner,
    _runner: &'r Runner,
    _inside: PollInside,
}

impl<'r> EnterRunner<'r> {
    pub(crate) fn new(runner: &'r Runner) -> EnterRunner<'r> {
        let outer = CONTEXT.with(|local| local.runner.replace(runner));
        EnterRunner { outer, _runner: runner, _inside: PollInside::new() }
    }
}

impl Drop for EnterRunner<'_> {
    fn drop(&mut self) {
        CONTEXT.with(|local| local.runner.set(self.outer));
    }
}

/// Marks that this thread is in `block_on` and will drive the common shard when it parks.
pub(crate) struct Blocking {
    _seat: EnterSeat,
    budget: u32,
}

impl Blocking {
    pub(crate) fn enter(waker: &Waker) -> Blocking {
        let budget = CONTEXT.try_with(|local| {
            local.blocking_depth.set(local.blocking_depth.get() + 1);
            local.budget.get()
        });
        Blocking { _seat: EnterSeat::new(waker), budget: budget.unwrap_or(NO_BUDGET) }
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        let _ = CONTEXT.try_with(|local| {
            local.blocking_depth.set(local.blocking_depth.get() - 1);
            local.budget.set(self.budget);
        });
    }
}

/// Makes `waker` the one that brings this thread back, until the guard is dropped.
pub(crate) struct EnterSeat(*const ());

impl EnterSeat {
    pub(crate) fn new(waker: &Waker) -> EnterSeat {
        EnterSeat(CONTEXT.try_with(|local| local.seat.replace(waker.data())).unwrap_or(ptr::null()))
    }
}

impl Drop for EnterSeat {
    fn drop(&mut self) {
        let _ = CONTEXT.try_with(|local| local.seat.set(self.0));
    }
}

/// Calls `f` with the runtime that this thread works for, if there is one.
pub(crate) fn with_runtime<R>(f: impl FnOnce(Option<&Handle>) -> R) -> R {
    let Ok(scope) = CONTEXT.try_with(|local| local.scope.get()) else { return f(None) };
    if scope.runtime.is_null() {
        return f(None);
    }
    // SAFETY: whoever opened the scope keeps the runtime alive until it is closed; a guard in the hands of others does so
    // for ever if it is not dropped in its turn.
    let handle = unsafe { Handle::borrow_raw(scope.runtime) };
    if scope.is_public {
        // Such a guard may be dropped by what `f` calls.
        let handle = Handle::clone(&handle);
        return f(Some(&handle));
    }
    f(Some(&handle))
}

/// Whether threads may be started on behalf of the code that runs here; `what` is said in the error.
pub(crate) fn may_start_thread(what: &str) -> io::Result<()> {
    if with_runtime(|runtime| runtime.is_none_or(Handle::may_start_threads)) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        format!("{what} is needed, and this runtime was built with helper_threads(false)"),
    ))
}

/// Makes `handle`'s runtime the one that `spawn` means on this thread, until the guard is dropped.
pub(crate) struct EnterRuntime<'h> {
    outer: Scope,
    _handle: &'h Handle,
}

impl<'h> EnterRuntime<'h> {
    pub(crate) fn new(handle: &'h Handle) -> EnterRuntime<'h> {
        EnterRuntime { outer: Scope::open(handle, false).0, _handle: handle }
    }
}

impl Drop for EnterRuntime<'_> {
    fn drop(&mut self) {
        // Closes all scopes above as well, even those whose guards live on somewhere.
        CONTEXT.with(|local| local.scope.set(self.outer));
    }
}

/// What [`Handle::enter`] and [`Runtime::enter`](crate::Runtime::enter) return: until it is dropped,
/// [`spawn`](crate::spawn) means that runtime on this thread.
///
/// # Panics
///
/// Guards have to be dropped in the reverse order of their creation; the destructor of one that is not the last panics.
#[derive(Debug)]
#[must_use = "the runtime is left when the guard is dropped"]
pub struct EnterGuard<'h> {
    /// Keeps the runtime alive, even if the guard is forgotten. `None` only in the destructor.
    handle: Option<Handle>,
    outer: Scope,
    id: u64,
    _handle: PhantomData<&'h Handle>,
}

impl<'h> EnterGuard<'h> {
    pub(crate) fn new(handle: &'h Handle) -> EnterGuard<'h> {
        let (outer, id) = Scope::open(handle, true);
        EnterGuard { handle: Some(handle.clone()), outer, id, _handle: PhantomData }
    }
}

impl Drop for EnterGuard<'_> {
    fn drop(&mut self) {
        let is_last = CONTEXT.try_with(|local| {
            let is_last = local.scope.get().id == self.id;
            if is_last {
                local.scope.set(self.outer);
            }
            is_last
        });
        if is_last == Ok(false) {
            // A later guard may still have our runtime as the one to go back to.
            std::mem::forget(self.handle.take());
            if !std::thread::panicking() {
                panic!(
                    "guards of `enter` have to be dropped in the reverse order of their creation"
                );
            }
        }
    }
}
