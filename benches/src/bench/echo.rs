//! What does a TCP echo of 64 bytes cost the server: processor time and system calls for a round trip?
//!
//! The server has the first core (with more workers: all of them), the load generator the last one. Processor time is the server
//! process's own clock over a fixed number of round trips in a closed loop, so it does not depend on how fast the load comes. The
//! same work is done by an epoll loop written by hand: that is what the kernel alone costs.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::load;
use crate::measure::machine::{self, Others};
use crate::measure::syscalls::{Counter, Counts};
use crate::measure::table::{Csv, Samples, Table, cost_cells, median_cell};
use crate::servers::{self, System, Work};

#[derive(Args, Clone)]
pub struct Settings {
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Busy connections; several numbers give several tables
    #[arg(long, value_delimiter = ',', default_values_t = [64, 1])]
    connections: Vec<usize>,
    #[arg(long, default_value_t = 1)]
    workers: usize,
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "smolkit,tokio,smol,smolkit-local,tokio-local,smol-local,epoll"
    )]
    systems: Vec<System>,
    /// Measured round trips with many connections; with one it is a tenth of it
    #[arg(long, default_value_t = 200_000)]
    round_trips: u64,
    /// Seconds to wait before each window until others leave the machine alone
    #[arg(long, default_value_t = 0)]
    wait_for_quiet: u64,
    /// Count system calls in a window of its own (perf has to be there)
    #[arg(long)]
    no_system_calls: bool,
    /// Write every sample to this file
    #[arg(long)]
    csv: Option<PathBuf>,
}

#[derive(Default)]
struct Results {
    samples: Samples,
    counts: Vec<Counts>,
    counted_trips: u64,
    others: Vec<f64>,
}

pub fn run(settings: &Settings) -> io::Result<()> {
    let mut csv = Csv::create(
        settings.csv.as_deref(),
        "round,connections,workers,system,cpu_ns_per_trip,trips_per_second,p50_us,p99_us,others",
    )?;
    println!("{}\n", machine::describe());
    for &connections in &settings.connections {
        measure(settings, connections, &mut csv)?;
    }
    Ok(())
}

pub fn smoke() -> io::Result<()> {
    run(&Settings {
        rounds: 1,
        connections: vec![8, 1],
        workers: 1,
        systems: vec![
            System::Smolkit,
            System::Tokio,
            System::Smol,
            System::SmolkitLocal,
            System::Epoll,
        ],
        round_trips: 2_000,
        wait_for_quiet: 0,
        no_system_calls: true,
        csv: None,
    })
}

fn measure(settings: &Settings, connections: usize, csv: &mut Csv) -> io::Result<()> {
    let systems: Vec<System> = settings
        .systems
        .iter()
        .copied()
        .filter(|system| system.can(Work::Echo, settings.workers))
        .collect();
    let mut results: BTreeMap<String, Results> = BTreeMap::new();
    for round in 0..settings.rounds {
        for turn in 0..systems.len() {
            let system = systems[(round + turn) % systems.len()];
            let result = results.entry(system.name()).or_default();
            window(settings, connections, system, result)?;
            let samples = &result.samples;
            let others = result.others.last().copied().unwrap_or_default();
            csv.line(&format!(
                "{round},{connections},{},{system},{:.0},{:.0},{:.1},{:.1},{others:.2}",
                settings.workers,
                samples.cost[round] * 1000.0,
                samples.rate[round],
                samples.latency_p50[round],
                samples.latency_p99[round],
            ))?;
        }
    }
    print(settings, connections, &systems, &results);
    Ok(())
}

/// One system in one round: a fresh server, a fresh load.
fn window(
    settings: &Settings,
    connections: usize,
    system: System,
    result: &mut Results,
) -> io::Result<()> {
    let trips = if connections == 1 { settings.round_trips / 10 } else { settings.round_trips };
    let (server_cores, load_cores) = machine::cores(settings.workers);
    let (server, port) = servers::start(system, Work::Echo, settings.workers, &server_cores)?;
    let mut load = load::echo::start(port, connections, &load_cores)?;
    load::echo::round_trips(&mut load, trips / 10)?;

    machine::wait_for_quiet(Duration::from_secs(settings.wait_for_quiet))?;
    let others = Others::watch()?;
    let before = (server.cpu_time()?, load.cpu_time()?);
    let outcome = load::echo::round_trips(&mut load, trips)?;
    let used = server.cpu_time()? - before.0;
    result.others.push(others.share(used + load.cpu_time()? - before.1)?);

    let samples = &mut result.samples;
    samples.cost.push(used.as_secs_f64() * 1e6 / trips as f64);
    samples.rate.push(trips as f64 / outcome.elapsed.as_secs_f64());
    samples.latency_p50.push(outcome.p50.as_secs_f64() * 1e6);
    samples.latency_p99.push(outcome.p99.as_secs_f64() * 1e6);

    if !settings.no_system_calls {
        let counter = Counter::start(server.id()).map_err(|error| {
            let hint = "perf cannot count system calls here (--no-system-calls does without)";
            io::Error::other(format!("{hint}: {error}"))
        })?;
        load::echo::round_trips(&mut load, trips / 10)?;
        result.counts.push(counter.stop()?);
        result.counted_trips += trips / 10;
    }
    Ok(())
}

fn print(
    settings: &Settings,
    connections: usize,
    systems: &[System],
    results: &BTreeMap<String, Results>,
) {
    let cost = |system: System| results.get(&system.name()).map(|r| r.samples.cost.as_slice());
    let s = if connections == 1 { "" } else { "s" };
    let workers = settings.workers;
    println!(
        "Echo of {} bytes, {connections} connection{s}, {workers} worker{}, {} rounds. Processor time of the server in µs a round trip; ratios are medians of paired rounds.\n",
        load::echo::MESSAGE_BYTES,
        if workers == 1 { "" } else { "s" },
        settings.rounds,
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
    if !settings.no_system_calls {
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
