//! What do spawning, awaiting and yielding cost, without any I/O?
//!
//! One worker, pinned to a core; each system and kind of work is a process of its own. `run SYSTEM KIND COUNT` does just that work, for a
//! profiler: `valgrind --tool=callgrind` counts its instructions.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use clap::{Args, ValueEnum};

use crate::measure::child::Child;
use crate::measure::cpu;
use crate::measure::machine;
use crate::measure::table::{Csv, Table, cost_cells};
use crate::servers::System;

/// Tasks at once, and how often each yields.
const TASKS: u64 = 1000;

#[derive(Args, Clone)]
pub struct Settings {
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    #[arg(long, value_delimiter = ',', default_value = "smolkit,tokio,smol")]
    systems: Vec<System>,
    /// Operations of each kind in a round
    #[arg(long, default_value_t = 1_000_000)]
    count: u64,
    /// Write every sample to this file
    #[arg(long)]
    csv: Option<PathBuf>,
}

#[derive(Args)]
pub struct Run {
    system: System,
    kind: Kind,
    count: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Spawn a task and await it, one after the other
    SpawnOne,
    /// Spawn 1,000 tasks, then await them all
    SpawnMany,
    /// 1,000 tasks take turns in yielding
    Yield,
    /// Two tasks wake each other
    PingPong,
}

impl Kind {
    fn name(self) -> String {
        self.to_possible_value().expect("no variant is skipped").get_name().to_owned()
    }
}

pub fn run(settings: &Settings) -> io::Result<()> {
    let mut csv = Csv::create(settings.csv.as_deref(), "round,kind,system,cpu_ns_per_operation")?;
    println!("{}\n", machine::describe());
    for &kind in Kind::value_variants() {
        let mut results: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for round in 0..settings.rounds {
            for turn in 0..settings.systems.len() {
                let system = settings.systems[(round + turn) % settings.systems.len()];
                let nanos = measure(system, kind, settings.count)?;
                csv.line(&format!("{round},{},{system},{nanos:.1}", kind.name()))?;
                results.entry(system.name()).or_default().push(nanos);
            }
        }
        println!(
            "{}, 1 worker, {} rounds of {} operations. Processor time of the process in ns an operation; ratios are medians of paired rounds.\n",
            kind.name(),
            settings.rounds,
            settings.count
        );
        let mut table =
            Table::new(&["system", "median", "quartiles", "range", "÷ tokio", "÷ smol"]);
        let cost = |system: System| results.get(&system.name()).map(Vec::as_slice);
        for &system in &settings.systems {
            let mut cells = vec![system.name()];
            let bases = [cost(System::Tokio), cost(System::Smol)];
            cells.extend(cost_cells(&results[&system.name()], &bases));
            table.row(cells);
        }
        table.print();
    }
    Ok(())
}

pub fn smoke() -> io::Result<()> {
    let systems = vec![System::Smolkit, System::Tokio, System::Smol];
    run(&Settings { rounds: 1, systems, count: 2 * TASKS, csv: None })
}

fn measure(system: System, kind: Kind, count: u64) -> io::Result<f64> {
    let arguments = ["run".into(), system.name(), kind.name(), count.to_string()];
    let nanos = Child::myself(&arguments, &[0])?.hear("nanoseconds ")?;
    let nanos = nanos.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok());
    nanos.ok_or_else(|| io::Error::other("not a number of nanoseconds"))
}

/// The life of such a process.
pub fn run_one(run: &Run) -> io::Result<()> {
    let rounds = (run.count / TASKS).max(1);
    // A tenth of it first, to warm up.
    let (warmth, measured) = (rounds.div_ceil(10), rounds);
    match run.system {
        System::Smolkit => {
            let runtime = smolkit::Runtime::builder().workers(1).build()?;
            runtime.block_on(runtime.spawn(work(OnSmolkit, run.kind, warmth, measured)))
        }
        System::Tokio => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            let runtime = builder.worker_threads(1).enable_all().build()?;
            runtime.block_on(runtime.spawn(work(OnTokio, run.kind, warmth, measured)))?
        }
        System::Smol => {
            // SAFETY: this process has one thread so far.
            unsafe { std::env::set_var("SMOL_THREADS", "1") };
            smol::block_on(smol::spawn(work(OnSmol, run.kind, warmth, measured)))
        }
        other => Err(io::Error::other(format!("not for {other}"))),
    }
}

/// A system's way to spawn.
trait Spawn: Copy + Send + Sync + 'static {
    type Handle: Future<Output = u64> + Send;
    fn spawn(self, future: impl Future<Output = u64> + Send + 'static) -> Self::Handle;
    fn yield_now(self) -> impl Future<Output = ()> + Send;
}

