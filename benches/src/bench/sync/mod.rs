//! What does it cost to wait for one another: oneshot, `Notify`, watch and broadcast?
//!
//! All libraries run on smolkit's workers, so that only they differ; Tokio's also on Tokio's own. Each case is a process of its own; within a
//! round the libraries take turns, and each round begins with another one. `run-sync` does just one case, for a profiler.
//! `--instructions` counts what is executed outside of the kernel, two counts apart so that the start cancels out.

mod kinds;
mod work;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::Instant;

use clap::{Args, ValueEnum};

use self::kinds::{AsyncBroadcast, Smolkit, Tokio};
use self::work::{Spawn, Task};
use super::method::Series;
use crate::measure::callgrind;
use crate::measure::child;
use crate::measure::cpu;
use crate::measure::machine;
use crate::measure::table::{Csv, Table, cost_cells, median_cell};
use crate::words::word;

/// Operations of the shorter one of two counted runs.
const COUNTED: u64 = 20_000;

/// Items of a burst.
const BURST: u64 = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Library {
    Smolkit,
    /// Tokio's, on smolkit's workers
    Tokio,
    /// Tokio's on Tokio's workers
    TokioAtHome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Work {
    /// oneshot: a value that is there already
    Sent,
    /// oneshot: between two tasks, both of which wait
    Across,
    /// `Notify`: told before anybody waits
    Permit,
    /// `Notify`: two tasks tell each other
    PingPong,
    /// `Notify`: 16 are told at once
    Crowd,
    /// watch: one sees each value
    Watch1,
    /// watch: 16 see each value
    Watch16,
    /// broadcast: item by item to one, which waits for each
    Broadcast1,
    Broadcast4,
    Broadcast16,
    /// broadcast: 128 items at once to one
    Burst1,
    Burst4,
    Burst16,
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&word(self))
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&word(self))
    }
}

#[derive(Args, Clone)]
pub struct Settings {
    #[command(flatten)]
    series: Series,
    /// All of them if none is named
    #[arg(long, value_delimiter = ',')]
    libraries: Vec<Library>,
    /// All of it if none is named
    #[arg(long, value_delimiter = ',')]
    work: Vec<Work>,
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    workers: Vec<usize>,
    /// In a round
    #[arg(long, default_value_t = 1_000_000)]
    operations: u64,
    /// Count instructions with valgrind instead of time
    #[arg(long)]
    instructions: bool,
}

#[derive(Args, Clone, Copy)]
pub struct Run {
    library: Library,
    work: Work,
    operations: u64,
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

impl Run {
    fn arguments(&self) -> Vec<String> {
        let Run { library, work, operations, workers } = self;
        let words = format!("run-sync {library} {work} {operations} --workers {workers}");
        words.split(' ').map(str::to_owned).collect()
    }
}

pub fn run(settings: &Settings) -> io::Result<()> {
    let mut csv = settings.series.csv("round,work,workers,library,cpu_nanos,wall_nanos")?;
    println!("{}\n", machine::describe());
    let libraries = all_if_none(&settings.libraries);
    let work = all_if_none(&settings.work);
    for &workers in &settings.workers {
        if settings.instructions {
            print_instructions(&libraries, &work, workers)?;
            continue;
        }
        let mut table = Table::new(&[
            "work",
            "library",
            "CPU ns an operation",
            "quartiles",
            "range",
            "× tokio",
            "wall ns",
        ]);
        for &work in &work {
            measure(settings, &libraries, work, workers, &mut csv, &mut table)?;
        }
        println!(
            "Workers: {workers}; {} rounds. Ratios are medians of paired rounds.\n",
            settings.series.rounds
        );
        table.print();
    }
    Ok(())
}

pub fn smoke() -> io::Result<()> {
    run(&Settings {
        series: Series::SMOKE,
        libraries: Vec::new(),
        work: Vec::new(),
        workers: vec![2],
        operations: 5_000,
        instructions: false,
    })
}

fn all_if_none<T: ValueEnum>(some: &[T]) -> Vec<T> {
    if some.is_empty() { T::value_variants().to_vec() } else { some.to_vec() }
}

fn measure(
    settings: &Settings,
    libraries: &[Library],
    work: Work,
    workers: usize,
    csv: &mut Csv,
    table: &mut Table,
) -> io::Result<()> {
    let cores: Vec<usize> = (0..workers).collect();
    let mut samples = BTreeMap::<Library, [Vec<f64>; 2]>::new();
    for round in 0..settings.series.rounds {
        for turn in 0..libraries.len() {
            let library = libraries[(round + turn) % libraries.len()];
            let run = Run { library, work, operations: settings.operations, workers };
            let (used, wall) = child::two_figures(&run.arguments(), &cores)?;
            csv.line(&format!("{round},{work},{workers},{library},{used},{wall}"))?;
            let [useds, walls] = samples.entry(library).or_default();
            useds.push(used);
            walls.push(wall);
        }
    }
    let base = samples.get(&Library::Tokio).map(|[used, _]| used.clone());
    for (library, [used, wall]) in &samples {
        let mut cells = vec![work.to_string(), library.to_string()];
        cells.extend(cost_cells(used, &[base.as_deref()]));
        cells.push(median_cell(wall, 1));
        table.row(cells);
    }
    Ok(())
}

fn print_instructions(libraries: &[Library], work: &[Work], workers: usize) -> io::Result<()> {
    println!("Instructions in user space for an operation; workers: {workers}.\n");
    let names = libraries.iter().map(Library::to_string);
    let head: Vec<String> = ["work".to_owned()].into_iter().chain(names).collect();
    let mut table = Table::new(&head.iter().map(String::as_str).collect::<Vec<_>>());
    for &work in work {
        let mut cells = vec![work.to_string()];
        for &library in libraries {
            let count = |operations| {
                callgrind::instructions(&Run { library, work, operations, workers }.arguments())
            };
            let more = count(3 * COUNTED)?.saturating_sub(count(COUNTED)?);
            // A tenth of each was done before, to warm up.
            let operations = 2 * (COUNTED + COUNTED / 10);
            cells.push(format!("{:.0}", more as f64 / operations as f64));
        }
        table.row(cells);
    }
    table.print();
    Ok(())
}

/// The life of such a process.
pub fn run_one(run: &Run) -> io::Result<()> {
    match run.library {
        Library::TokioAtHome => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            let runtime = builder.worker_threads(run.workers).enable_all().build()?;
            let spawn = |task: Task| drop(tokio::spawn(task));
            runtime.block_on(runtime.spawn(repeat(*run, spawn)))?
        }
        Library::Smolkit | Library::Tokio => {
            let runtime = smolkit::Runtime::builder().workers(run.workers).build()?;
            let spawn = |task: Task| smolkit::spawn(task).detach();
            runtime.block_on(runtime.spawn(repeat(*run, spawn)))
        }
    }
}

