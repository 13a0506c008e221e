//! How does the cost of one operation grow with workers, tasks, timers and connections? It should not.
//!
//! smolkit and Tokio do the work of the benches `tasks`, `timers` and `echo` over the whole range, rounds of everything until the time is up: processor time
//! an operation, medians, in tables and as a picture. Of few timers each is a wake-up of its own, of many several share one. More workers than cores compete for them: there the question is what that adds. A cell of one round is
//! one process that was measured once: for comparisons take those benches.

mod plot;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use self::plot::{Chart, Series};
use super::{echo, tasks, timers};
use crate::measure::statistics::Summary;
use crate::measure::table::Table;
use crate::measure::{cpu, machine};
use crate::servers::System;

#[derive(Args, Clone)]
pub struct Settings {
    /// Rounds are repeated as long as the next one will probably end within so many; there is one in any case
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4, 8])]
    workers: Vec<usize>,
    /// Tasks at once
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000, 1_000_000])]
    tasks: Vec<u64>,
    /// Timers at once
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000, 1_000_000])]
    timers: Vec<u64>,
    #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 1_000, 10_000])]
    connections: Vec<u64>,
    /// Spawned tasks, or a quarter of the round trips, that a figure is made of, and more where there are more at once
    #[arg(long, default_value_t = 200_000)]
    operations: u64,
    /// Write the picture to this file
    #[arg(long)]
    svg: Option<PathBuf>,
}

const SYSTEMS: [(System, tasks::System); 2] =
    [(System::Smolkit, tasks::System::Smolkit), (System::Tokio, tasks::System::Tokio)];
/// A server and its load have one descriptor for each connection, and a few of their own.
const DESCRIPTORS_APART: u64 = 64;

/// One kind of work over the whole range.
struct Sweep {
    title: &'static str,
    axis: &'static str,
    unit: &'static str,
    lines: Vec<Line>,
    counts: Vec<u64>,
    measure: fn(&Settings, Line, u64) -> io::Result<f64>,
}

#[derive(Clone, Copy)]
struct Line {
    /// Of `SYSTEMS`.
    system: usize,
    workers: usize,
}

impl Line {
    fn name(self) -> String {
        let s = if self.workers == 1 { "" } else { "s" };
        format!("{}, {} worker{s}", SYSTEMS[self.system].0, self.workers)
    }
}

/// The samples of each line and count.
type Samples = Vec<Vec<Vec<f64>>>;

pub fn run(settings: &Settings) -> io::Result<()> {
    let sweeps = sweeps(settings)?;
    let mut samples: Vec<Samples> = sweeps
        .iter()
        .map(|sweep| vec![vec![Vec::new(); sweep.counts.len()]; sweep.lines.len()])
        .collect();
    let (start, mut rounds) = (Instant::now(), 0);
    let limit = Duration::from_secs_f64(settings.minutes * 60.0);
    // As long as a round of mean length still fits in.
    while rounds == 0 || start.elapsed() * (rounds + 1) / rounds <= limit {
        for (sweep, samples) in sweeps.iter().zip(&mut samples) {
            eprintln!("round {}: {}", rounds + 1, sweep.title);
            for (index, &count) in sweep.counts.iter().enumerate() {
                for turn in 0..sweep.lines.len() {
                    let number = (rounds as usize + turn) % sweep.lines.len();
                    let cost = (sweep.measure)(settings, sweep.lines[number], count)?;
                    samples[number][index].push(cost);
                }
            }
        }
        rounds += 1;
    }
    println!("{}\n", machine::describe());
    let s = if rounds == 1 { "" } else { "s" };
    let what = format!("Processor time of the process an operation, medians of {rounds} round{s}");
    println!("{what}. The last column: the largest of a line over its smallest.\n");
    for (sweep, samples) in sweeps.iter().zip(&samples) {
        print(sweep, samples);
    }
    if let Some(path) = &settings.svg {
        let charts: Vec<Chart> = sweeps.iter().zip(&samples).map(chart).collect();
        let note = format!("{what}. {}", machine::describe());
        fs::write(path, plot::svg(&charts, &note)).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
    }
    Ok(())
}

