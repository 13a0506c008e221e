//! How large is the smallest program, of how many crates is it made, how many threads does it start, and how long does it take from start to end?
//!
//! For each system three programs, built in a scratch folder with the crates of this folder's lock file: `nothing` is `block_on` of an empty
//! future, `spawn` spawns a task and prints its output, `echo` is a TCP echo server. The profile is the same for all: release (`opt-level = 3`), fat LTO,
//! one codegen unit, `panic = "abort"`, stripped. `std` is a program that only prints, on no system at all: the floor. Crates are those of
//! `cargo tree` with the features that the programs need, the system's own among them. Threads and system calls are counted by strace.

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
    /// Starts of each program
    #[arg(long, default_value_t = 101)]
    rounds: usize,
    /// Folder for what is built, which must not exist; removed afterwards
    #[arg(long)]
    scratch: PathBuf,
}

const PROGRAMS: [&str; 3] = ["nothing", "spawn", "echo"];

/// Where programs live, as Cargo finds them in a package.
struct System {
    name: &'static str,
    dependencies: &'static str,
    programs: [&'static str; 3],
}

const MANIFEST: &str = r#"
[package]
name = "NAME"
version = "0.0.0"
edition = "2024"

[dependencies]
DEPENDENCIES

[profile.release]
opt-level = 3
lto = "fat"
codegen-units = 1
panic = "abort"
strip = true

[workspace]
"#;

const SYSTEMS: [System; 6] = [
    System {
        name: "std",
        dependencies: "",
        programs: [
            "fn main() {}",
            r#"fn main() { println!("hello") }"#,
            r#"
use std::{io, net::TcpListener, thread};
fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    loop {
        let (stream, _) = listener.accept()?;
        thread::spawn(move || io::copy(&mut &stream, &mut &stream));
    }
}"#,
        ],
    },
    System {
        name: "smolkit",
        dependencies: concat!(
            "smolkit = { path = \"",
            env!("CARGO_MANIFEST_DIR"),
            "/..\", default-features = false, features = [\"net\"] }"
        ),
        programs: [
            "fn main() { smolkit::block_on(async {}); }",
            r#"fn main() { smolkit::block_on(smolkit::spawn(async { println!("hello") })); }"#,
            r#"
use smolkit::io;
use smolkit::net::TcpListener;
fn main() -> io::Result<()> {
    smolkit::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        loop {
            let (stream, _) = listener.accept().await?;
            smolkit::spawn(async move { io::copy(stream.clone(), stream).await }).detach();
        }
    })
}"#,
        ],
    },
    System {
        name: "tokio",
        dependencies: r#"tokio = { version = "1", features = ["io-util", "net", "rt-multi-thread"] }"#,
        programs: [
            "fn main() { tokio::runtime::Runtime::new().unwrap().block_on(async {}); }",
            r#"
fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(runtime.spawn(async { println!("hello") })).unwrap();
}"#,
            r#"
use tokio::io;
use tokio::net::TcpListener;
fn main() -> io::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                io::copy(&mut reader, &mut writer).await
            });
        }
    })
}"#,
        ],
    },
    System {
        name: "tokio-local",
        dependencies: r#"tokio = { version = "1", features = ["io-util", "net", "rt"] }"#,
        programs: [
            "fn main() { tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {}); }",
            r#"
fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(runtime.spawn(async { println!("hello") })).unwrap();
}"#,
            r#"
use tokio::io;
use tokio::net::TcpListener;
fn main() -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                io::copy(&mut reader, &mut writer).await
            });
        }
    })
}"#,
        ],
    },
    System {
        name: "smol",
        dependencies: r#"smol = "2""#,
        programs: [
            "fn main() { smol::block_on(async {}); }",
            r#"fn main() { smol::block_on(smol::spawn(async { println!("hello") })); }"#,
            r#"
use smol::io;
use smol::net::TcpListener;
fn main() -> io::Result<()> {
    smol::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        loop {
            let (stream, _) = listener.accept().await?;
            smol::spawn(async move { io::copy(stream.clone(), stream).await }).detach();
        }
    })
}"#,
        ],
    },
    System {
        name: "monoio",
        dependencies: r#"monoio = "0.2""#,
        programs: [
            "fn main() { monoio::start::<monoio::LegacyDriver, _>(async {}); }",
            r#"
fn main() {
    monoio::start::<monoio::LegacyDriver, _>(async {
        monoio::spawn(async { println!("hello") }).await
    });
}"#,
            r#"
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpListener;
fn main() -> std::io::Result<()> {
    monoio::start::<monoio::LegacyDriver, _>(async {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            monoio::spawn(async move {
                let mut buffer = Vec::with_capacity(8192);
                loop {
                    let (result, filled) = stream.read(buffer).await;
                    if result? == 0 {
                        return std::io::Result::Ok(());
                    }
                    let (result, mut written) = stream.write_all(filled).await;
                    result?;
                    written.clear();
                    buffer = written;
                }
            });
        }
    })
}"#,
        ],
    },
];