#[derive(Clone, Copy)]
struct OnSmolkit;

impl Spawn for OnSmolkit {
    type Handle = smolkit::Task<u64>;
    fn spawn(self, future: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        smolkit::spawn(future)
    }
    fn yield_now(self) -> impl Future<Output = ()> + Send {
        smolkit::future::yield_now()
    }
}

#[derive(Clone, Copy)]
struct OnSmol;

impl Spawn for OnSmol {
    type Handle = smol::Task<u64>;
    fn spawn(self, future: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        smol::spawn(future)
    }
    fn yield_now(self) -> impl Future<Output = ()> + Send {
        smol::future::yield_now()
    }
}

#[derive(Clone, Copy)]
struct OnTokio;

struct TokioHandle(tokio::task::JoinHandle<u64>);

impl Future for TokioHandle {
    type Output = u64;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u64> {
        Pin::new(&mut self.0).poll(cx).map(|result| result.expect("no task panics"))
    }
}

impl Spawn for OnTokio {
    type Handle = TokioHandle;
    fn spawn(self, future: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        TokioHandle(tokio::spawn(future))
    }
    fn yield_now(self) -> impl Future<Output = ()> + Send {
        tokio::task::yield_now()
    }
}

async fn work(on: impl Spawn, kind: Kind, warmth: u64, measured: u64) -> io::Result<()> {
    repeat(on, kind, warmth).await?;
    let (wall, before) = (Instant::now(), cpu::time_of_process(std::process::id())?);
    repeat(on, kind, measured).await?;
    let used = cpu::time_of_process(std::process::id())? - before;
    let each = |nanos: u128| nanos as f64 / (measured * TASKS) as f64;
    println!("nanoseconds {:.1} of {:.1}", each(used.as_nanos()), each(wall.elapsed().as_nanos()));
    Ok(())
}

/// 1,000 operations, so often.
async fn repeat(on: impl Spawn, kind: Kind, rounds: u64) -> io::Result<()> {
    let expected = rounds * (0..TASKS).sum::<u64>();
    let mut sum = 0;
    match kind {
        Kind::SpawnOne => {
            for number in (0..rounds).flat_map(|_| 0..TASKS) {
                sum += on.spawn(async move { number }).await;
            }
        }
        Kind::SpawnMany => {
            for _ in 0..rounds {
                let tasks: Vec<_> =
                    (0..TASKS).map(|number| on.spawn(async move { number })).collect();
                for task in tasks {
                    sum += task.await;
                }
            }
        }
        Kind::Yield => {
            let one = move |number| async move {
                for _ in 0..rounds {
                    on.yield_now().await;
                }
                number * rounds
            };
            let tasks: Vec<_> = (0..TASKS).map(|number| on.spawn(one(number))).collect();
            for task in tasks {
                sum += task.await;
            }
        }
        Kind::PingPong => sum = ping_pong(on, rounds * TASKS / 2).await * expected,
    }
    if sum != expected {
        return Err(io::Error::other(format!("the sum is {sum}, not {expected}")));
    }
    Ok(())
}

/// A task and its caller hand a token to and fro; 1 if it came home.
async fn ping_pong(on: impl Spawn, count: u64) -> u64 {
    let there = std::sync::Arc::new(Slot::default());
    let back = std::sync::Arc::new(Slot::default());
    let (inbox, outbox) = (there.clone(), back.clone());
    let other = on.spawn(async move {
        for _ in 0..count {
            let token = inbox.take().await;
            outbox.put(token + 1);
        }
        0
    });
    let mut token = 0;
    for _ in 0..count {
        there.put(token);
        token = back.take().await;
    }
    other.await;
    u64::from(token == count)
}

/// The simplest channel: of one value, with one who waits.
#[derive(Default)]
struct Slot {
    inner: std::sync::Mutex<(Option<u64>, Option<std::task::Waker>)>,
}

impl Slot {
    fn put(&self, value: u64) {
        let mut inner = self.inner.lock().expect("nothing panics under it");
        inner.0 = Some(value);
        let waker = inner.1.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn take(&self) -> impl Future<Output = u64> + Send + '_ {
        std::future::poll_fn(|cx| {
            let mut inner = self.inner.lock().expect("nothing panics under it");
            if let Some(value) = inner.0.take() {
                return Poll::Ready(value);
            }
            inner.1 = Some(cx.waker().clone());
            Poll::Pending
        })
    }
}
