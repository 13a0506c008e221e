//! What does an HTTP request cost the server: bare hyper, a bare axum router, and a whole service?
//!
//! wrk asks for `/hello/wrk` on 64 connections; the answers are the same, byte for byte, but for the headers that a system adds. Processor time
//! is the server process's own clock over wrk's run, for each request that wrk counts. `service` is a project made by `smolkit new`, with its
//! limits, metrics and logs on; `twin` does the same with axum, Tokio and what one takes there.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::Args;

use crate::load::{self, wrk};
use crate::measure::child::Child;
use crate::measure::machine::{self, Others};
use crate::measure::table::{Csv, Samples, Table, cost_cells, median_cell};
use crate::servers::{self, System, Work};

#[derive(Args, Clone)]
pub struct Settings {
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Several numbers give several tables
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    workers: Vec<usize>,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Seconds of each measured run of wrk
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// The program of a project made by `smolkit new`; without it that row is missing
    #[arg(long)]
    service: Option<PathBuf>,
    /// The program of `twin-axum-tokio`; without it that row is missing
    #[arg(long)]
    twin: Option<PathBuf>,
    /// Rows to leave out
    #[arg(long, value_delimiter = ',')]
    without: Vec<String>,
    /// Seconds to wait before each window until others leave the machine alone
    #[arg(long, default_value_t = 0)]
    wait_for_quiet: u64,
    /// Write every sample to this file
    #[arg(long)]
    csv: Option<PathBuf>,
}

#[derive(Clone)]
enum Contestant {
    Inside(System, Work),
    Service(PathBuf),
    Twin(PathBuf),
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Contestant::Inside(system, work) => write!(f, "{work}-{system}"),
            Contestant::Service(_) => f.write_str("service"),
            Contestant::Twin(_) => f.write_str("twin"),
        }
    }
}

const INSIDE: [(System, Work); 6] = [
    (System::Smolkit, Work::Hyper),
    (System::Tokio, Work::Hyper),
    (System::Smol, Work::Hyper),
    (System::Smolkit, Work::Axum),
    (System::Tokio, Work::Axum),
    (System::Smol, Work::Axum),
];

impl Contestant {
    fn start(&self, workers: usize, cores: &[usize]) -> io::Result<(Child, u16)> {
        match self {
            Contestant::Inside(system, work) => servers::start(*system, *work, workers, cores),
            Contestant::Service(program) | Contestant::Twin(program) => {
                start_service(program, workers, cores)
            }
        }
    }
}

/// Starts a service that takes its settings from the environment, as the generated ones do.
pub fn start_service(program: &Path, workers: usize, cores: &[usize]) -> io::Result<(Child, u16)> {
    let mut command = Command::new(program);
    command
        .env("LISTEN", "127.0.0.1:0")
        .env("SMOLKIT_THREADS", workers.to_string())
        .env("TOKIO_WORKER_THREADS", workers.to_string());
    let mut child = Child::start(command, cores)?;
    let rest = child.hear("listening on http://127.0.0.1:")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let port = digits.parse().map_err(|_| io::Error::other(format!("not a port: {rest}")))?;
    Ok((child, port))
}

#[derive(Default)]
struct Results {
    samples: Samples,
    others: Vec<f64>,
}

pub fn run(settings: &Settings) -> io::Result<()> {
    let mut csv = Csv::create(
        settings.csv.as_deref(),
        "round,connections,workers,system,cpu_us_per_request,requests_per_second,p50_us,p99_us,others",
    )?;
    println!("{}\n", machine::describe());
    for &workers in &settings.workers {
        measure(settings, workers, &mut csv)?;
    }
    Ok(())
}

