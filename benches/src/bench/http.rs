//! What does an HTTP request cost the server: bare hyper, a bare axum router, and a whole service?
//!
//! wrk asks for `/hello/wrk` on 64 connections; the answers are the same, byte for byte, but for the headers that a system adds. Processor time
//! is the server process's own clock over wrk's run, for each request that wrk counts. `service` is a project made by `smolkit new`, with its
//! limits, metrics and logs on; `twin` does the same with axum, Tokio and what one takes there.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Args;

use super::method::{Patience, Series};
use crate::load::{self, wrk};
use crate::measure::child::Child;
use crate::measure::machine::{self, Others};
use crate::measure::statistics::Summary;
use crate::measure::table::{Csv, Samples, Table, cost_cells, median_cell};
use crate::servers::{self, System, Work};

#[derive(Args, Clone)]
pub struct Settings {
    #[command(flatten)]
    series: Series,
    /// Several numbers give several tables
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    workers: Vec<usize>,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Runs of wrk in a round, of a second each, in turn with the others
    #[arg(long, default_value_t = 3)]
    slices: u64,
    /// The program of a project made by `smolkit new`; without it that row is missing
    #[arg(long)]
    service: Option<PathBuf>,
    /// The program of `twin-axum-tokio`; without it that row is missing
    #[arg(long)]
    twin: Option<PathBuf>,
    /// Rows to leave out
    #[arg(long, value_delimiter = ',')]
    without: Vec<String>,
    #[command(flatten)]
    patience: Patience,
}

#[derive(Clone)]
pub enum Contestant {
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

/// The servers of this program.
pub fn inside() -> impl Iterator<Item = Contestant> {
    let systems = [System::Smolkit, System::Tokio, System::Smol];
    let all = [Work::Hyper, Work::Axum].map(|work| systems.map(|system| (system, work)));
    all.into_iter().flatten().map(|(system, work)| Contestant::Inside(system, work))
}

impl Contestant {
    pub fn start(&self, workers: usize, cores: &[usize]) -> io::Result<(Child, u16)> {
        let mut child = Child::start(self.command(workers)?, cores)?;
        let port = self.port(&mut child)?;
        Ok((child, port))
    }

    pub fn command(&self, workers: usize) -> io::Result<Command> {
        let program = match self {
            Contestant::Inside(system, work) => return servers::command(*system, *work, workers),
            Contestant::Service(program) | Contestant::Twin(program) => program,
        };
        // They take their settings from the environment.
        let mut command = Command::new(program);
        command
            .env("LISTEN", "127.0.0.1:0")
            .env("SMOLKIT_THREADS", workers.to_string())
            .env("TOKIO_WORKER_THREADS", workers.to_string());
        Ok(command)
    }

