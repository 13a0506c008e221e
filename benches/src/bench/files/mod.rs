//! What do files cost: to read, to look up, to write, to copy, with all of them in the page cache? And who waits for a file that is not there?
//!
//! Each system and kind of work is a process of its own with all cores; its work begins in a task. Within a round the systems take turns, and each round begins
//! with another one. System calls are counted in a run of their own. `run-files SYSTEM KIND COUNT FOLDER` does just that work, for a profiler.

mod cold;
mod kinds;
mod systems;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use clap::{Args, ValueEnum};

use self::kinds::Kind;
use self::systems::System;
use super::method::{Series, SystemCalls};
use crate::measure::child::Child;
use crate::measure::machine;
use crate::measure::statistics::Summary;
use crate::measure::syscalls::{Counter, Counts};
use crate::measure::table::{Table, cost_cells};

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
    /// Small files to read and to look up in a round
    #[arg(long, default_value_t = 20_000)]
    small: u64,
    /// How often the large file is read, written or copied in a round
    #[arg(long, default_value_t = 4)]
    large: u64,
    /// Where the files are made; a folder on the filesystem in question
    #[arg(long)]
    folder: Option<PathBuf>,
    #[command(flatten)]
    system_calls: SystemCalls,
}

#[derive(Args)]
pub struct Run {
    system: System,
    kind: Kind,
    /// Small files, or turns through the large one
    count: u64,
    folder: PathBuf,
    /// Wait for a line before the work and one after it
    #[arg(long, hide = true)]
    stepwise: bool,
}

/// Of one system and kind, one for each round.
#[derive(Default)]
struct Results {
    cost: Vec<f64>,
    second: Vec<f64>,
    third: Vec<f64>,
    calls: Option<(Counts, u64)>,
}

pub fn run(settings: &Settings) -> io::Result<()> {
    let folder = Folder::make(settings.folder.as_deref())?;
    let mut csv = settings.series.csv("round,kind,system,first_figure,second,third")?;
    println!("{}\n", machine::describe());
    for kind in all_if_none(&settings.kinds) {
        let systems: Vec<System> =
            all_if_none(&settings.systems).into_iter().filter(|&on| kind.suits(on)).collect();
        let mut results: BTreeMap<System, Results> = BTreeMap::new();
        for round in 0..settings.series.rounds {
            for turn in 0..systems.len() {
                let system = systems[(round + turn) % systems.len()];
                let [first, second, third] = measure(settings, system, kind, &folder.0)?;
                let name = kind.name();
                csv.line(&format!("{round},{name},{system},{first},{second},{third}"))?;
                let results = results.entry(system).or_default();
                results.cost.push(first);
                results.second.push(second);
                results.third.push(third);
            }
        }
        if settings.system_calls.are_counted() && kind != Kind::Cold {
            for (&system, results) in &mut results {
                results.calls = Some(count_calls(settings, system, kind, &folder.0)?);
            }
        }
        match kind {
            Kind::Cold => print_latency(settings.series.rounds, &results),
            kind => print_costs(settings.series.rounds, kind, &results),
        }
    }
    Ok(())
}

pub fn smoke() -> io::Result<()> {
    run(&Settings {
        series: Series::SMOKE,
        systems: Vec::new(),
        kinds: Vec::new(),
        small: 200,
        large: 1,
        folder: None,
        system_calls: SystemCalls::LEFT_OUT,
    })
}

