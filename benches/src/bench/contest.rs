//! Servers under the same load, in rounds of short slices: what `udp` and `proxy` share.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use crate::bench::http::Contestant;
use crate::measure::child::Child;
use crate::measure::machine::{self, Others};
use crate::measure::syscalls::{self, Counter, Counts};
use crate::servers::{System, Work};

/// One row of a table.
#[derive(Clone, Copy)]
pub struct Entry {
    pub name: &'static str,
    pub system: System,
    pub work: Work,
}

/// How much is measured, and how.
pub struct Plan {
    pub rounds: usize,
    /// In each round.
    pub units: u64,
    pub slices: u64,
    pub deadline: Instant,
    pub counts_calls: bool,
}

impl Plan {
    fn slice_units(&self) -> u64 {
        (self.units / self.slices).max(1)
    }
}

#[derive(Default)]
pub struct Results {
    /// Processor seconds for a unit, a sample for each round.
    pub seconds: Vec<f64>,
    pub counts: Vec<Counts>,
    pub counted_units: u64,
    pub others: Vec<f64>,
}

/// One system in one round.
struct Contest {
    entry: Entry,
    server: Child,
    load: Child,
    cpu_time: Duration,
    others: f64,
}

/// `start` starts a load process for a port on these cores; `go` has it do so many units.
pub fn measure(
    plan: &Plan,
    entries: &[Entry],
    start: impl Fn(u16, &[usize]) -> io::Result<Child>,
    go: impl Fn(&mut Child, u64) -> io::Result<()>,
    mut line: impl FnMut(String) -> io::Result<()>,
) -> io::Result<BTreeMap<&'static str, Results>> {
    let units = plan.slice_units();
    let mut results: BTreeMap<&str, Results> = BTreeMap::new();
    for round in 0..plan.rounds {
        let mut contests = Vec::new();
        for turn in 0..entries.len() {
            let entry = entries[(round + turn) % entries.len()];
            let (server_cores, load_cores) = machine::cores(1);
            let inside = Contestant::Inside(entry.system, entry.work);
            let (server, port) = inside.start(1, &server_cores)?;
            let mut load = start(port, &load_cores)?;
            go(&mut load, units)?;
            contests.push(Contest { entry, server, load, cpu_time: Duration::ZERO, others: 0.0 });
        }
        for _ in 0..plan.slices {
            for contest in &mut contests {
                contest.slice(units, plan.deadline, &go)?;
            }
            contests.rotate_left(1);
        }
        for mut contest in contests {
            let name = contest.entry.name;
            let result = results.entry(name).or_default();
            if plan.counts_calls {
                let counter = Counter::start(contest.server.id())?;
                go(&mut contest.load, units)?;
                result.counts.push(counter.stop()?);
                result.counted_units += units;
            }
            let seconds = contest.cpu_time.as_secs_f64() / (units * plan.slices) as f64;
            result.seconds.push(seconds);
            result.others.push(contest.others);
            line(format!("{round},{name},{seconds:e},{:.2}", contest.others))?;
        }
    }
    Ok(results)
}

impl Contest {
    fn slice(
        &mut self,
        units: u64,
        deadline: Instant,
        go: impl Fn(&mut Child, u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let (used, others) = machine::quietly(deadline, || {
            let others = Others::watch()?;
            let before = (self.server.cpu_time()?, self.load.cpu_time()?);
            go(&mut self.load, units)?;
            let used = self.server.cpu_time()? - before.0;
            let share = others.share(used + self.load.cpu_time()? - before.1)?;
            Ok((used, share))
        })?;
        self.cpu_time += used;
        self.others = self.others.max(others);
        Ok(())
    }
}

impl Results {
    /// Calls for a unit, and those that come at least once in a hundred units by name.
    pub fn calls(&self) -> String {
        syscalls::cell(&self.counts, self.counted_units)
    }
}