    /// Waits until it listens.
    pub fn port(&self, child: &mut Child) -> io::Result<u16> {
        let rest = match self {
            Contestant::Inside(..) => child.hear("port ")?,
            _ => child.hear("listening on http://127.0.0.1:")?,
        };
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().map_err(|_| io::Error::other(format!("not a port: {rest}")))
    }
}

const SLICE: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Results {
    samples: Samples,
    others: Vec<f64>,
}

pub fn run(settings: &Settings) -> io::Result<()> {
    let mut csv = settings.series.csv("round,connections,workers,system,cpu_us_per_request,requests_per_second,p50_us,p99_us,others")?;
    println!("{}\n", machine::describe());
    let deadline = settings.patience.deadline();
    for &workers in &settings.workers {
        measure(settings, workers, deadline, &mut csv)?;
    }
    Ok(())
}

fn measure(
    settings: &Settings,
    workers: usize,
    deadline: Instant,
    csv: &mut Csv,
) -> io::Result<()> {
    let service = settings.service.clone().map(Contestant::Service);
    let twin = settings.twin.clone().map(Contestant::Twin);
    let contestants: Vec<Contestant> = inside()
        .chain(service)
        .chain(twin)
        .filter(|contestant| !settings.without.contains(&contestant.to_string()))
        .collect();

    let mut results: BTreeMap<String, Results> = BTreeMap::new();
    for round in 0..settings.series.rounds {
        let mut contests = (0..contestants.len())
            .map(|turn| &contestants[(round + turn) % contestants.len()])
            .map(|contestant| Contest::start(contestant, settings.connections, workers))
            .collect::<io::Result<Vec<_>>>()?;
        for _ in 0..settings.slices {
            for contest in &mut contests {
                contest.slice(settings, deadline)?;
            }
            contests.rotate_left(1);
        }
        for contest in contests {
            let result = results.entry(contest.name.clone()).or_default();
            let line = contest.finish(result);
            csv.line(&format!("{round},{},{workers},{line}", settings.connections))?;
        }
    }

    let s = if workers == 1 { "" } else { "s" };
    println!(
        "HTTP GET, {} connections, {workers} worker{s}, {} rounds of {} × 1 s. Processor time of the server in µs a request; ratios are medians of paired rounds.\n",
        settings.connections, settings.series.rounds, settings.slices
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

/// One contestant in one round.
struct Contest {
    name: String,
    server: Child,
    port: u16,
    load_cores: Vec<usize>,
    cpu_time: Duration,
    elapsed: Duration,
    requests: u64,
    p50_micros: Vec<f64>,
    p99_micros: Vec<f64>,
    others: f64,
}

impl Contest {
    /// A fresh server, warmed up.
    fn start(contestant: &Contestant, connections: usize, workers: usize) -> io::Result<Contest> {
        let (server_cores, load_cores) = machine::cores(workers);
        let (server, port) = contestant.start(workers, &server_cores)?;
        wrk::run(port, connections, SLICE, &load_cores)?;
        Ok(Contest {
            name: contestant.to_string(),
            server,
            port,
            load_cores,
            cpu_time: Duration::ZERO,
            elapsed: Duration::ZERO,
            requests: 0,
            p50_micros: Vec::new(),
            p99_micros: Vec::new(),
            others: 0.0,
        })
    }

    fn slice(&mut self, settings: &Settings, deadline: Instant) -> io::Result<()> {
        let ((used, outcome), others) = machine::quietly(deadline, || {
            let others = Others::watch()?;
            let before = self.server.cpu_time()?;
            let outcome = wrk::run(self.port, settings.connections, SLICE, &self.load_cores)?;
            let used = self.server.cpu_time()? - before;
            let share = others.share(used + outcome.cpu_time)?;
            Ok(((used, outcome), share))
        })?;
        self.cpu_time += used;
        self.elapsed += outcome.elapsed;
        self.requests += outcome.requests;
        self.p50_micros.push(outcome.p50.as_secs_f64() * 1e6);
        self.p99_micros.push(outcome.p99.as_secs_f64() * 1e6);
        self.others = self.others.max(others);
        Ok(())
    }

    /// Adds the round to the result; the rest of its line of CSV.
    fn finish(self, result: &mut Results) -> String {
        let median = |micros| Summary::of(micros).map_or(f64::NAN, |summary| summary.median);
        let cost = self.cpu_time.as_secs_f64() * 1e6 / self.requests as f64;
        let rate = self.requests as f64 / self.elapsed.as_secs_f64();
        let (p50, p99) = (median(&self.p50_micros), median(&self.p99_micros));
        result.samples.cost.push(cost);
        result.samples.rate.push(rate);
        result.samples.latency_p50.push(p50);
        result.samples.latency_p99.push(p99);
        result.others.push(self.others);
        format!("{},{cost:.3},{rate:.0},{p50:.1},{p99:.1},{:.2}", self.name, self.others)
    }
}

/// Every server inside answers right, asked by our own client.
pub fn smoke() -> io::Result<()> {
    for contestant in inside() {
        let (_server, port) = contestant.start(2, &machine::cores(2).0)?;
        for connection in load::http::closed_loop(port, 8, Some(50), servers::ANSWER) {
            match connection.join() {
                Ok((50, None)) => {}
                result => {
                    let message = format!("{contestant}: {result:?}");
                    return Err(io::Error::other(message));
                }
            }
        }
        println!("{contestant}: 8 × 50 requests answered");
    }
    println!();
    Ok(())
}
