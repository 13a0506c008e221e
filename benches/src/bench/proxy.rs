//! What does it cost to move 1 GiB from one connection to another?
//!
//! Each proxy joins two connections in the way that its system offers: `copy_bidirectional` of smolkit, which splices, and of Tokio, with its own 8 KiB buffers and with 64 KiB; on
//! smol two copies. The load sends at one end and compares at the other.

use std::io;

use clap::Args;

use super::contest::{self, Entry, Plan};
use super::method::{Patience, Series, SystemCalls};
use crate::load::proxy as load;
use crate::measure::machine;
use crate::measure::table::{Table, cost_cells};
use crate::servers::{System, Work};

#[derive(Args, Clone)]
pub struct Settings {
    #[command(flatten)]
    series: Series,
    /// Measured MiB in a round
    #[arg(long, default_value_t = 1_024)]
    mebibytes: u64,
    /// How many connections they are cut into
    #[arg(long, default_value_t = 4)]
    slices: u64,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    system_calls: SystemCalls,
}

const ENTRIES: [Entry; 4] = [
    Entry { name: "smolkit", system: System::Smolkit, work: Work::Proxy },
    Entry { name: TOKIO, system: System::Tokio, work: Work::Proxy },
    Entry { name: "tokio, 64 KiB", system: System::Tokio, work: Work::ProxyLarge },
    Entry { name: "smol", system: System::Smol, work: Work::Proxy },
];
const TOKIO: &str = "tokio";

pub fn run(settings: &Settings) -> io::Result<()> {
    println!("{}\n", machine::describe());
    let mut csv = settings.series.csv("round,system,cpu_s_per_mebibyte,others")?;
    let plan = Plan {
        rounds: settings.series.rounds,
        units: settings.mebibytes,
        slices: settings.slices,
        deadline: settings.patience.deadline(),
        counts_calls: settings.system_calls.are_counted(),
    };
    let results =
        contest::measure(&plan, &ENTRIES, load::start, load::mebibytes, |line| csv.line(&line))?;
    println!(
        "Proxy, {} MiB in each of {} rounds, 1 worker. Processor time of the proxy in ms for 1 GiB.\n",
        settings.mebibytes, settings.series.rounds
    );
    let millis = |name: &str| -> Vec<f64> {
        let seconds = results.get(name).map_or(&[][..], |result| &result.seconds);
        seconds.iter().map(|seconds| seconds * 1024.0 * 1e3).collect()
    };
    let mut table =
        Table::new(&["system", "median", "quartiles", "range", "÷ tokio", "calls a MiB"]);
    let base = millis(TOKIO);
    let mut others = Vec::new();
    for entry in ENTRIES {
        let result = &results[entry.name];
        let mut cells = vec![entry.name.to_owned()];
        cells.extend(cost_cells(&millis(entry.name), &[Some(&base)]));
        cells.push(result.calls());
        table.row(cells);
        others.extend(&result.others);
    }
    table.print();
    machine::report_others(&others);
    Ok(())
}

pub fn smoke() -> io::Result<()> {
    run(&Settings {
        series: Series::SMOKE,
        mebibytes: 4,
        slices: 2,
        patience: Patience::NONE,
        system_calls: SystemCalls::LEFT_OUT,
    })
}
