//! What do tasks cost, without any I/O: to spawn, to await, to yield, to wake, to block, to keep?
//!
//! Each system and kind of work is a process of its own, and its work begins in a task. The systems with several workers have all cores, those with
//! one thread have one. Within a round the systems take turns, and each round begins with another one. `run SYSTEM KIND COUNT` does
//! just that work, for a profiler: `valgrind --tool=callgrind` counts its instructions.

mod kinds;
mod memory;
mod slot;
mod systems;
mod tables;
mod wake;

use std::io;
use std::thread;

use clap::{Args, ValueEnum};

pub use self::kinds::Kind;
use self::kinds::Repeat;
use self::memory::Parked;
pub use self::systems::System;
use self::tables::{Case, Results};
use self::wake::Wake;
use super::method::Series;
use crate::measure::child;
use crate::measure::machine;
use crate::measure::table::Csv;

#[derive(Args, Clone)]
pub struct Settings {
    #[command(flatten)]
    series: Series,
    /// All of them if none is named
    #[arg(long, value_delimiter = ',')]
    systems: Vec<System>,
    /// All of them if none is named
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<Kind>,
    /// Worker threads of the systems that have several; more than one number gives scaling tables
    #[arg(long, value_delimiter = ',', default_value = "2")]
    workers: Vec<usize>,
    /// Tasks at once, of those kinds that have many; more than one number gives scaling tables
    #[arg(long, value_delimiter = ',', default_value = "1000")]
    counts: Vec<u64>,
    /// Operations of each kind in a round; a hundredth of it of wake-ups from another thread
    #[arg(long, default_value_t = 1_000_000)]
    operations: u64,
}

#[derive(Args)]
pub struct Run {
    system: System,
    kind: Kind,
    /// Operations
    count: u64,
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Tasks at once
    #[arg(long, default_value_t = 1000)]
    tasks: u64,
}

pub fn run(settings: &Settings) -> io::Result<()> {
    let mut csv =
        settings.series.csv("round,kind,workers,tasks,system,first_figure,second_figure")?;
    println!("{}\n", machine::describe());
    let systems = all_if_none(&settings.systems);
    for kind in all_if_none(&settings.kinds) {
        for is_local in [false, true] {
            let systems: Vec<System> = systems
                .iter()
                .copied()
                .filter(|&system| system.is_local() == is_local && kind.suits(system))
                .collect();
            let workers = if is_local { &[1][..] } else { &settings.workers };
            let counts =
                if kind.scales_with_tasks() { &settings.counts[..] } else { &settings.counts[..1] };
            if systems.is_empty() {
                continue;
            }
            let mut results = Vec::new();
            for &workers in workers {
                for &tasks in counts {
                    let case = Case { kind, is_local, workers, tasks };
                    let figures = measure(settings, &systems, case, &mut csv)?;
                    tables::print(settings.series.rounds, settings.operations, &case, &figures);
                    results.push((case, figures));
                }
            }
            if results.len() > 1 {
                tables::print_scaling(&systems, &results);
            }
        }
    }
    Ok(())
}

pub fn smoke() -> io::Result<()> {
    run(&Settings {
        series: Series::SMOKE,
        systems: Vec::new(),
        kinds: Vec::new(),
        workers: vec![2],
        counts: vec![100],
        operations: 2000,
    })
}

/// The life of such a process.
pub fn run_one(run: &Run) -> io::Result<()> {
    if !run.kind.suits(run.system) {
        let message = format!("{} has no {}", run.system, run.kind.name());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    match run.kind {
        Kind::Wake => systems::run(run.system, run.workers, Wake { count: run.count }),
        Kind::Parked => systems::run(run.system, run.workers, Parked { tasks: run.count }),
        kind => {
            let work = Repeat { kind, tasks: run.tasks, operations: run.count };
            systems::run(run.system, run.workers, work)
        }
    }
}

fn all_if_none<T: ValueEnum>(some: &[T]) -> Vec<T> {
    if some.is_empty() { T::value_variants().to_vec() } else { some.to_vec() }
}

/// Processor time in ns an operation, measured once.
pub fn cost(
    system: System,
    kind: Kind,
    workers: usize,
    tasks: u64,
    operations: u64,
) -> io::Result<f64> {
    let case = Case { kind, is_local: system.is_local(), workers, tasks };
    Ok(measure_once(operations, system, case)?.0)
}

fn measure(
    settings: &Settings,
    systems: &[System],
    case: Case,
    csv: &mut Csv,
) -> io::Result<Results> {
    let mut results = Results::default();
    for round in 0..settings.series.rounds {
        for turn in 0..systems.len() {
            let system = systems[(round + turn) % systems.len()];
            let (first, second) = measure_once(settings.operations, system, case)?;
            let Case { kind, workers, tasks, .. } = case;
            csv.line(&format!(
                "{round},{},{workers},{tasks},{system},{first},{second}",
                kind.name()
            ))?;
            results.add(system, first, second);
        }
    }
    Ok(results)
}

/// Such a process, and the two figures that it says in the end.
fn measure_once(operations: u64, system: System, case: Case) -> io::Result<(f64, f64)> {
    let count = match case.kind {
        Kind::Wake => operations.div_ceil(100),
        _ => operations,
    };
    let mut arguments = vec!["run".into(), system.name(), case.kind.name(), count.to_string()];
    arguments.extend(["--workers".into(), case.workers.to_string()]);
    arguments.extend(["--tasks".into(), case.tasks.to_string()]);
    // Who wakes a task from another thread takes a core of its own.
    let is_alone = case.is_local && case.kind != Kind::Wake && !case.kind.blocks();
    let all = thread::available_parallelism().map_or(1, usize::from);
    let cores: Vec<usize> = if is_alone { vec![0] } else { (0..all).collect() };
    child::two_figures(&arguments, &cores)
}
