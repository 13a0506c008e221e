//! Results as a Markdown table that also reads well on a terminal, and as CSV.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::machine;
use super::statistics::{Summary, paired_ratio};

pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(head: &[&str]) -> Table {
        Table { rows: vec![head.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub fn print(&self) {
        let count = self.rows[0].len();
        let width = |column: usize| {
            self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..count).map(width).collect();
        for (index, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            println!("| {} |", cells.collect::<Vec<_>>().join(" | "));
            if index == 0 {
                let rules = widths.iter().enumerate().map(|(column, &width)| {
                    if column == 0 { "-".repeat(width) } else { "-".repeat(width - 1) + ":" }
                });
                println!("| {} |", rules.collect::<Vec<_>>().join(" | "));
            }
        }
        println!();
    }
}

/// The samples of one system in one bench, one for each round.
#[derive(Default)]
pub struct Samples {
    pub cost: Vec<f64>,
    pub rate: Vec<f64>,
    pub latency_p50: Vec<f64>,
    pub latency_p99: Vec<f64>,
}

/// What one system costs, with its spread and next to the others.
pub fn cost_cells(samples: &[f64], bases: &[Option<&[f64]>]) -> Vec<String> {
    let Some(summary) = Summary::of(samples) else { return vec!["-".into(); 3 + bases.len()] };
    let mut cells = vec![
        format!("{:.2}", summary.median),
        format!("{:.2}–{:.2}", summary.lower_quartile, summary.upper_quartile),
        format!("{:.2}–{:.2}", summary.min, summary.max),
    ];
    cells.extend(bases.iter().map(|base| {
        let ratio = base.and_then(|base| paired_ratio(samples, base));
        ratio.map_or("-".into(), |ratio| format!("{ratio:.3}"))
    }));
    cells
}

pub fn median_cell(samples: &[f64], digits: usize) -> String {
    Summary::of(samples).map_or("-".into(), |summary| format!("{:.digits$}", summary.median))
}

/// Every single sample, for other tools.
pub struct Csv {
    file: Option<(File, PathBuf)>,
}

impl Csv {
    pub fn create(path: Option<&Path>, head: &str) -> io::Result<Csv> {
        let Some(path) = path else { return Ok(Csv { file: None }) };
        let mut file = File::create(path).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        writeln!(file, "# {}", machine::describe())?;
        writeln!(file, "{head}")?;
        Ok(Csv { file: Some((file, path.to_owned())) })
    }

    pub fn line(&mut self, line: &str) -> io::Result<()> {
        match &mut self.file {
            Some((file, _)) => writeln!(file, "{line}"),
            None => Ok(()),
        }
    }
}

impl Drop for Csv {
    fn drop(&mut self) {
        if let Some((_, path)) = &self.file {
            println!("Samples: {}", path.display());
        }
    }
}
