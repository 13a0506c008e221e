//! The kinds of work whose cost is counted for each operation.

use std::fs;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::ValueEnum;

use super::systems::{Files, System, Work};
use crate::measure::cpu;
use crate::words::word;

pub const SMALL_BYTES: usize = 4 << 10;
pub const LARGE_BYTES: usize = 64 << 20;
const SMALL_PIECE_BYTES: usize = 4 << 10;
const LARGE_PIECE_BYTES: usize = 64 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    /// Read a whole file of 4 KiB
    ReadSmall,
    /// Ask for a file's metadata
    Stat,
    /// Read 64 MiB, 64 KiB at a time; an operation is such a piece
    ReadBy64,
    /// Read 64 MiB, 4 KiB at a time; an operation is such a piece
    ReadBy4,
    /// Write 64 MiB, 64 KiB at a time, and flush; an operation is such a piece
    WriteBy64,
    /// Write 64 MiB, 4 KiB at a time, and flush; an operation is such a piece
    WriteBy4,
    /// Copy a file of 64 MiB; an operation is 64 KiB of it
    Copy,
    /// Read 64 MiB that are not in the page cache: how late do others get their turn?
    Cold,
}

impl Kind {
    pub fn name(self) -> String {
        word(&self)
    }

    pub fn suits(self, system: System) -> bool {
        match self {
            // monoio's timers do not fire as long as its reads are done at once.
            Kind::Cold => system != System::Std && system != System::MonoioUring,
            _ => system != System::Stalling,
        }
    }

    pub fn is_small(self) -> bool {
        matches!(self, Kind::ReadSmall | Kind::Stat)
    }

    /// What its figures are for.
    pub fn unit(self) -> &'static str {
        match self {
            Kind::ReadSmall | Kind::Stat => "a file",
            Kind::ReadBy4 | Kind::WriteBy4 => "for each 4 KiB",
            Kind::ReadBy64 | Kind::WriteBy64 | Kind::Copy => "for each 64 KiB",
            Kind::Cold => "a pass",
        }
    }

    /// In one turn.
    pub fn operations(self) -> u64 {
        let pieces = match self {
            Kind::ReadSmall | Kind::Stat | Kind::Cold => 1,
            Kind::ReadBy4 | Kind::WriteBy4 => LARGE_BYTES / SMALL_PIECE_BYTES,
            Kind::ReadBy64 | Kind::WriteBy64 | Kind::Copy => LARGE_BYTES / LARGE_PIECE_BYTES,
        };
        pieces as u64
    }
}

/// What all systems find.
pub fn fill(folder: &Path) -> io::Result<()> {
    fs::write(small(folder), vec![7; SMALL_BYTES])?;
    fs::write(large(folder), vec![7; LARGE_BYTES])?;
    // Clean pages, as those of a file that was there before.
    fs::File::open(large(folder))?.sync_all()
}

pub fn small(folder: &Path) -> PathBuf {
    folder.join("small")
}

pub fn large(folder: &Path) -> PathBuf {
    folder.join("large")
}

/// Does it again and again; says how many µs of processor time, context switches and µs by the clock an operation took.
pub struct Repeat {
    pub kind: Kind,
    pub count: u64,
    pub folder: PathBuf,
    pub stepwise: bool,
}

impl Work for Repeat {
    async fn run<F: Files>(self, files: F) -> io::Result<()> {
        // A tenth of it first, to warm up.
        self.some(&files, self.count.div_ceil(10)).await?;
        self.step("ready")?;
        let (wall, before, waits) = (Instant::now(), time()?, switches()?);
        self.some(&files, self.count).await?;
        let (wall, used, waits) = (wall.elapsed(), time()? - before, switches()? - waits);
        let operations = (self.count * self.kind.operations()) as f64;
        let each = |time: std::time::Duration| time.as_secs_f64() * 1e6 / operations;
        let figures = (each(used), waits as f64 / operations, each(wall));
        self.step(&format!("figures {:.4} {:.4} {:.4}", figures.0, figures.1, figures.2))
    }
}

impl Repeat {
    async fn some<F: Files>(&self, files: &F, count: u64) -> io::Result<()> {
        let (small, large) = (small(&self.folder), large(&self.folder));
        let new = self.folder.join("new");
        for _ in 0..count {
            let (bytes, expected) = match self.kind {
                Kind::ReadSmall => (files.read(&small).await?, SMALL_BYTES),
                Kind::Stat => (files.stat(&small).await?, SMALL_BYTES),
                Kind::ReadBy64 => (files.read_by(&large, LARGE_PIECE_BYTES).await?, LARGE_BYTES),
                Kind::ReadBy4 => (files.read_by(&large, SMALL_PIECE_BYTES).await?, LARGE_BYTES),
                Kind::WriteBy64 => {
                    files.write_by(&new, LARGE_PIECE_BYTES, LARGE_BYTES).await?;
                    (fs::metadata(&new)?.len(), LARGE_BYTES)
                }
                Kind::WriteBy4 => {
                    files.write_by(&new, SMALL_PIECE_BYTES, LARGE_BYTES).await?;
                    (fs::metadata(&new)?.len(), LARGE_BYTES)
                }
                Kind::Copy => (files.copy(&large, &new).await?, LARGE_BYTES),
                Kind::Cold => return Err(io::Error::other("cold is measured elsewhere")),
            };
            if bytes != expected as u64 {
                return Err(io::Error::other(format!("{bytes} bytes instead of {expected}")));
            }
        }
        Ok(())
    }

    /// Says how far it is, and waits until the driver has seen it.
    fn step(&self, said: &str) -> io::Result<()> {
        println!("{said}");
        if self.stepwise {
            io::stdin().lock().read_line(&mut String::new())?;
        }
        Ok(())
    }
}

fn time() -> io::Result<std::time::Duration> {
    cpu::time_of_process(std::process::id())
}

/// Context switches of all threads of this process, wanted or not.
fn switches() -> io::Result<u64> {
    let usage = cpu::usage_of_process()?;
    Ok((usage.ru_nvcsw + usage.ru_nivcsw) as u64)
}
