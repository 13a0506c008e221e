//! The systems, and each one's usual way to spawn, to yield, to lock and to block.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::thread;

use crate::words::word;
use async_executor::StaticExecutor;
use async_task::Runnable;
use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum System {
    /// smolkit's `Runtime`
    Smolkit,
    /// Tokio's multi-thread runtime
    Tokio,
    /// smol's global executor
    Smol,
    /// async-executor's `StaticExecutor`, run by as many threads
    SmolStatic,
    /// smolkit's `LocalExecutor`
    SmolkitLocal,
    /// Tokio's current-thread runtime
    TokioLocal,
    /// smol's `LocalExecutor`
    SmolLocal,
    /// monoio on epoll
    Monoio,
    /// monoio on io_uring
    MonoioUring,
    /// The tasks of async-task in a queue, and no executor: the floor for all whose tasks those are
    Bare,
}

impl System {
    /// What the command line calls it.
    pub fn name(self) -> String {
        word(&self)
    }

    /// Has one thread, whatever it is asked for.
    pub fn is_local(self) -> bool {
        use System::*;
        matches!(self, SmolkitLocal | TokioLocal | SmolLocal | Monoio | MonoioUring | Bare)
    }

    pub fn is_monoio(self) -> bool {
        matches!(self, System::Monoio | System::MonoioUring)
    }

    /// Those that it is compared with in tables.
    pub fn bases(is_local: bool) -> [System; 2] {
        if is_local {
            [System::TokioLocal, System::SmolLocal]
        } else {
            [System::Tokio, System::Smol]
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// Something to do on any system.
pub trait Work: Send + 'static {
    fn run<S: Spawn>(self, on: S) -> impl Future<Output = io::Result<()>> + Send + 'static;
}

/// A system from within.
pub trait Spawn: Copy + Send + Sync + 'static {
    type Handle: Future<Output = u64> + Send + Unpin + 'static;
    /// A count behind a mutex; the system's own, if it has one.
    type Mutex: Count;
    fn spawn(self, future: impl Future<Output = u64> + Send + 'static) -> Self::Handle;
    /// Runs `job` on a thread where it may block.
    fn unblock(self, job: impl FnOnce() -> u64 + Send + 'static) -> Self::Handle;
    fn yield_now(self) -> impl Future<Output = ()> + Send + 'static {
        futures_lite::future::yield_now()
    }
}

pub trait Count: Default + Send + Sync + 'static {
    /// Locks, adds one, and holds the lock until `held` is ready.
    fn add_one(&self, held: impl Future<Output = ()> + Send) -> impl Future<Output = ()> + Send;
    fn total(self) -> u64;
}

impl Count for async_lock::Mutex<u64> {
    async fn add_one(&self, held: impl Future<Output = ()> + Send) {
        let mut count = self.lock().await;
        *count += 1;
        held.await;
    }
    fn total(self) -> u64 {
        self.into_inner()
    }
}

impl Count for tokio::sync::Mutex<u64> {
    async fn add_one(&self, held: impl Future<Output = ()> + Send) {
        let mut count = self.lock().await;
        *count += 1;
        held.await;
    }
    fn total(self) -> u64 {
        self.into_inner()
    }
}

/// Does it on `system`, from within a task; returns when it is done.
pub fn run(system: System, workers: usize, work: impl Work) -> io::Result<()> {
    match system {
        System::Smolkit => {
            let runtime = smolkit::Runtime::builder().workers(workers).build()?;
            runtime.block_on(runtime.spawn(work.run(OnSmolkit)))
        }
        System::Tokio => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            let runtime = builder.worker_threads(workers).enable_all().build()?;
            runtime.block_on(runtime.spawn(work.run(OnTokio)))?
        }
        System::Smol => {
            // SAFETY: this process has one thread so far.
            unsafe { std::env::set_var("SMOL_THREADS", workers.to_string()) };
            smol::block_on(smol::spawn(work.run(OnSmol)))
        }
        System::SmolStatic => {
            for _ in 0..workers {
                thread::spawn(|| smol::block_on(STATIC.run(std::future::pending::<()>())));
            }
            smol::block_on(STATIC.spawn(work.run(OnSmolStatic)))
        }
        System::SmolkitLocal => {
            let executor: &OnlyHere<smolkit::LocalExecutor<'static>> =
                Box::leak(Box::new(OnlyHere(smolkit::LocalExecutor::new())));
            let task = executor.0.spawn(work.run(OnSmolkitLocal(executor)));
            smolkit::block_on(executor.0.run(task))
        }
        System::TokioLocal => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(runtime.spawn(work.run(OnTokio)))?
        }
        System::SmolLocal => {
            let executor: &OnlyHere<smol::LocalExecutor<'static>> =
                Box::leak(Box::new(OnlyHere(smol::LocalExecutor::new())));
            let task = executor.0.spawn(work.run(OnSmolLocal(executor)));
            smol::block_on(executor.0.run(task))
        }
        System::Monoio => {
            let mut runtime = monoio::RuntimeBuilder::<monoio::LegacyDriver>::new().build()?;
            runtime.block_on(async { monoio::spawn(work.run(OnMonoio)).await })
        }
        System::MonoioUring => {
            let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().build()?;
            runtime.block_on(async { monoio::spawn(work.run(OnMonoio)).await })
        }
        System::Bare => {
            let mut root = bare(work.run(OnBare));
            while let Some(runnable) = BARE.with_borrow_mut(VecDeque::pop_front) {
                runnable.run();
            }
            // Everything that was there to run has run.
            match Pin::new(&mut root).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(result) => result,
                Poll::Pending => Err(io::Error::other("the work waits for another thread")),
            }
        }
    }
}

