//! How much memory does a connection take that waits?
//!
//! An echo server, whose handler has a buffer of 1 KiB, gets 10,000 connections; each echoes one message of 64 bytes, then all wait. What the server's resident memory has
//! grown by since the first hundred is divided by their number.

use std::collections::BTreeMap;
use std::io;

use clap::Args;

use crate::bench::http::Contestant;
use crate::load::echo::{self, MESSAGE_BYTES};
use crate::measure::cpu;
use crate::measure::machine;
use crate::measure::statistics::Summary;
use crate::measure::table::{Table, median_cell};
use crate::servers::{System, Work};

#[derive(Args, Clone)]
pub struct Settings {
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    #[arg(long, default_value_t = 1)]
    workers: usize,
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "smolkit,smolkit-local,tokio,tokio-local,smol,smol-local,monoio,epoll"
    )]
    systems: Vec<System>,
}

/// For what is made only once.
const WARMTH: usize = 100;

pub fn run(settings: &Settings) -> io::Result<()> {
    println!("{}\n", machine::describe());
    let fits = |system: &System| system.can(Work::Echo, settings.workers);
    let systems: Vec<System> = settings.systems.iter().copied().filter(fits).collect();
    let mut bytes: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for _ in 0..settings.rounds {
        for &system in &systems {
            let grown = measure(system, settings)?;
            bytes.entry(system.name()).or_default().push(grown);
        }
    }
    println!(
        "{} idle connections, {} worker(s), {} rounds. Resident bytes of the server for each.\n",
        settings.connections, settings.workers, settings.rounds
    );
    let mut table = Table::new(&["system", "median", "range"]);
    for system in systems {
        let samples = &bytes[&system.name()];
        let range = Summary::of(samples).map(|all| format!("{:.0}–{:.0}", all.min, all.max));
        table.row(vec![system.name(), median_cell(samples, 0), range.unwrap_or_default()]);
    }
    table.print();
    Ok(())
}

fn measure(system: System, settings: &Settings) -> io::Result<f64> {
    let (server_cores, load_cores) = machine::cores(settings.workers);
    let inside = Contestant::Inside(system, Work::Echo);
    let (server, port) = inside.start(settings.workers, &server_cores)?;
    let mut first = echo::start(port, WARMTH, MESSAGE_BYTES, &load_cores)?;
    echo::round_trips(&mut first, WARMTH as u64)?;
    let before = cpu::resident_bytes(server.id())?;
    let mut all = echo::start(port, settings.connections, MESSAGE_BYTES, &load_cores)?;
    // One for each connection.
    echo::round_trips(&mut all, settings.connections as u64)?;
    let grown = cpu::resident_bytes(server.id())?.saturating_sub(before);
    Ok(grown as f64 / settings.connections as f64)
}

pub fn smoke() -> io::Result<()> {
    run(&Settings {
        rounds: 1,
        connections: 100,
        workers: 1,
        systems: vec![System::Smolkit, System::Tokio, System::Smol, System::Epoll],
    })
}
