//! What do timers cost, and how late are they?
//!
//! One worker, or one thread, pinned to a core; each system and kind of work is a process of its own. `run-timers SYSTEM KIND COUNT` does just that
//! work, for a profiler: `valgrind --tool=callgrind` counts its instructions, `strace -c -f` its system calls. A sleep that ends early fails the run.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use futures_lite::future::{or, ready, yield_now};

use super::method::Series;
use crate::measure::child::Child;
use crate::measure::cpu;
use crate::measure::machine;
use crate::measure::table::{Table, cost_cells, median_cell};
use crate::servers::System;
use crate::words::word;

#[derive(Args, Clone)]
pub struct Settings {
    #[command(flatten)]
    series: Series,
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "smolkit,tokio,smol,smolkit-local,tokio-local,smol-local"
    )]
    systems: Vec<System>,
    #[arg(long, value_delimiter = ',', default_values_t = Kind::ALL)]
    kinds: Vec<Kind>,
    /// Operations of each kind in a round, instead of as many as that kind takes
    #[arg(long)]
    count: Option<u64>,
}

#[derive(Args)]
pub struct Run {
    system: System,
    kind: Kind,
    count: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Tasks that sleep for random times below a second
    RandomDeadlines,
    /// Sleeps of 100 µs, one after the other
    Sleep,
    /// A timeout around a future that is ready
    TimeoutReady,
    /// A timeout around a future that yields once
    TimeoutYield,
    /// The same beside COUNT tasks that sleep for long; 100,000 operations, whatever COUNT is
    TimeoutCrowd,
}

impl Kind {
    const ALL: [Kind; 5] = [
        Kind::RandomDeadlines,
        Kind::Sleep,
        Kind::TimeoutReady,
        Kind::TimeoutYield,
        Kind::TimeoutCrowd,
    ];

    fn name(self) -> String {
        word(&self)
    }

