//! What does a TCP echo cost the server: processor time and system calls for a round trip?
//!
//! The server has the first core (with more workers: all of them), the load generator the last one. Processor time is the server
//! process's own clock over a fixed number of round trips in a closed loop, so it does not depend on how fast the load comes. The
//! same work is done by an epoll loop written by hand: that is what the kernel alone costs.
//!
//! A round starts a server and a load for each system, then gives them short slices in turn, so that a machine that is faster in one second than
//! in the next is so for all of them.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use clap::Args;

use super::method::{Patience, Series, SystemCalls};
use crate::bench::http::Contestant;
use crate::load;
use crate::measure::child::Child;
use crate::measure::machine::{self, Others};
use crate::measure::statistics::Summary;
use crate::measure::syscalls::{Counter, Counts};
use crate::measure::table::{Csv, Samples, Table, cost_cells, median_cell};
use crate::servers::{self, System, Work};

#[derive(Args, Clone)]
pub struct Settings {
    #[command(flatten)]
    series: Series,
    /// Busy connections; several numbers give several tables
    #[arg(long, value_delimiter = ',', default_values_t = [64, 1])]
    connections: Vec<usize>,
    /// Several numbers give several tables
    #[arg(long, value_delimiter = ',', default_values_t = [1])]
    workers: Vec<usize>,
    /// Of each message, up to 16,384; several numbers give several tables
    #[arg(long, value_delimiter = ',', default_values_t = [load::echo::MESSAGE_BYTES])]
    bytes: Vec<usize>,
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "smolkit,tokio,smol,smolkit-local,tokio-local,smol-local,epoll"
    )]
    systems: Vec<System>,
    /// Measured round trips with many connections; with one it is a tenth of it
    #[arg(long, default_value_t = 200_000)]
    round_trips: u64,
    /// How many slices they are cut into
    #[arg(long, default_value_t = 10)]
    slices: u64,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    system_calls: SystemCalls,
}

#[derive(Default)]
struct Results {
    samples: Samples,
    counts: Vec<Counts>,
    counted_trips: u64,
    others: Vec<f64>,
}

pub fn run(settings: &Settings) -> io::Result<()> {
    let mut csv = settings.series.csv("round,bytes,connections,workers,system,cpu_ns_per_trip,trips_per_second,p50_us,p99_us,others")?;
    println!("{}\n", machine::describe());
    let deadline = settings.patience.deadline();
    for &bytes in &settings.bytes {
        check(bytes)?;
        for &workers in &settings.workers {
            for &connections in &settings.connections {
                let case = Case { bytes, workers, connections };
                measure(settings, case, deadline, &mut csv)?;
            }
        }
    }
    Ok(())
}

fn check(bytes: usize) -> io::Result<()> {
    // One byte of the servers' buffers is left, so that a whole message is a short read.
    if (load::echo::MESSAGE_BYTES_MIN..servers::LARGE_BUFFER_BYTES).contains(&bytes) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("messages of {bytes} bytes")))
}

/// What one table is about.
#[derive(Clone, Copy)]
struct Case {
    bytes: usize,
    workers: usize,
    connections: usize,
}

impl Case {
    fn work(self) -> Work {
        if self.bytes < servers::BUFFER_BYTES { Work::Echo } else { Work::EchoLarge }
    }
}

pub fn smoke() -> io::Result<()> {
    run(&Settings {
        series: Series::SMOKE,
        connections: vec![8, 1],
        workers: vec![1],
        bytes: vec![load::echo::MESSAGE_BYTES, 16 * 1024],
        systems: vec![
            System::Smolkit,
            System::Tokio,
            System::Smol,
            System::SmolkitLocal,
            System::Epoll,
        ],
        round_trips: 2_000,
        slices: 2,
        patience: Patience::NONE,
        system_calls: SystemCalls::LEFT_OUT,
    })
}

/// Processor time of the server in µs a round trip, measured once.
pub fn cost(
    system: System,
    workers: usize,
    connections: usize,
    round_trips: u64,
) -> io::Result<f64> {
    let case = Case { bytes: load::echo::MESSAGE_BYTES, workers, connections };
    let mut contest = Contest::start(system, case, round_trips / 4)?;
    contest.slice(round_trips, Instant::now())?;
    Ok(contest.cpu_time.as_secs_f64() * 1e6 / round_trips as f64)
}

/// One system in one round.
struct Contest {
    system: System,
    server: Child,
    load: Child,
    cpu_time: Duration,
    elapsed: Duration,
    p50_micros: Vec<f64>,
    p99_micros: Vec<f64>,
    others: f64,
}

fn measure(settings: &Settings, case: Case, deadline: Instant, csv: &mut Csv) -> io::Result<()> {
    let systems: Vec<System> = settings
        .systems
        .iter()
        .copied()
        .filter(|system| system.can(case.work(), case.workers))
        .collect();
    let trips =
        if case.connections == 1 { settings.round_trips / 10 } else { settings.round_trips };
    let slice_trips = trips / settings.slices;
    let mut results: BTreeMap<String, Results> = BTreeMap::new();
    for round in 0..settings.series.rounds {
        let mut contests = (0..systems.len())
            .map(|turn| systems[(round + turn) % systems.len()])
            .map(|system| Contest::start(system, case, slice_trips))
            .collect::<io::Result<Vec<_>>>()?;
        for _ in 0..settings.slices {
            for contest in &mut contests {
                contest.slice(slice_trips, deadline)?;
            }
            contests.rotate_left(1);
        }
        for mut contest in contests {
            let result = results.entry(contest.system.name()).or_default();
            if settings.system_calls.are_counted() {
                result.counts.push(contest.count_calls(slice_trips)?);
                result.counted_trips += slice_trips;
            }
            let line = contest.finish((slice_trips * settings.slices) as f64, result);
            let Case { bytes, workers, connections } = case;
            csv.line(&format!("{round},{bytes},{connections},{workers},{line}"))?;
        }
    }
    print(settings, case, &systems, &results);
    Ok(())
}

