//! The results, in tables.

use std::collections::BTreeMap;

use super::kinds::Kind;
use super::systems::System;
use crate::measure::statistics::{Summary, paired_ratio};
use crate::measure::table::{Table, cost_cells};

/// What a table is about.
#[derive(Clone, Copy)]
pub struct Case {
    pub kind: Kind,
    pub is_local: bool,
    pub workers: usize,
    pub tasks: u64,
}

impl Case {
    fn threads(&self) -> String {
        match (self.is_local, self.workers) {
            (true, _) => "one thread".into(),
            (false, 1) => "1 worker".into(),
            (false, workers) => format!("{workers} workers"),
        }
    }
}

/// The two figures of each system, one pair for each round.
#[derive(Default)]
pub struct Results {
    figures: BTreeMap<System, [Vec<f64>; 2]>,
}

impl Results {
    pub fn add(&mut self, system: System, first: f64, second: f64) {
        let figures = self.figures.entry(system).or_default();
        figures[0].push(first);
        figures[1].push(second);
    }

    fn column(&self, system: System, figure: usize) -> Option<&[f64]> {
        self.figures.get(&system).map(|figures| figures[figure].as_slice())
    }
}

pub fn print(rounds: usize, operations: u64, case: &Case, results: &Results) {
    let (kind, threads) = (case.kind.name(), case.threads());
    match case.kind {
        Kind::Wake => {
            println!(
                "{kind}, {threads}, {rounds} rounds. From waking on another thread until the task runs; ratios are medians of paired rounds.\n"
            );
            quantiles(case, results);
        }
        Kind::Parked => {
            println!(
                "{kind}, {threads}, {rounds} rounds of {operations} tasks. Resident bytes of a task; ratios are medians of paired rounds.\n"
            );
            costs("bytes", case, results, false);
        }
        _ => {
            let tasks = match case.kind.scales_with_tasks() {
                true => format!(", {} tasks", case.tasks),
                false => String::new(),
            };
            println!(
                "{kind}{tasks}, {threads}, {rounds} rounds of {operations} operations. Processor time of the process in ns an operation, \
                 millions of operations a second; ratios are medians of paired rounds.\n"
            );
            costs("CPU ns", case, results, true);
        }
    }
}

/// The first figure with its spread; the second one as a rate if it is a time.
fn costs(unit: &str, case: &Case, results: &Results, has_rate: bool) {
    let bases = System::bases(case.is_local);
    let base_heads = bases.map(|base| format!("÷ {base}"));
    let rate_heads = ["M/s".to_owned(), "quartiles".into()];
    let rate_heads = rate_heads.into_iter().chain(bases.map(|base| format!("M/s ÷ {base}")));
    let heads = ["system", unit, "quartiles", "range"].map(String::from);
    let heads: Vec<String> =
        heads.into_iter().chain(base_heads).chain(rate_heads.filter(|_| has_rate)).collect();
    let mut table = Table::new(&heads.iter().map(String::as_str).collect::<Vec<_>>());
    for (system, [first, second]) in &results.figures {
        let mut cells = vec![system.name()];
        cells.extend(cost_cells(first, &bases.map(|base| results.column(base, 0))));
        if has_rate {
            let rates: Vec<f64> = second.iter().map(|&nanos| 1e3 / nanos).collect();
            if let Some(rate) = Summary::of(&rates) {
                cells.push(format!("{:.2}", rate.median));
                cells.push(format!("{:.2}–{:.2}", rate.lower_quartile, rate.upper_quartile));
            }
            // A rate is the inverse of a time, and so are their ratios.
            cells.extend(bases.map(|base| {
                let ratio = results.column(base, 1).and_then(|base| paired_ratio(base, second));
                ratio.map_or("-".into(), |ratio| format!("{ratio:.3}"))
            }));
        }
        table.row(cells);
    }
    table.print();
}

fn quantiles(case: &Case, results: &Results) {
    let bases = System::bases(case.is_local);
    for (figure, unit) in ["p50 µs", "p99 µs"].into_iter().enumerate() {
        let heads = bases.map(|base| format!("÷ {base}"));
        let mut table = Table::new(&["system", unit, "quartiles", "range", &heads[0], &heads[1]]);
        let micros = |system: System| -> Option<Vec<f64>> {
            Some(results.column(system, figure)?.iter().map(|nanos| nanos / 1e3).collect())
        };
        let base_columns = bases.map(micros);
        for &system in results.figures.keys() {
            let mut cells = vec![system.name()];
            let column = micros(system).unwrap_or_default();
            cells.extend(cost_cells(&column, &base_columns.each_ref().map(Option::as_deref)));
            table.row(cells);
        }
        table.print();
    }
}

/// The medians of all cases of one kind, side by side.
pub fn print_scaling(systems: &[System], results: &[(Case, Results)]) {
    let Some((first, _)) = results.first() else { return };
    let figures: &[(usize, &str)] = match first.kind {
        Kind::Wake => &[(0, "p50 in ns"), (1, "p99 in ns")],
        Kind::Parked => &[(0, "bytes of a task")],
        _ => &[(0, "processor time in ns an operation"), (1, "time in ns an operation")],
    };
    for &(figure, what) in figures {
        println!("{}: {what}, medians.\n", first.kind.name());
        let heads: Vec<String> = results
            .iter()
            .map(|(case, _)| match case.kind.scales_with_tasks() {
                true => format!("{}, {} tasks", case.threads(), case.tasks),
                false => case.threads(),
            })
            .collect();
        let mut table = Table::new(
            &std::iter::once("system").chain(heads.iter().map(String::as_str)).collect::<Vec<_>>(),
        );
        for &system in systems {
            let median = |results: &Results| {
                let summary = results.column(system, figure).and_then(Summary::of);
                summary.map_or("-".into(), |summary| format!("{:.1}", summary.median))
            };
            let cells = results.iter().map(|(_, results)| median(results));
            table.row(std::iter::once(system.name()).chain(cells).collect());
        }
        table.print();
    }
}