    fn usual_count(self) -> u64 {
        match self {
            Kind::RandomDeadlines | Kind::TimeoutCrowd => 1_000_000,
            Kind::Sleep => 1_000,
            Kind::TimeoutReady => 10_000_000,
            Kind::TimeoutYield => 1_000_000,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

/// A round of one system and kind.
#[derive(Default)]
struct Samples {
    cpu_nanos: Vec<f64>,
    /// How late sleeps end, in microseconds.
    late_p50: Vec<f64>,
    late_p99: Vec<f64>,
}

pub fn run(settings: &Settings) -> io::Result<()> {
    let head = "round,kind,system,cpu_ns_per_operation,late_p50_us,late_p99_us";
    let mut csv = settings.series.csv(head)?;
    println!("{}\n", machine::describe());
    for &kind in &settings.kinds {
        let count = settings.count.unwrap_or(kind.usual_count());
        let mut results: BTreeMap<String, Samples> = BTreeMap::new();
        for round in 0..settings.series.rounds {
            for turn in 0..settings.systems.len() {
                let system = settings.systems[(round + turn) % settings.systems.len()];
                let [nanos, p50, p99] = measure(system, kind, count)?;
                csv.line(&format!("{round},{kind},{system},{nanos:.1},{p50:.1},{p99:.1}"))?;
                let samples = results.entry(system.name()).or_default();
                samples.cpu_nanos.push(nanos);
                samples.late_p50.push(p50);
                samples.late_p99.push(p99);
            }
        }
        println!(
            "{kind}, 1 worker or thread, {} rounds with a count of {count}. Processor time of the process in ns an operation; ratios are medians of paired rounds.\n",
            settings.series.rounds,
        );
        print(kind, &settings.systems, &results);
    }
    Ok(())
}

fn print(kind: Kind, systems: &[System], results: &BTreeMap<String, Samples>) {
    let mut head = vec!["system", "median", "quartiles", "range", "÷ tokio", "÷ smol"];
    if kind == Kind::Sleep {
        head.extend(["late p50, µs", "late p99, µs"]);
    }
    let mut table = Table::new(&head);
    let cost = |system: System| results.get(&system.name()).map(|it| it.cpu_nanos.as_slice());
    for &system in systems {
        let samples = &results[&system.name()];
        let bases = match system {
            System::SmolkitLocal | System::TokioLocal | System::SmolLocal => {
                [cost(System::TokioLocal), cost(System::SmolLocal)]
            }
            _ => [cost(System::Tokio), cost(System::Smol)],
        };
        let mut cells = vec![system.name()];
        cells.extend(cost_cells(&samples.cpu_nanos, &bases));
        if kind == Kind::Sleep {
            cells.extend([median_cell(&samples.late_p50, 1), median_cell(&samples.late_p99, 1)]);
        }
        table.row(cells);
    }
    table.print();
}

pub fn smoke() -> io::Result<()> {
    let systems = vec![
        System::Smolkit,
        System::Tokio,
        System::Smol,
        System::SmolkitLocal,
        System::TokioLocal,
        System::SmolLocal,
    ];
    run(&Settings { series: Series::SMOKE, systems, kinds: Kind::ALL.into(), count: Some(100) })
}

/// Processor time in ns an operation, measured once.
pub fn cost(system: System, kind: Kind, count: u64) -> io::Result<f64> {
    Ok(measure(system, kind, count)?[0])
}

/// Nanoseconds of processor time an operation, and how late the sleeps were.
fn measure(system: System, kind: Kind, count: u64) -> io::Result<[f64; 3]> {
    let arguments = ["run-timers".into(), system.name(), kind.name(), count.to_string()];
    let line = Child::myself(&arguments, &[0])?.hear("nanoseconds ")?;
    let numbers: Result<Vec<f64>, _> = line.split(' ').map(str::parse).collect();
    let numbers = numbers.ok().and_then(|numbers| numbers.try_into().ok());
    numbers.ok_or_else(|| io::Error::other(format!("not three numbers: {line}")))
}

/// The life of such a process.
pub fn run_one(run: &Run) -> io::Result<()> {
    let (kind, count) = (run.kind, run.count);
    match run.system {
        System::Smolkit => {
            let runtime = smolkit::Runtime::builder().workers(1).build()?;
            runtime.block_on(runtime.spawn(work(OnSmolkit, OfSmolkit, kind, count)))
        }
        System::SmolkitLocal => {
            let local: &_ = Box::leak(Box::new(smolkit::LocalExecutor::new()));
            smolkit::block_on(local.run(work(local, OfSmolkit, kind, count)))
        }
        System::Tokio => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            let runtime = builder.worker_threads(1).enable_all().build()?;
            runtime.block_on(runtime.spawn(work(OnTokio, OfTokio, kind, count)))?
        }
        System::TokioLocal => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(work(OnTokio, OfTokio, kind, count))
        }
        System::Smol => {
            // SAFETY: this process has one thread so far.
            unsafe { std::env::set_var("SMOL_THREADS", "1") };
            smol::block_on(smol::spawn(work(OnSmol, OfSmol, kind, count)))
        }
        System::SmolLocal => {
            let local: &_ = Box::leak(Box::new(smol::LocalExecutor::new()));
            smol::block_on(local.run(work(local, OfSmol, kind, count)))
        }
        System::Epoll | System::EpollBuffers | System::Monoio => {
            Err(io::Error::other("not part of this bench"))
        }
    }
}

/// A system's way to spawn.
trait Spawn: Copy {
    type Handle<T: Send + 'static>: Future<Output = T>;
    fn spawn<T: Send + 'static>(
        self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Self::Handle<T>;
}

#[derive(Clone, Copy)]
struct OnSmolkit;

impl Spawn for OnSmolkit {
    type Handle<T: Send + 'static> = smolkit::Task<T>;
    fn spawn<T: Send + 'static>(
        self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Self::Handle<T> {
        smolkit::spawn(future)
    }
}

impl Spawn for &smolkit::LocalExecutor<'static> {
    type Handle<T: Send + 'static> = smolkit::Task<T>;
    fn spawn<T: Send + 'static>(
        self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Self::Handle<T> {
        smolkit::LocalExecutor::spawn(self, future)
    }
}

#[derive(Clone, Copy)]
struct OnSmol;

impl Spawn for OnSmol {
    type Handle<T: Send + 'static> = smol::Task<T>;
    fn spawn<T: Send + 'static>(
        self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Self::Handle<T> {
        smol::spawn(future)
    }
}

impl Spawn for &smol::LocalExecutor<'static> {
    type Handle<T: Send + 'static> = smol::Task<T>;
    fn spawn<T: Send + 'static>(
        self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Self::Handle<T> {
        smol::LocalExecutor::spawn(self, future)
    }
}

#[derive(Clone, Copy)]
struct OnTokio;

struct TokioHandle<T>(tokio::task::JoinHandle<T>);

impl<T> Future for TokioHandle<T> {
    type Output = T;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(cx).map(|result| result.expect("no task panics"))
    }
}

impl Spawn for OnTokio {
    type Handle<T: Send + 'static> = TokioHandle<T>;
    fn spawn<T: Send + 'static>(
        self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Self::Handle<T> {
        TokioHandle(tokio::spawn(future))
    }
}

/// A system's timers.
trait Time: Copy + Send + 'static {
    fn sleep(self, duration: Duration) -> impl Future + Send;
    /// `None` if it took too long.
    fn timeout<T>(
        self,
        duration: Duration,
        future: impl Future<Output = T> + Send,
    ) -> impl Future<Output = Option<T>> + Send;
}