/// The life of such a process.
pub fn run_one(run: &Run) -> io::Result<()> {
    if !run.kind.suits(run.system) {
        let message = format!("{} has no {}", run.system, run.kind.name());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let folder = run.folder.clone();
    match run.kind {
        Kind::Cold => systems::run(run.system, 1, cold::Watch { folder, passes: run.count }),
        kind => {
            let work = kinds::Repeat { kind, count: run.count, folder, stepwise: run.stepwise };
            systems::run(run.system, 2, work)
        }
    }
}

fn all_if_none<T: ValueEnum>(some: &[T]) -> Vec<T> {
    if some.is_empty() { T::value_variants().to_vec() } else { some.to_vec() }
}

fn start(settings: &Settings, system: System, kind: Kind, folder: &Path) -> io::Result<Child> {
    let count = if kind.is_small() { settings.small } else { settings.large };
    let folder = folder.to_string_lossy().into_owned();
    let mut arguments = vec!["run-files".into(), system.name(), kind.name(), count.to_string()];
    arguments.push(folder);
    if kind != Kind::Cold {
        arguments.push("--stepwise".into());
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    Child::myself(&arguments, &(0..cores).collect::<Vec<_>>())
}

/// Such a process, and the three figures that it says in the end.
fn measure(settings: &Settings, system: System, kind: Kind, folder: &Path) -> io::Result<[f64; 3]> {
    let mut child = start(settings, system, kind, folder)?;
    let said = hear_figures(&mut child, kind)
        .map_err(|error| io::Error::other(format!("{system}, {}: {error}", kind.name())))?;
    let figures: Vec<f64> = said.split(' ').filter_map(|figure| figure.parse().ok()).collect();
    figures.try_into().map_err(|_| io::Error::other(format!("not three figures: {said:?}")))
}

fn hear_figures(child: &mut Child, kind: Kind) -> io::Result<String> {
    if kind == Kind::Cold {
        return child.hear("figures ");
    }
    child.hear("ready")?;
    child.tell("go")?;
    let said = child.hear("figures ")?;
    child.tell("end")?;
    Ok(said)
}

/// The calls, and for how many operations.
fn count_calls(
    settings: &Settings,
    system: System,
    kind: Kind,
    folder: &Path,
) -> io::Result<(Counts, u64)> {
    let mut child = start(settings, system, kind, folder)?;
    child.hear("ready")?;
    let counter = Counter::start(child.id()).map_err(|error| {
        let hint = "perf cannot count system calls here (--no-system-calls does without)";
        io::Error::other(format!("{hint}: {error}"))
    })?;
    child.tell("go")?;
    child.hear("figures ")?;
    let counts = counter.stop()?;
    child.tell("end")?;
    let count = if kind.is_small() { settings.small } else { settings.large };
    Ok((counts, count * kind.operations()))
}

fn print_costs(rounds: usize, kind: Kind, results: &BTreeMap<System, Results>) {
    println!(
        "{}, {rounds} rounds. Processor time of the process in µs {}, context switches and system calls likewise; ratios are medians of paired rounds.\n",
        kind.name(),
        kind.unit()
    );
    let bases = [System::Std, System::Smol];
    let heads = bases.map(|base| format!("÷ {base}"));
    let mut table = Table::new(&[
        "system",
        "CPU µs",
        "quartiles",
        "range",
        &heads[0],
        &heads[1],
        "switches",
        "by the clock µs",
        "system calls",
        "most of them",
    ]);
    for (system, figures) in results {
        let mut cells = vec![system.name()];
        let base = |base: &System| results.get(base).map(|results| results.cost.as_slice());
        cells.extend(cost_cells(&figures.cost, &bases.each_ref().map(base)));
        let median = |samples: &[f64]| Summary::of(samples).map_or(f64::NAN, |all| all.median);
        cells.push(format!("{:.3}", median(&figures.second)));
        cells.push(format!("{:.2}", median(&figures.third)));
        match &figures.calls {
            None => cells.extend(["-".into(), "-".into()]),
            Some((counts, operations)) => {
                let each = |count: u64| count as f64 / *operations as f64;
                cells.push(format!("{:.3}", each(counts.total)));
                let mut names: Vec<_> = counts.by_name.iter().collect();
                names.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
                let show = |&(name, &count): &(&String, &u64)| format!("{name} {:.2}", each(count));
                let names: Vec<_> =
                    names.iter().filter(|(_, count)| each(**count) >= 0.01).map(show).collect();
                cells.push(names.join(", "));
            }
        }
        table.row(cells);
    }
    table.print();
}

fn print_latency(rounds: usize, results: &BTreeMap<System, Results>) {
    println!(
        "cold, {rounds} rounds, one worker. How late a task that sleeps 1 ms at a time wakes up, while another one reads files that are not in the page cache; medians of the rounds.\n"
    );
    let mut table = Table::new(&["system", "p50 µs", "p99 µs", "max µs"]);
    for (system, figures) in results {
        let median = |samples: &[f64]| {
            Summary::of(samples).map_or("-".into(), |all| format!("{:.0}", all.median))
        };
        let cells = [&figures.cost, &figures.second, &figures.third].map(|all| median(all));
        table.row(std::iter::once(system.name()).chain(cells).collect());
    }
    table.print();
}

/// The files, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn make(within: Option<&Path>) -> io::Result<Folder> {
        let within = within.map_or_else(std::env::temp_dir, Path::to_owned);
        let folder = Folder(within.join(format!("smolkit-benches-{}", std::process::id())));
        fs::create_dir(&folder.0)?;
        kinds::fill(&folder.0)?;
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} is left: {error}", self.0.display());
        }
    }
}