impl Contest {
    fn start(system: System, case: Case, warmth: u64) -> io::Result<Self> {
        let (server_cores, load_cores) = machine::cores(case.workers);
        let contestant = Contestant::Inside(system, case.work());
        let (server, port) = contestant.start(case.workers, &server_cores)?;
        let mut load = load::echo::start(port, case.connections, case.bytes, &load_cores)?;
        load::echo::round_trips(&mut load, warmth)?;
        Ok(Contest {
            system,
            server,
            load,
            cpu_time: Duration::ZERO,
            elapsed: Duration::ZERO,
            p50_micros: Vec::new(),
            p99_micros: Vec::new(),
            others: 0.0,
        })
    }

    fn slice(&mut self, trips: u64, deadline: Instant) -> io::Result<()> {
        let ((used, outcome), others) = machine::quietly(deadline, || {
            let others = Others::watch()?;
            let before = (self.server.cpu_time()?, self.load.cpu_time()?);
            let outcome = load::echo::round_trips(&mut self.load, trips)?;
            let used = self.server.cpu_time()? - before.0;
            let share = others.share(used + self.load.cpu_time()? - before.1)?;
            Ok(((used, outcome), share))
        })?;
        self.cpu_time += used;
        self.elapsed += outcome.elapsed;
        self.p50_micros.push(outcome.p50.as_secs_f64() * 1e6);
        self.p99_micros.push(outcome.p99.as_secs_f64() * 1e6);
        self.others = self.others.max(others);
        Ok(())
    }

    fn count_calls(&mut self, trips: u64) -> io::Result<Counts> {
        let counter = Counter::start(self.server.id()).map_err(|error| {
            let hint = "perf cannot count system calls here (--no-system-calls does without)";
            io::Error::other(format!("{hint}: {error}"))
        })?;
        load::echo::round_trips(&mut self.load, trips)?;
        counter.stop()
    }

    /// Adds the round to the result; the rest of its line of CSV.
    fn finish(self, trips: f64, result: &mut Results) -> String {
        let median = |micros| Summary::of(micros).map_or(f64::NAN, |summary| summary.median);
        let cost = self.cpu_time.as_secs_f64() * 1e6 / trips;
        let rate = trips / self.elapsed.as_secs_f64();
        let (p50, p99) = (median(&self.p50_micros), median(&self.p99_micros));
        result.samples.cost.push(cost);
        result.samples.rate.push(rate);
        result.samples.latency_p50.push(p50);
        result.samples.latency_p99.push(p99);
        result.others.push(self.others);
        format!(
            "{},{:.0},{rate:.0},{p50:.1},{p99:.1},{:.2}",
            self.system,
            cost * 1000.0,
            self.others
        )
    }
}

fn print(settings: &Settings, case: Case, systems: &[System], results: &BTreeMap<String, Results>) {
    let cost = |system: System| results.get(&system.name()).map(|r| r.samples.cost.as_slice());
    let Case { bytes, workers, connections } = case;
    let s = if connections == 1 { "" } else { "s" };
    println!(
        "Echo of {bytes} bytes, {connections} connection{s}, {workers} worker{}, {} rounds. Processor time of the server in µs a round trip; ratios are medians of paired rounds.\n",
        if workers == 1 { "" } else { "s" },
        settings.series.rounds,
    );
    let mut table = Table::new(&[
        "system",
        "median",
        "quartiles",
        "range",
        "÷ tokio",
        "÷ smol",
        "÷ epoll",
        "trips/s",
        "p50 µs",
        "p99 µs",
        "calls a trip",
    ]);
    let mut others = Vec::new();
    for &system in systems {
        let result = &results[&system.name()];
        let bases = [cost(System::Tokio), cost(System::Smol), cost(System::Epoll)];
        let mut cells = vec![system.name()];
        cells.extend(cost_cells(&result.samples.cost, &bases));
        cells.push(median_cell(&result.samples.rate, 0));
        cells.push(median_cell(&result.samples.latency_p50, 1));
        cells.push(median_cell(&result.samples.latency_p99, 1));
        let total: u64 = result.counts.iter().map(|counts| counts.total).sum();
        cells.push(if result.counted_trips == 0 {
            "-".into()
        } else {
            format!("{:.3}", total as f64 / result.counted_trips as f64)
        });
        table.row(cells);
        others.extend(&result.others);
    }
    table.print();
    machine::report_others(&others);
    if settings.system_calls.are_counted() {
        print_calls(systems, results);
    }
}

fn print_calls(systems: &[System], results: &BTreeMap<String, Results>) {
    println!("System calls by name, in 1,000 round trips:\n");
    let mut table = Table::new(&["system", "calls"]);
    for &system in systems {
        let result = &results[&system.name()];
        let mut by_name: BTreeMap<&str, u64> = BTreeMap::new();
        for (name, count) in result.counts.iter().flat_map(|counts| &counts.by_name) {
            *by_name.entry(name).or_default() += count;
        }
        let calls = by_name.iter().map(|(name, &count)| {
            format!("{name} {:.1}", count as f64 * 1000.0 / result.counted_trips as f64)
        });
        table.row(vec![system.name(), calls.collect::<Vec<_>>().join(", ")]);
    }
    table.print();
}