#[derive(Clone, Copy)]
struct OfSmolkit;

impl Time for OfSmolkit {
    fn sleep(self, duration: Duration) -> impl Future + Send {
        smolkit::time::sleep(duration)
    }

    async fn timeout<T>(
        self,
        duration: Duration,
        future: impl Future<Output = T> + Send,
    ) -> Option<T> {
        smolkit::time::timeout(duration, future).await.ok()
    }
}

#[derive(Clone, Copy)]
struct OfTokio;

impl Time for OfTokio {
    fn sleep(self, duration: Duration) -> impl Future + Send {
        tokio::time::sleep(duration)
    }

    async fn timeout<T>(
        self,
        duration: Duration,
        future: impl Future<Output = T> + Send,
    ) -> Option<T> {
        tokio::time::timeout(duration, future).await.ok()
    }
}

#[derive(Clone, Copy)]
struct OfSmol;

impl Time for OfSmol {
    fn sleep(self, duration: Duration) -> impl Future + Send {
        smol::Timer::after(duration)
    }

    /// The way that smol's documentation shows.
    async fn timeout<T>(
        self,
        duration: Duration,
        future: impl Future<Output = T> + Send,
    ) -> Option<T> {
        let late = async {
            smol::Timer::after(duration).await;
            None
        };
        or(async { Some(future.await) }, late).await
    }
}

const SECOND: Duration = Duration::from_secs(1);
/// Operations beside a crowd.
const CROWD_OPERATIONS: u64 = 100_000;

async fn work(on: impl Spawn, time: impl Time, kind: Kind, count: u64) -> io::Result<()> {
    let mut crowd = Vec::new();
    let mut operations = count;
    if kind == Kind::TimeoutCrowd {
        let mut random = Random(7);
        let asleep = Arc::new(AtomicU64::new(0));
        for _ in 0..count {
            let long = SECOND * 600 + random.below(SECOND * 600);
            let asleep = asleep.clone();
            crowd.push(on.spawn(async move {
                asleep.fetch_add(1, Ordering::Relaxed);
                nap(time, long).await
            }));
        }
        // Who is spawned last need not be the last to run. A nap more, for the one who has only just been counted.
        while asleep.load(Ordering::Relaxed) < count {
            on.spawn(nap(time, SECOND / 100)).await?;
        }
        on.spawn(nap(time, SECOND / 100)).await?;
        operations = CROWD_OPERATIONS;
    }
    // A tenth of it first, to warm up.
    repeat(on, time, kind, operations.div_ceil(10)).await?;
    let before = cpu::time_of_process(std::process::id())?;
    let mut late = repeat(on, time, kind, operations).await?;
    let used = cpu::time_of_process(std::process::id())? - before;
    late.sort_unstable();
    let quantile = |share: usize| {
        let nanos = late.get(late.len() * share / 100).copied().unwrap_or_default();
        nanos.as_nanos() as f64 / 1_000.0
    };
    let each = used.as_nanos() as f64 / operations as f64;
    println!("nanoseconds {each:.1} {:.1} {:.1}", quantile(50), quantile(99));
    // Nobody waits for the crowd.
    std::process::exit(0)
}

/// So many operations; how late the sleeps among them were.
async fn repeat(
    on: impl Spawn,
    time: impl Time,
    kind: Kind,
    count: u64,
) -> io::Result<Vec<Duration>> {
    let mut late = Vec::new();
    let wrong = || io::Error::other("a timeout has come to nothing");
    match kind {
        Kind::RandomDeadlines => {
            let mut random = Random(1);
            let tasks: Vec<_> = (0..count)
                .map(|_| {
                    let wanted = random.below(SECOND);
                    on.spawn(nap(time, wanted))
                })
                .collect();
            for task in tasks {
                late.push(task.await?);
            }
        }
        Kind::Sleep => {
            for _ in 0..count {
                late.push(nap(time, SECOND / 10_000).await?);
            }
        }
        Kind::TimeoutReady => {
            for number in 0..count {
                let output = time.timeout(SECOND, ready(std::hint::black_box(number))).await;
                if output != Some(number) {
                    return Err(wrong());
                }
            }
        }
        Kind::TimeoutYield | Kind::TimeoutCrowd => {
            for _ in 0..count {
                time.timeout(SECOND, yield_now()).await.ok_or_else(wrong)?;
            }
        }
    }
    Ok(late)
}

/// How late it ends.
async fn nap(time: impl Time, wanted: Duration) -> io::Result<Duration> {
    let start = Instant::now();
    time.sleep(wanted).await;
    let slept = start.elapsed();
    slept.checked_sub(wanted).ok_or_else(|| io::Error::other(format!("{slept:?} < {wanted:?}")))
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_nanos((self.0 >> 8) % limit.as_nanos() as u64)
    }
}
