//! What does a project cost to build, to store and to audit?
//!
//! A generated project and its twin on axum and Tokio, the same release profile, an empty target directory each time, everything downloaded
//! before. The size is that of the stripped program; crates are counted as Cargo compiles them for it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use clap::Args;

use crate::measure::machine;
use crate::measure::statistics::Summary;
use crate::measure::table::Table;

#[derive(Args)]
pub struct Settings {
    /// Folder of a project made by `smolkit new`
    #[arg(long)]
    service: PathBuf,
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/twin-axum-tokio"))]
    twin: PathBuf,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Empty folder for what is built; removed afterwards
    #[arg(long)]
    scratch: PathBuf,
}

#[derive(Default)]
struct Project {
    seconds: Vec<f64>,
    size_bytes: u64,
    crate_count: usize,
}

pub fn run(settings: &Settings) -> io::Result<()> {
    fs::create_dir(&settings.scratch).map_err(|error| {
        io::Error::new(error.kind(), format!("{}: {error}", settings.scratch.display()))
    })?;
    let result = measure(settings);
    fs::remove_dir_all(&settings.scratch)?;
    result
}

fn measure(settings: &Settings) -> io::Result<()> {
    let folders = [("service", &settings.service), ("twin", &settings.twin)];
    let mut projects = [Project::default(), Project::default()];
    for (project, (_, folder)) in projects.iter_mut().zip(folders) {
        cargo(folder, &["fetch"], &settings.scratch)?;
        project.crate_count = crate_count(folder, &settings.scratch)?;
    }
    for round in 0..settings.rounds {
        for turn in 0..projects.len() {
            let index = (round + turn) % projects.len();
            let target = settings.scratch.join("target");
            let started = Instant::now();
            cargo(folders[index].1, &["build", "--release", "--offline"], &target)?;
            projects[index].seconds.push(started.elapsed().as_secs_f64());
            projects[index].size_bytes = program_size(&target.join("release"))?;
            fs::remove_dir_all(target)?;
        }
    }
    println!("{}\n", machine::describe());
    println!("A clean release build, {} rounds.\n", settings.rounds);
    let mut table = Table::new(&["project", "build s", "range", "program KiB", "crates"]);
    for (project, (name, _)) in projects.iter().zip(folders) {
        let Some(summary) = Summary::of(&project.seconds) else { continue };
        table.row(vec![
            name.into(),
            format!("{:.1}", summary.median),
            format!("{:.1}–{:.1}", summary.min, summary.max),
            format!("{}", project.size_bytes / 1024),
            project.crate_count.to_string(),
        ]);
    }
    table.print();
    Ok(())
}

fn cargo(folder: &Path, arguments: &[&str], target: &Path) -> io::Result<String> {
    let output = Command::new("cargo")
        .args(arguments)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target)
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("cargo {}:\n{said}", arguments.join(" "))));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Libraries, macros and build tools, each version once; without the project itself.
fn crate_count(folder: &Path, target: &Path) -> io::Result<usize> {
    let arguments =
        ["tree", "--offline", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"];
    let tree = cargo(folder, &arguments, target)?;
    let name_and_version = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let crates: BTreeSet<String> = tree.lines().skip(1).map(name_and_version).collect();
    Ok(crates.len())
}

/// Of the only program in there.
fn program_size(folder: &Path) -> io::Result<u64> {
    use std::os::unix::fs::PermissionsExt;
    for entry in fs::read_dir(folder)? {
        let metadata = entry?.metadata()?;
        if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
            return Ok(metadata.len());
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "no program was built"))
}
