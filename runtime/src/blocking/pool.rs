//! The threads, and the queue from which they take their jobs.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{OnceLock, PoisonError};
use std::time::{Duration, Instant};

use async_task::Runnable;

use super::crew::{Call, Crew, Refused};
use super::{Limits, Metrics};
use crate::context;
use crate::sync::thread::{self, Thread};
use crate::sync::{AtomicU64, AtomicUsize, ConcurrentQueue, Condvar, Mutex, Ordering, lock};
use crate::sys::cores::parallelism;
use crate::threads;

/// How long a thread leaves jobs to others that turn over quickly, before it looks again.
///
/// Longer than it takes to wake a thread, so that threads are not woken for what is done by then; short enough to be lost in what a blocking job
/// takes otherwise.
const LOOK_INTERVAL: Duration = Duration::from_micros(100);
/// With more jobs waiting than the others get through in so many intervals, one more thread helps.
const BACKLOG_INTERVALS_MAX: u64 = 16;

pub(super) struct Pool {
    queue: ConcurrentQueue<Runnable>,
    crew: Crew<Thread>,
    keep_alive: Mutex<Duration>,
    /// So many threads work on jobs at once without asking whether more of them would help.
    cores: usize,
    /// Relaxed, as all counts below: they order nothing. A thread's number has to differ from others', and of turnovers an old count means one
    /// thread more, or a look later.
    next_id: AtomicUsize,
    /// Jobs that have been begun.
    begun: AtomicU64,
    /// Those of them that a thread took right after another one: while this grows, the others get on.
    turnovers: AtomicU64,
    turnovers_at_call: AtomicU64,
    /// Whoever waits for the last thread of a closed pool.
    end: Mutex<()>,
    has_ended: Condvar,
}

pub(super) fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(|| Pool::new(Limits::default()))
}

/// What a thread does after it has run out of work.
#[derive(PartialEq, Eq)]
enum Next {
    /// Looks at the queue.
    Search,
    /// The same, because somebody asked it to.
    Called,
    /// Ends; it does not count as a thread of the pool any more.
    Gone,
}

impl Pool {
    fn new(limits: Limits) -> Pool {
        Pool {
            queue: ConcurrentQueue::unbounded(),
            crew: Crew::new(limits.threads_max),
            keep_alive: Mutex::new(limits.keep_alive),
            cores: parallelism(),
            next_id: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            turnovers: AtomicU64::new(0),
            turnovers_at_call: AtomicU64::new(0),
            end: Mutex::new(()),
            has_ended: Condvar::new(),
        }
    }

    pub(super) fn set_limits(&'static self, limits: Limits) {
        self.set_keep_alive(limits.keep_alive);
        self.set_threads_max(limits.threads_max);
    }

    pub(super) fn set_keep_alive(&self, keep_alive: Duration) {
        *lock(&self.keep_alive) = keep_alive;
    }

    pub(super) fn set_threads_max(&'static self, threads_max: usize) {
        self.crew.set_threads_max(threads_max);
        // Threads that idle look at the new time when they are up again; jobs may have waited for a thread that is allowed now.
        if !self.queue.is_empty() {
            self.call();
        }
    }

    pub(super) fn metrics(&self) -> Metrics {
        let (threads, idle) = self.crew.threads();
        Metrics {
            threads,
            idle,
            queued: self.queue.len(),
            begun: self.begun.load(Ordering::Relaxed),
        }
    }

    pub(super) fn push(&'static self, job: Runnable) {
        if let Err(refused) = self.queue.push(job) {
            unreachable!("nobody closes the queue, and it has no limit: {refused}");
        }
        self.call();
    }

    /// Sees to it that somebody looks after the queue.
    fn call(&'static self) {
        match self.crew.call() {
            Call::Nobody => {}
            Call::Wake(thread) => {
                self.note_turnovers();
                thread.unpark();
            }
            Call::Start => {
                self.note_turnovers();
                if self.start_thread().is_err() {
                    match self.crew.refused() {
                        Refused::Wake(thread) => thread.unpark(),
                        Refused::Others => {}
                        Refused::Alone => self.run_here(),
                    }
                    // It had counted as a thread.
                    self.note_end();
                }
            }
            Call::Closed => self.cancel_queued(),
        }
    }

    fn start_thread(&'static self) -> io::Result<()> {
        context::may_start_thread("a thread for blocking work")?;
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let life = Box::new(move || self.work(id));
        threads::start(format!("smolkit-block-{id}"), None, life).map(drop)
    }

