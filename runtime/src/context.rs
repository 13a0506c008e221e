//! What the current thread is: a worker, a runner of an executor, in `block_on`, or none of these.

use std::cell::Cell;
use std::io;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::executor::runner::Runner;
use crate::reactor::{Shard, commons};
use crate::rt::{Handle, Worker};

thread_local! {
    static CONTEXT: Local = const {
        Local {
            worker: Cell::new(ptr::null()),
            runner: Cell::new(ptr::null()),
            runtime: Cell::new(ptr::null()),
            blocking_depth: Cell::new(0),
            number: Cell::new(usize::MAX),
        }
    };
}

struct Local {
    /// Not null only during `Worker::run` of this thread.
    worker: Cell<*const Worker>,
    /// Not null only while that runner is being polled.
    runner: Cell<*const Runner>,
    /// Not null inside a runtime's workers and its `block_on`.
    runtime: Cell<*const Handle>,
    blocking_depth: Cell<u32>,
    number: Cell<usize>,
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
    let is_blocking = CONTEXT.try_with(|local| local.blocking_depth.get() > 0).unwrap_or(false);
    if let Some(commons) = commons::existing().filter(|_| is_blocking) {
        commons.poll(&mut Vec::new());
    }
}

/// A small number that tells threads apart, well enough to spread them over a few lists.
pub(crate) fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = CONTEXT.try_with(|local| {
        if local.number.get() == usize::MAX {
            local.number.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        local.number.get()
    });
    number.unwrap_or(0)
}

/// To be called by all who begin to wait for something in the common shard.
pub(crate) fn ensure_driven() -> io::Result<()> {
    let is_blocking = CONTEXT.try_with(|local| local.blocking_depth.get() > 0).unwrap_or(false);
    match commons::existing() {
        Some(commons) if !is_blocking => commons.ensure_helper(),
        _ => Ok(()),
    }
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
}

impl<'r> EnterRunner<'r> {
    pub(crate) fn new(runner: &'r Runner) -> EnterRunner<'r> {
        let outer = CONTEXT.with(|local| local.runner.replace(runner));
        EnterRunner { outer, _runner: runner }
    }
}

impl Drop for EnterRunner<'_> {
    fn drop(&mut self) {
        CONTEXT.with(|local| local.runner.set(self.outer));
    }
}

/// Marks that this thread is in `block_on` and will drive the common shard when it parks.
pub(crate) struct Blocking(());

impl Blocking {
    pub(crate) fn enter() -> Blocking {
        let _ = CONTEXT.try_with(|local| local.blocking_depth.set(local.blocking_depth.get() + 1));
        Blocking(())
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        let _ = CONTEXT.try_with(|local| local.blocking_depth.set(local.blocking_depth.get() - 1));
    }
}

/// Calls `f` with the runtime that this thread works for, if there is one.
pub(crate) fn with_runtime<R>(f: impl FnOnce(Option<&Handle>) -> R) -> R {
    let runtime = CONTEXT.try_with(|local| local.runtime.get()).unwrap_or(ptr::null());
    // SAFETY: `EnterRuntime` puts the pointer here for as long as it borrows the handle, and puts the former one back when
    // it is dropped; this call ends before.
    f(unsafe { runtime.as_ref() })
}

/// Makes `handle`'s runtime the one that `spawn` means on this thread, until the guard is dropped.
pub(crate) struct EnterRuntime<'h> {
    outer: *const Handle,
    _handle: &'h Handle,
}

impl<'h> EnterRuntime<'h> {
    pub(crate) fn new(handle: &'h Handle) -> EnterRuntime<'h> {
        let outer = CONTEXT.with(|local| local.runtime.replace(handle));
        EnterRuntime { outer, _handle: handle }
    }
}

impl Drop for EnterRuntime<'_> {
    fn drop(&mut self) {
        CONTEXT.with(|local| local.runtime.set(self.outer));
    }
}
