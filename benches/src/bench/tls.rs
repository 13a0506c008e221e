//! What does TLS cost the server: a handshake, a resumed one, 16 KiB out, 16 KiB in, and 16 KiB in with an answer?
//!
//! All systems use rustls with ring, one certificate (P-256), TLS 1.3 and tickets; what differs is the runtime and the glue between rustls and the socket. The rows
//! `…by-futures-rustls` have smolkit's sockets and the glue of futures-rustls. Processor time is the server process's own clock over a fixed number of jobs.
//!
//! With `--instructions` valgrind counts instead what runs outside of the kernel, which no noise can touch.

use std::collections::BTreeMap;
use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Args;

use super::method::{Patience, Series, SystemCalls};
use crate::bench::http::Contestant;
use crate::load::tls::{self as load, Job};
use crate::measure::child::Child;
use crate::measure::machine::{self, Others};
use crate::measure::syscalls::{self, Counter, Counts};
use crate::measure::table::{Csv, Samples, Table, cost_cells};
use crate::servers::{System, Work};

#[derive(Args, Clone)]
pub struct Settings {
    #[command(flatten)]
    series: Series,
    #[arg(long, value_delimiter = ',', default_values_t = Job::ALL.map(|job| job.name()))]
    jobs: Vec<String>,
    /// Measured handshakes in a round
    #[arg(long, default_value_t = 2_000)]
    handshakes: u64,
    /// Measured chunks of 16 KiB in a round
    #[arg(long, default_value_t = 40_000)]
    chunks: u64,
    /// How many slices they are cut into
    #[arg(long, default_value_t = 10)]
    slices: u64,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    system_calls: SystemCalls,
    /// Count instructions instead (takes valgrind)
    #[arg(long)]
    instructions: bool,
}

/// The one to compare with comes second.
const CONTESTANTS: [(System, Work); 4] = [
    (System::Smolkit, Work::Tls),
    (System::Tokio, Work::Tls),
    (System::Smolkit, Work::TlsByFuturesRustls),
    (System::Smol, Work::Tls),
];
const TOKIO: (System, Work) = CONTESTANTS[1];

fn name((system, work): (System, Work)) -> String {
    match work {
        Work::TlsByFuturesRustls => format!("{system}-by-futures-rustls"),
        _ => system.name(),
    }
}

fn jobs(settings: &Settings) -> io::Result<Vec<Job>> {
    let parse = |job: &String| <Job as clap::ValueEnum>::from_str(job, false);
    settings.jobs.iter().map(parse).collect::<Result<_, _>>().map_err(io::Error::other)
}

fn total(settings: &Settings, job: Job) -> u64 {
    match job {
        Job::Handshakes | Job::Resumptions => settings.handshakes,
        Job::Download | Job::Upload | Job::Posts => settings.chunks,
    }
}

pub fn run(settings: &Settings) -> io::Result<()> {
    println!("{}\n", machine::describe());
    if settings.instructions {
        return instructions(settings);
    }
    let mut csv = settings.series.csv("round,job,system,cpu_ns,others")?;
    let deadline = settings.patience.deadline();
    for job in jobs(settings)? {
        measure(settings, job, deadline, &mut csv)?;
    }
    Ok(())
}

pub fn smoke() -> io::Result<()> {
    run(&Settings {
        series: Series::SMOKE,
        jobs: Job::ALL.map(|job| job.name()).into(),
        handshakes: 20,
        chunks: 100,
        slices: 2,
        patience: Patience::NONE,
        system_calls: SystemCalls::LEFT_OUT,
        instructions: false,
    })
}

#[derive(Default)]
struct Results {
    samples: Samples,
    counts: Vec<Counts>,
    counted: u64,
    others: Vec<f64>,
}

/// One system in one round.
struct Contest {
    contestant: (System, Work),
    server: Child,
    load: Child,
    cpu_time: Duration,
    others: f64,
}

impl Contest {
    fn start(contestant: (System, Work), job: Job, warmth: u64) -> io::Result<Contest> {
        let (server_cores, load_cores) = machine::cores(1);
        let inside = Contestant::Inside(contestant.0, contestant.1);
        let (server, port) = inside.start(1, &server_cores)?;
        let mut load = load::start(port, &load_cores)?;
        load::run_job(&mut load, job, warmth)?;
        Ok(Contest { contestant, server, load, cpu_time: Duration::ZERO, others: 0.0 })
    }

    fn slice(&mut self, job: Job, count: u64, deadline: Instant) -> io::Result<()> {
        let (used, others) = machine::quietly(deadline, || {
            let others = Others::watch()?;
            let before = (self.server.cpu_time()?, self.load.cpu_time()?);
            load::run_job(&mut self.load, job, count)?;
            let used = self.server.cpu_time()? - before.0;
            let share = others.share(used + self.load.cpu_time()? - before.1)?;
            Ok((used, share))
        })?;
        self.cpu_time += used;
        self.others = self.others.max(others);
        Ok(())
    }
}