pub fn smoke() -> io::Result<()> {
    run(&Settings {
        minutes: 0.0,
        workers: vec![1, 2],
        tasks: vec![10, 100],
        timers: vec![10, 100],
        connections: vec![1, 10],
        operations: 1_000,
        svg: None,
    })
}

fn sweeps(settings: &Settings) -> io::Result<[Sweep; 3]> {
    let descriptors = cpu::raise_open_files()?.saturating_sub(DESCRIPTORS_APART);
    let (connections, too_many): (Vec<u64>, Vec<u64>) =
        settings.connections.iter().partition(|&&count| count <= descriptors);
    if !too_many.is_empty() {
        eprintln!("left out, for want of descriptors: {too_many:?} connections");
    }
    Ok([
        Sweep {
            title: "Spawn, then join all",
            axis: "tasks",
            unit: "ns a task",
            lines: lines(&settings.workers),
            counts: settings.tasks.clone(),
            measure: |settings, line, count| {
                let (system, workers) = (SYSTEMS[line.system].1, line.workers);
                tasks::cost(system, tasks::Kind::SpawnMany, workers, count, settings.operations)
            },
        },
        Sweep {
            title: "Sleep for random times below 1 s",
            axis: "timers",
            unit: "ns a timer",
            lines: lines(&[1]),
            counts: settings.timers.clone(),
            measure: |_, line, count| {
                timers::cost(SYSTEMS[line.system].0, timers::Kind::RandomDeadlines, count)
            },
        },
        Sweep {
            title: "TCP echo of 64 bytes",
            axis: "connections",
            unit: "µs a round trip",
            lines: lines(&settings.workers),
            counts: connections,
            measure: |settings, line, count| {
                let trips = (settings.operations / 4).max(4 * count);
                echo::cost(SYSTEMS[line.system].0, line.workers, count as usize, trips)
            },
        },
    ])
}

fn lines(workers: &[usize]) -> Vec<Line> {
    let of = |system| workers.iter().map(move |&workers| Line { system, workers });
    (0..SYSTEMS.len()).flat_map(of).collect()
}

fn median(samples: &[f64]) -> f64 {
    Summary::of(samples).map_or(f64::NAN, |summary| summary.median)
}

fn print(sweep: &Sweep, samples: &Samples) {
    println!("{}, {}:\n", sweep.title, sweep.unit);
    let heads: Vec<String> =
        sweep.counts.iter().map(|count| format!("{count} {}", sweep.axis)).collect();
    let heads = ["system"].into_iter().chain(heads.iter().map(String::as_str)).chain(["growth"]);
    let mut table = Table::new(&heads.collect::<Vec<_>>());
    for (line, samples) in sweep.lines.iter().zip(samples) {
        let medians: Vec<f64> = samples.iter().map(|samples| median(samples)).collect();
        let least = medians.iter().copied().fold(f64::INFINITY, f64::min);
        let most = medians.iter().copied().fold(0.0, f64::max);
        let mut cells = vec![line.name()];
        cells.extend(medians.iter().map(|median| format!("{median:.1}")));
        cells.push(format!("{:.2}", most / least));
        table.row(cells);
    }
    table.print();
}

fn chart((sweep, samples): (&Sweep, &Samples)) -> Chart {
    let series = sweep.lines.iter().zip(samples).map(|(line, samples)| {
        let medians = samples.iter().map(|samples| median(samples));
        let counts = sweep.counts.iter().map(|&count| count as f64);
        Series { name: line.name(), hue: line.system, points: counts.zip(medians).collect() }
    });
    Chart { title: sweep.title, x: sweep.axis, y: sweep.unit, series: series.collect() }
}