fn measure(settings: &Settings, workers: usize, csv: &mut Csv) -> io::Result<()> {
    let inside = INSIDE.map(|(system, work)| Contestant::Inside(system, work));
    let service = settings.service.clone().map(Contestant::Service);
    let twin = settings.twin.clone().map(Contestant::Twin);
    let contestants: Vec<Contestant> = inside
        .into_iter()
        .chain(service)
        .chain(twin)
        .filter(|contestant| !settings.without.contains(&contestant.to_string()))
        .collect();

    let mut results: BTreeMap<String, Results> = BTreeMap::new();
    for round in 0..settings.rounds {
        for turn in 0..contestants.len() {
            let contestant = &contestants[(round + turn) % contestants.len()];
            let result = results.entry(contestant.to_string()).or_default();
            window(settings, workers, contestant, result)?;
            let samples = &result.samples;
            csv.line(&format!(
                "{round},{},{workers},{contestant},{:.3},{:.0},{:.1},{:.1},{:.2}",
                settings.connections,
                samples.cost[round],
                samples.rate[round],
                samples.latency_p50[round],
                samples.latency_p99[round],
                result.others[round],
            ))?;
        }
    }

    let s = if workers == 1 { "" } else { "s" };
    println!(
        "HTTP GET, {} connections, {workers} worker{s}, {} rounds of {} s. Processor time of the server in µs a request; ratios are medians of paired rounds.\n",
        settings.connections, settings.rounds, settings.seconds
    );
    let cost = |name: &str| results.get(name).map(|result| result.samples.cost.as_slice());
    let mut table = Table::new(&[
        "system",
        "median",
        "quartiles",
        "range",
        "÷ hyper-tokio",
        "÷ axum-tokio",
        "÷ axum-smol",
        "requests/s",
        "p50 µs",
        "p99 µs",
    ]);
    let mut others = Vec::new();
    for contestant in &contestants {
        let result = &results[&contestant.to_string()];
        let mut cells = vec![contestant.to_string()];
        let bases = [cost("hyper-tokio"), cost("axum-tokio"), cost("axum-smol")];
        cells.extend(cost_cells(&result.samples.cost, &bases));
        cells.push(median_cell(&result.samples.rate, 0));
        cells.push(median_cell(&result.samples.latency_p50, 0));
        cells.push(median_cell(&result.samples.latency_p99, 0));
        table.row(cells);
        others.extend(&result.others);
    }
    table.print();
    machine::report_others(&others);
    Ok(())
}

/// One contestant in one round: a fresh server, and wrk twice, to warm up and to measure.
fn window(
    settings: &Settings,
    workers: usize,
    contestant: &Contestant,
    result: &mut Results,
) -> io::Result<()> {
    let (server_cores, load_cores) = machine::cores(workers);
    let (server, port) = contestant.start(workers, &server_cores)?;
    wrk::run(port, settings.connections, Duration::from_secs(1), &load_cores)?;

    machine::wait_for_quiet(Duration::from_secs(settings.wait_for_quiet))?;
    let others = Others::watch()?;
    let before = server.cpu_time()?;
    let time = Duration::from_secs(settings.seconds);
    let outcome = wrk::run(port, settings.connections, time, &load_cores)?;
    let used = server.cpu_time()? - before;
    result.others.push(others.share(used + outcome.cpu_time)?);

    let samples = &mut result.samples;
    samples.cost.push(used.as_secs_f64() * 1e6 / outcome.requests as f64);
    samples.rate.push(outcome.requests as f64 / outcome.elapsed.as_secs_f64());
    samples.latency_p50.push(outcome.p50.as_secs_f64() * 1e6);
    samples.latency_p99.push(outcome.p99.as_secs_f64() * 1e6);
    Ok(())
}

/// Every server inside answers right, asked by our own client.
pub fn smoke() -> io::Result<()> {
    for (system, work) in INSIDE {
        let (_server, port) = servers::start(system, work, 2, &machine::cores(2).0)?;
        for connection in load::http::closed_loop(port, 8, Some(50), servers::ANSWER) {
            match connection.join() {
                Ok((50, None)) => {}
                result => {
                    let message = format!("{work} on {system}: {result:?}");
                    return Err(io::Error::other(message));
                }
            }
        }
        println!("{work}-{system}: 8 × 50 requests answered");
    }
    println!();
    Ok(())
}