pub fn run(settings: &Settings) -> io::Result<()> {
    fs::create_dir(&settings.scratch).map_err(|error| {
        io::Error::new(error.kind(), format!("{}: {error}", settings.scratch.display()))
    })?;
    let result = measure(settings);
    fs::remove_dir_all(&settings.scratch)?;
    result
}

fn measure(settings: &Settings) -> io::Result<()> {
    let target = settings.scratch.join("target");
    let program = |system: &System, program: &str| {
        target.join("release").join(format!("{}-{program}", system.name))
    };
    for system in &SYSTEMS {
        eprintln!("building for {}", system.name);
        build(system, &settings.scratch.join(system.name), &target)?;
    }
    println!("{}\n", machine::describe());
    println!(
        "opt-level 3, fat LTO, one codegen unit, panic = abort, stripped. Size in kB (1,000 bytes); threads and system calls of `nothing`, and µs from its start to its end, {} rounds.\n",
        settings.rounds
    );
    let mut micros = vec![Vec::new(); SYSTEMS.len()];
    for round in 0..settings.rounds {
        for turn in 0..SYSTEMS.len() {
            let index = (round + turn) % SYSTEMS.len();
            micros[index].push(start_to_end(&program(&SYSTEMS[index], PROGRAMS[0]))?);
        }
    }
    let mut table = Table::new(&[
        "system",
        "nothing",
        "spawn",
        "echo",
        "crates",
        "threads",
        "system calls",
        "µs",
        "quartiles",
    ]);
    for (system, micros) in SYSTEMS.iter().zip(&micros) {
        let mut cells = vec![system.name.to_owned()];
        for name in PROGRAMS {
            let bytes = fs::metadata(program(system, name))?.len();
            cells.push(format!("{:.0}", bytes as f64 / 1000.0));
        }
        cells.push(crates(&settings.scratch.join(system.name))?.to_string());
        let (threads, calls) = traced(&program(system, PROGRAMS[0]))?;
        cells.extend([threads.to_string(), calls.to_string()]);
        let Some(summary) = Summary::of(micros) else { continue };
        cells.push(format!("{:.0}", summary.median));
        cells.push(format!("{:.0}–{:.0}", summary.lower_quartile, summary.upper_quartile));
        table.row(cells);
    }
    table.print();
    Ok(())
}

fn build(system: &System, folder: &Path, target: &Path) -> io::Result<()> {
    fs::create_dir_all(folder.join("src/bin"))?;
    let manifest = MANIFEST.replace("NAME", system.name);
    fs::write(folder.join("Cargo.toml"), manifest.replace("DEPENDENCIES", system.dependencies))?;
    // The same versions as here; Cargo takes out what the package does not need.
    fs::write(folder.join("Cargo.lock"), include_str!("../../Cargo.lock"))?;
    for (name, source) in PROGRAMS.iter().zip(system.programs) {
        fs::write(folder.join(format!("src/bin/{}-{name}.rs", system.name)), source)?;
    }
    let output = Command::new("cargo")
        .args(["build", "--release", "--offline", "--quiet"])
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target)
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("building for {}:\n{said}", system.name)));
    }
    Ok(())
}

fn start_to_end(program: &Path) -> io::Result<f64> {
    let started = Instant::now();
    let status = Command::new(program).stdin(Stdio::null()).status()?;
    let micros = started.elapsed().as_secs_f64() * 1e6;
    if !status.success() {
        return Err(io::Error::other(format!("{}: {status}", program.display())));
    }
    Ok(micros)
}

/// How many crates a package stands on.
fn crates(folder: &Path) -> io::Result<usize> {
    let output = Command::new("cargo")
        .args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--no-dedupe"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr)));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let mut lines: Vec<_> = said.lines().filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines.dedup();
    // The package itself is the first line.
    Ok(lines.len() - 1)
}

/// How many threads it ever has, and how many system calls it makes.
fn traced(program: &Path) -> io::Result<(usize, usize)> {
    let output = Command::new("strace")
        .args(["-f", "-e", "signal=none"])
        .arg(program)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot start strace: {error}")))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let is_call = |line: &&str| line.contains('(') && !line.contains("resumed>");
    let calls = said.lines().filter(is_call).count();
    Ok((1 + said.matches("clone3(").count() + said.matches("clone(").count(), calls))
}