fn measure(settings: &Settings, job: Job, deadline: Instant, csv: &mut Csv) -> io::Result<()> {
    let slice = (total(settings, job) / settings.slices).max(1);
    let mut results: BTreeMap<String, Results> = BTreeMap::new();
    for round in 0..settings.series.rounds {
        let mut contests = (0..CONTESTANTS.len())
            .map(|turn| CONTESTANTS[(round + turn) % CONTESTANTS.len()])
            .map(|contestant| Contest::start(contestant, job, slice))
            .collect::<io::Result<Vec<_>>>()?;
        for _ in 0..settings.slices {
            for contest in &mut contests {
                contest.slice(job, slice, deadline)?;
            }
            contests.rotate_left(1);
        }
        for mut contest in contests {
            let system = name(contest.contestant);
            let result = results.entry(system.clone()).or_default();
            if settings.system_calls.are_counted() {
                let counter = Counter::start(contest.server.id())?;
                load::run_job(&mut contest.load, job, slice)?;
                result.counts.push(counter.stop()?);
                result.counted += slice;
            }
            let cost = contest.cpu_time.as_secs_f64() * 1e6 / (slice * settings.slices) as f64;
            result.samples.cost.push(cost);
            result.others.push(contest.others);
            csv.line(&format!(
                "{round},{},{system},{:.0},{:.2}",
                job.name(),
                cost * 1000.0,
                contest.others
            ))?;
        }
    }
    print(settings, job, &results);
    Ok(())
}

fn print(settings: &Settings, job: Job, results: &BTreeMap<String, Results>) {
    println!(
        "TLS, {}: {} in each of {} rounds, 1 worker. Processor time of the server in µs for one.\n",
        job.name(),
        total(settings, job),
        settings.series.rounds
    );
    let mut table =
        Table::new(&["system", "median", "quartiles", "range", "÷ tokio", "a CPU second", "calls"]);
    let base = results.get(&name(TOKIO)).map(|result| result.samples.cost.as_slice());
    let mut others = Vec::new();
    for contestant in CONTESTANTS {
        let result = &results[&name(contestant)];
        let mut cells = vec![name(contestant)];
        cells.extend(cost_cells(&result.samples.cost, &[base]));
        let rates: Vec<f64> = result.samples.cost.iter().map(|micros| 1e6 / micros).collect();
        cells.push(crate::measure::table::median_cell(&rates, 0));
        cells.push(syscalls::cell(&result.counts, result.counted));
        table.row(cells);
        others.extend(&result.others);
    }
    table.print();
    machine::report_others(&others);
}

/// Two runs with different numbers of jobs cancel out start and shutdown.
fn instructions(settings: &Settings) -> io::Result<()> {
    println!("Instructions in user space for one, 1 worker.\n");
    let jobs = jobs(settings)?;
    let names: Vec<String> = jobs.iter().map(|job| job.name()).collect();
    let mut head = vec!["system"];
    head.extend(names.iter().map(String::as_str));
    let mut table = Table::new(&head);
    for contestant in CONTESTANTS {
        let mut cells = vec![name(contestant)];
        for &job in &jobs {
            let total = total(settings, job);
            let few = counted(contestant, job, total / 4)?;
            let many = counted(contestant, job, total * 5 / 4)?;
            let each = many.saturating_sub(few) as f64 / (total * 5 / 4 - total / 4) as f64;
            cells.push(format!("{each:.0}"));
        }
        table.row(cells);
    }
    table.print();
    Ok(())
}

fn counted((system, work): (System, Work), job: Job, count: u64) -> io::Result<u64> {
    let inside = Contestant::Inside(system, work);
    let command = inside.command(1)?;
    let unique = format!("callgrind-{system}-{work}-{count}-{}", std::process::id());
    let (log, profile) = (
        std::env::temp_dir().join(format!("{unique}.log")),
        std::env::temp_dir().join(format!("{unique}.out")),
    );
    let mut valgrind = Command::new("valgrind");
    valgrind
        .arg("--tool=callgrind")
        .arg(format!("--log-file={}", log.display()))
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(command.get_program())
        .args(command.get_args());
    let (server_cores, load_cores) = machine::cores(1);
    let mut server = Child::start(valgrind, &server_cores)?;
    let port = inside.port(&mut server)?;
    let mut load = load::start(port, &load_cores)?;
    load::run_job(&mut load, job, count)?;
    server.signal(libc::SIGTERM)?;
    server.output()?;
    let text = std::fs::read_to_string(&log)?;
    for file in [log, profile] {
        // What is left lies among the temporary files.
        let _ = std::fs::remove_file(file);
    }
    let collected = text.split("Collected : ").nth(1).and_then(|rest| rest.split('\n').next());
    collected
        .and_then(|count| count.trim().parse().ok())
        .ok_or_else(|| io::Error::other(format!("callgrind says:\n{text}")))
}