async fn repeat(run: Run, spawn: impl Spawn) -> io::Result<()> {
    // A tenth of it first, to warm up.
    some(run, run.operations.div_ceil(10), &spawn).await;
    let (wall, before) = (Instant::now(), cpu::time_of_process(std::process::id())?);
    let done = some(run, run.operations, &spawn).await;
    let used = cpu::time_of_process(std::process::id())? - before;
    let each = |nanos: u128| nanos as f64 / done as f64;
    println!("figures {:.2} {:.2}", each(used.as_nanos()), each(wall.elapsed().as_nanos()));
    Ok(())
}

/// At least so many operations; gives their number.
async fn some(run: Run, times: u64, spawn: &impl Spawn) -> u64 {
    type OurNotify = smolkit::sync::Notify;
    type TheirNotify = tokio::sync::Notify;
    let is_ours = run.library == Library::Smolkit;
    match (run.work, is_ours) {
        (Work::Sent, true) => work::sent(Smolkit, times).await,
        (Work::Sent, false) => work::sent(Tokio, times).await,
        (Work::Across, true) => work::across(Smolkit, times, spawn).await,
        (Work::Across, false) => work::across(Tokio, times, spawn).await,
        (Work::Permit, true) => work::permit::<OurNotify>(times).await,
        (Work::Permit, false) => work::permit::<TheirNotify>(times).await,
        (Work::PingPong, true) => work::ping_pong::<OurNotify>(times, spawn).await,
        (Work::PingPong, false) => work::ping_pong::<TheirNotify>(times, spawn).await,
        (Work::Crowd, true) => work::crowd::<OurNotify>(times, 16, spawn).await,
        (Work::Crowd, false) => work::crowd::<TheirNotify>(times, 16, spawn).await,
        (Work::Watch1, true) => work::watched(Smolkit, times, 1, spawn).await,
        (Work::Watch1, false) => work::watched(Tokio, times, 1, spawn).await,
        (Work::Watch16, true) => work::watched(Smolkit, times, 16, spawn).await,
        (Work::Watch16, false) => work::watched(Tokio, times, 16, spawn).await,
        (Work::Broadcast1, _) => broadcast(is_ours, times, 1, 1, spawn).await,
        (Work::Broadcast4, _) => broadcast(is_ours, times, 4, 1, spawn).await,
        (Work::Broadcast16, _) => broadcast(is_ours, times, 16, 1, spawn).await,
        (Work::Burst1, _) => broadcast(is_ours, times, 1, BURST, spawn).await,
        (Work::Burst4, _) => broadcast(is_ours, times, 4, BURST, spawn).await,
        (Work::Burst16, _) => broadcast(is_ours, times, 16, BURST, spawn).await,
    }
}

async fn broadcast(
    is_ours: bool,
    times: u64,
    listeners: usize,
    burst: u64,
    spawn: &impl Spawn,
) -> u64 {
    match is_ours {
        true => work::broadcast(AsyncBroadcast, times, listeners, burst, spawn).await,
        false => work::broadcast(Tokio, times, listeners, burst, spawn).await,
    }
}