    /// For whoever has been called: what the others get done until it is up.
    fn note_turnovers(&self) {
        self.turnovers_at_call.store(self.turnovers.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// The system gives no threads, and there are none: this one does the work.
    fn run_here(&self) {
        while self.crew.threads().0 == 0 {
            let Some(job) = self.take() else { return };
            self.run(job);
        }
    }

    /// A thread's life. It counts as searching.
    fn work(&'static self, id: usize) {
        let mut next = Next::Called;
        loop {
            if next == Next::Called {
                self.leave_to_others();
            }
            if let Some(job) = self.take() {
                if self.crew.found() && !self.queue.is_empty() {
                    self.call();
                }
                self.run_in_a_row(job);
                self.crew.search();
                next = Next::Search;
            } else {
                next = self.idle(id);
            }
            if next == Next::Gone {
                return;
            }
        }
    }

    /// Nothing from a closed pool: whoever has closed it drops what is queued.
    fn take(&self) -> Option<Runnable> {
        if self.crew.is_closed() { None } else { self.queue.pop().ok() }
    }

    /// This job, and others as long as there are any.
    fn run_in_a_row(&self, mut job: Runnable) {
        loop {
            self.run(job);
            match self.take() {
                Some(next) => job = next,
                None => return,
            }
            self.turnovers.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn run(&self, job: Runnable) {
        self.begun.fetch_add(1, Ordering::Relaxed);
        // A panic of the job goes to whoever awaits it. Of what else may panic, async-task ends the process for a waker or an output's destructor;
        // the rest has been reported by the hook, and must not cost the pool a thread.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| job.run()));
    }

    /// Waits while other threads will have done what is queued sooner than one more thread could help.
    ///
    /// This one goes on counting as searching, so that pushes call nobody. Jobs that block stop the others from turning over: then it
    /// takes one, and the next searcher finds the same, at once.
    fn leave_to_others(&self) {
        let mut before = self.turnovers_at_call.load(Ordering::Relaxed);
        loop {
            let (threads, idle) = self.crew.threads();
            let now = self.turnovers.load(Ordering::Relaxed);
            let done = now.saturating_sub(before);
            // This one is neither idle nor working.
            let is_needed = threads - idle <= self.cores || done == 0;
            if is_needed || self.queue.len() as u64 > done.saturating_mul(BACKLOG_INTERVALS_MAX) {
                return;
            }
            before = now;
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// There is nothing to do.
    fn idle(&'static self, id: usize) -> Next {
        if !self.crew.fall_idle(id, thread::current()) {
            self.note_end();
            return Next::Gone;
        }
        self.crew.recheck();
        if !self.queue.is_empty() {
            self.crew.wake_up(id);
            return Next::Search;
        }
        let keep_alive = *lock(&self.keep_alive);
        let start = Instant::now();
        loop {
            // Jobs may leave tokens behind that let this return early.
            thread::park_timeout(keep_alive.saturating_sub(start.elapsed()));
            if self.crew.is_called(id) {
                return Next::Called;
            }
            if start.elapsed() >= keep_alive && self.crew.leave(id) {
                self.crew.recheck();
                if !self.queue.is_empty() && self.crew.rejoin() {
                    return Next::Search;
                }
                self.note_end();
                return Next::Gone;
            }
        }
    }

    /// Drops what is queued, and waits for what runs. The number of threads that still do in the end.
    pub(super) fn shutdown(&'static self, timeout: Duration) -> usize {
        // An overflow means that there is no deadline.
        let deadline = Instant::now().checked_add(timeout);
        self.crew.close().into_iter().for_each(|thread| thread.unpark());
        self.cancel_queued();
        let mut guard = lock(&self.end);
        loop {
            let (threads, _) = self.crew.threads();
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if threads == 0 || left == Some(Duration::ZERO) {
                return threads;
            }
            guard = match left {
                Some(left) => {
                    let waited = self.has_ended.wait_timeout(guard, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.has_ended.wait(guard).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn cancel_queued(&self) {
        while let Ok(job) = self.queue.pop() {
            // Drops the user's closure: should that panic, the others are to be dropped all the same.
            let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(job)));
        }
    }

    fn note_end(&self) {
        if self.crew.is_closed() {
            // Not between the look of whoever waits and its falling asleep.
            drop(lock(&self.end));
            self.has_ended.notify_all();
        }
    }
}
