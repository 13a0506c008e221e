//! What every bench, or several of them, can be told about how to measure.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use crate::measure::table::Csv;

/// Rounds, and where their samples go.
#[derive(Args, Clone)]
pub struct Series {
    #[arg(long, default_value_t = 15)]
    pub rounds: usize,
    /// Write every sample to this file
    #[arg(long)]
    csv: Option<PathBuf>,
}

impl Series {
    pub const SMOKE: Series = Series { rounds: 1, csv: None };

    pub fn csv(&self, head: &str) -> io::Result<Csv> {
        Csv::create(self.csv.as_deref(), head)
    }
}

/// What is done about windows in which others used the machine.
#[derive(Args, Clone)]
pub struct Patience {
    /// Repeat what others disturbed, as long as the bench is no older than so many seconds
    #[arg(long = "patience", default_value_t = 0)]
    seconds: u64,
}

impl Patience {
    pub const NONE: Patience = Patience { seconds: 0 };

    /// For a bench that starts now.
    pub fn deadline(&self) -> Instant {
        Instant::now() + Duration::from_secs(self.seconds)
    }
}

/// Whether system calls are counted beside the time.
#[derive(Args, Clone)]
pub struct SystemCalls {
    /// Do not count system calls, which takes perf
    #[arg(long = "no-system-calls")]
    are_left_out: bool,
}

impl SystemCalls {
    pub const LEFT_OUT: SystemCalls = SystemCalls { are_left_out: true };

    pub fn are_counted(&self) -> bool {
        !self.are_left_out
    }
}
