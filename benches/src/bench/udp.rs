//! How many datagrams does a server echo for a second of processor time?
//!
//! The load keeps 128 datagrams of 64 bytes under way, in bursts of one client or of 16. The servers take and send them with as few calls as their system offers: smolkit's and
//! the loop written by hand in batches, Tokio's and smol's one by one, because they have nothing else. smolkit's `send_batch` joins the datagrams that one client gets in one batch; the load sends by it too, and the kernel
//! cuts what it joins before a server sees it, but for `smolkit-segments`. With `--segments 16` the load sends 16 datagrams in a message, and the row
//! `smolkit-segments` receives and sends them so; the others get them one by one.

use std::io;
use std::time::Instant;

use clap::Args;

use super::contest::{self, Entry, Plan};
use super::method::{Patience, Series, SystemCalls};
use crate::load::udp as load;
use crate::measure::machine;
use crate::measure::table::{Csv, Table, cost_cells, median_cell};
use crate::servers::{System, Work};

#[derive(Args, Clone)]
pub struct Settings {
    #[command(flatten)]
    series: Series,
    /// Measured datagrams in a round
    #[arg(long, default_value_t = 200_000)]
    datagrams: u64,
    /// Of each datagram
    #[arg(long, default_value_t = 64)]
    bytes: usize,
    /// Datagrams in a message of the load; several numbers give several tables
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16])]
    segments: Vec<usize>,
    /// Clients, which share the datagrams under way; several numbers give several tables
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16])]
    clients: Vec<usize>,
    /// How many slices they are cut into
    #[arg(long, default_value_t = 10)]
    slices: u64,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    system_calls: SystemCalls,
}

const ENTRIES: [Entry; 6] = [
    Entry { name: "smolkit", system: System::Smolkit, work: Work::Udp },
    Entry { name: "smolkit-segments", system: System::Smolkit, work: Work::UdpSegments },
    Entry { name: "smolkit-singly", system: System::Smolkit, work: Work::UdpSingly },
    Entry { name: TOKIO, system: System::Tokio, work: Work::Udp },
    Entry { name: "smol", system: System::Smol, work: Work::Udp },
    Entry { name: "mmsg by hand", system: System::Epoll, work: Work::Udp },
];
const TOKIO: &str = "tokio";

pub fn run(settings: &Settings) -> io::Result<()> {
    println!("{}\n", machine::describe());
    let mut csv = settings.series.csv("segments,clients,round,system,cpu_s_per_datagram,others")?;
    let deadline = settings.patience.deadline();
    for &segments in &settings.segments {
        for &clients in &settings.clients {
            if segments * clients > load::UNDER_WAY_MAX {
                println!(
                    "{segments} in a message from each of {clients} clients do not fit into a socket's buffer: left out\n"
                );
                continue;
            }
            measure(settings, segments, clients, deadline, &mut csv)?;
        }
    }
    Ok(())
}

pub fn smoke() -> io::Result<()> {
    run(&Settings {
        series: Series::SMOKE,
        datagrams: 2_000,
        bytes: 64,
        segments: vec![1, 16],
        clients: vec![2],
        slices: 2,
        patience: Patience::NONE,
        system_calls: SystemCalls::LEFT_OUT,
    })
}

fn measure(
    settings: &Settings,
    segments: usize,
    clients: usize,
    deadline: Instant,
    csv: &mut Csv,
) -> io::Result<()> {
    let plan = Plan {
        rounds: settings.series.rounds,
        units: settings.datagrams,
        slices: settings.slices,
        deadline,
        counts_calls: settings.system_calls.are_counted(),
    };
    let results = contest::measure(
        &plan,
        &ENTRIES,
        |port, cores| {
            load::start(&load::Settings { port, bytes: settings.bytes, segments, clients }, cores)
        },
        load::echoes,
        |line| csv.line(&format!("{segments},{clients},{line}")),
    )?;
    println!(
        "UDP echo of {} bytes, {segments} in a message, {clients} client(s), {} datagrams in each of {} rounds, 1 worker. Processor time of the server in µs a datagram.\n",
        settings.bytes, settings.datagrams, settings.series.rounds
    );
    let micros = |name: &str| -> Vec<f64> {
        results.get(name).map_or(Vec::new(), |r| r.seconds.iter().map(|s| s * 1e6).collect())
    };
    let mut table = Table::new(&[
        "system",
        "median",
        "quartiles",
        "range",
        "÷ tokio",
        "datagrams a CPU second",
        "× tokio's",
        "calls a datagram",
    ]);
    let base = micros(TOKIO);
    let mut others = Vec::new();
    for entry in ENTRIES {
        let (result, micros) = (&results[entry.name], micros(entry.name));
        let mut cells = vec![entry.name.to_owned()];
        cells.extend(cost_cells(&micros, &[Some(&base)]));
        let rates: Vec<f64> = micros.iter().map(|micros| 1e6 / micros).collect();
        cells.push(median_cell(&rates, 0));
        let gains: Vec<f64> = base.iter().zip(&micros).map(|(base, own)| base / own).collect();
        cells.push(median_cell(&gains, 2));
        cells.push(result.calls());
        table.row(cells);
        others.extend(&result.others);
    }
    table.print();
    machine::report_others(&others);
    Ok(())
}