#[derive(Clone, Copy)]
struct OnSmolkit;

impl Spawn for OnSmolkit {
    type Handle = smolkit::Task<u64>;
    type Mutex = async_lock::Mutex<u64>;
    fn spawn(self, future: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        smolkit::spawn(future)
    }
    fn unblock(self, job: impl FnOnce() -> u64 + Send + 'static) -> Self::Handle {
        smolkit::unblock(job)
    }
}

#[derive(Clone, Copy)]
struct OnSmol;

impl Spawn for OnSmol {
    type Handle = smol::Task<u64>;
    type Mutex = async_lock::Mutex<u64>;
    fn spawn(self, future: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        smol::spawn(future)
    }
    fn unblock(self, job: impl FnOnce() -> u64 + Send + 'static) -> Self::Handle {
        smol::unblock(job)
    }
}

static STATIC: StaticExecutor = StaticExecutor::new();

#[derive(Clone, Copy)]
struct OnSmolStatic;

impl Spawn for OnSmolStatic {
    type Handle = smol::Task<u64>;
    type Mutex = async_lock::Mutex<u64>;
    fn spawn(self, future: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        STATIC.spawn(future)
    }
    fn unblock(self, job: impl FnOnce() -> u64 + Send + 'static) -> Self::Handle {
        smol::unblock(job)
    }
}

/// Both of Tokio's runtimes: `tokio::spawn` finds the one that it is in.
#[derive(Clone, Copy)]
struct OnTokio;

pub struct TokioHandle(tokio::task::JoinHandle<u64>);

impl Future for TokioHandle {
    type Output = u64;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u64> {
        Pin::new(&mut self.0).poll(cx).map(|result| result.expect("no task panics"))
    }
}

impl Spawn for OnTokio {
    type Handle = TokioHandle;
    type Mutex = tokio::sync::Mutex<u64>;
    fn spawn(self, future: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        TokioHandle(tokio::spawn(future))
    }
    fn unblock(self, job: impl FnOnce() -> u64 + Send + 'static) -> Self::Handle {
        TokioHandle(tokio::task::spawn_blocking(job))
    }
    fn yield_now(self) -> impl Future<Output = ()> + Send + 'static {
        tokio::task::yield_now()
    }
}

/// An executor of one thread, in futures that could move to another one.
pub struct OnlyHere<T>(T);

// SAFETY: values of this type exist on the systems with one thread alone, and stay on that thread: the work starts no thread that gets one.
unsafe impl<T> Send for OnlyHere<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for OnlyHere<T> {}

#[derive(Clone, Copy)]
struct OnSmolkitLocal(&'static OnlyHere<smolkit::LocalExecutor<'static>>);

impl Spawn for OnSmolkitLocal {
    type Handle = smolkit::Task<u64>;
    type Mutex = async_lock::Mutex<u64>;
    fn spawn(self, future: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        self.0.0.spawn(future)
    }
    fn unblock(self, job: impl FnOnce() -> u64 + Send + 'static) -> Self::Handle {
        smolkit::unblock(job)
    }
}

#[derive(Clone, Copy)]
struct OnSmolLocal(&'static OnlyHere<smol::LocalExecutor<'static>>);

impl Spawn for OnSmolLocal {
    type Handle = smol::Task<u64>;
    type Mutex = async_lock::Mutex<u64>;
    fn spawn(self, future: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        self.0.0.spawn(future)
    }
    fn unblock(self, job: impl FnOnce() -> u64 + Send + 'static) -> Self::Handle {
        smol::unblock(job)
    }
}

thread_local! {
    static BARE: RefCell<VecDeque<Runnable>> = const { RefCell::new(VecDeque::new()) };
}

fn bare<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> async_task::Task<T> {
    let push = |runnable| BARE.with_borrow_mut(|queue| queue.push_back(runnable));
    let (runnable, task) = async_task::spawn(future, push);
    runnable.schedule();
    task
}

#[derive(Clone, Copy)]
struct OnBare;

impl Spawn for OnBare {
    type Handle = async_task::Task<u64>;
    type Mutex = async_lock::Mutex<u64>;
    fn spawn(self, future: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        bare(future)
    }
    fn unblock(self, _job: impl FnOnce() -> u64 + Send + 'static) -> Self::Handle {
        unreachable!("no kind of blocking work is run without an executor")
    }
}

/// A task that wakes itself while it runs is the next one to run on monoio: there, yielding lets nobody else run, unlike on the others.
#[derive(Clone, Copy)]
struct OnMonoio;

impl Spawn for OnMonoio {
    type Handle = monoio::task::JoinHandle<u64>;
    type Mutex = async_lock::Mutex<u64>;
    fn spawn(self, future: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        monoio::spawn(future)
    }
    fn unblock(self, _job: impl FnOnce() -> u64 + Send + 'static) -> Self::Handle {
        unreachable!("no kind of blocking work is run on monoio")
    }
}
