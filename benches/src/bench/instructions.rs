//! How many instructions of its own does a server spend on a round trip or a request?
//!
//! Noise of the machine cannot touch that: valgrind's callgrind counts what runs outside of the kernel. Two runs with different numbers of
//! requests cancel out start and shutdown. How events come in batches still depends on timing, so the last digits differ.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use crate::bench::http::{self, Contestant};
use crate::load;
use crate::measure::child::Child;
use crate::measure::machine;
use crate::measure::table::Table;
use crate::servers::{self, System, Work};

#[derive(Args)]
pub struct Settings {
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Requests more in the second run than in the first
    #[arg(long, default_value_t = 12_800)]
    requests: u64,
    /// The program of a project made by `smolkit new`; without it that row is missing
    #[arg(long)]
    service: Option<PathBuf>,
    /// The program of `twin-axum-tokio`; without it that row is missing
    #[arg(long)]
    twin: Option<PathBuf>,
    /// Keep callgrind's files in this folder, for callgrind_annotate
    #[arg(long)]
    keep: Option<PathBuf>,
}

const ECHO: [System; 6] = [
    System::Smolkit,
    System::SmolkitLocal,
    System::Tokio,
    System::TokioLocal,
    System::Smol,
    System::Epoll,
];

pub fn run(settings: &Settings) -> io::Result<()> {
    let echo = ECHO.map(|system| Contestant::Inside(system, Work::Echo));
    let service = settings.service.clone().map(Contestant::Service);
    let twin = settings.twin.clone().map(Contestant::Twin);
    println!("{}\n", machine::describe());
    println!(
        "Instructions in user space, {} connections, 1 worker, {} requests.\n",
        settings.connections, settings.requests
    );
    let mut table = Table::new(&["system", "instructions a request"]);
    let mut failed = None;
    for contestant in echo.into_iter().chain(http::inside()).chain(service).chain(twin) {
        let cell = match each(settings, &contestant) {
            Ok(each) => format!("{each:.0}"),
            Err(error) => {
                failed = Some(error);
                "-".into()
            }
        };
        table.row(vec![contestant.to_string(), cell]);
    }
    table.print();
    failed.map_or(Ok(()), Err)
}

fn each(settings: &Settings, contestant: &Contestant) -> io::Result<f64> {
    let few = count(settings, contestant, settings.requests / 4)?;
    let many = count(settings, contestant, settings.requests * 5 / 4)?;
    Ok(many.saturating_sub(few) as f64 / settings.requests as f64)
}

/// All instructions of a server that answers so many requests.
fn count(settings: &Settings, contestant: &Contestant, requests: u64) -> io::Result<u64> {
    let unique = format!("{contestant}-{requests}-{}", std::process::id());
    let log = env::temp_dir().join(format!("callgrind-{unique}.log"));
    let profile = match &settings.keep {
        Some(folder) => folder.join(format!("callgrind-{contestant}-{requests}.out")),
        None => env::temp_dir().join(format!("callgrind-{unique}.out")),
    };
    let result = counted(settings.connections, contestant, requests, &log, &profile);
    // Whatever went wrong before is the better message.
    let _ = fs::remove_file(&log);
    if settings.keep.is_none() {
        let _ = fs::remove_file(&profile);
    }
    result
}

fn counted(
    connections: usize,
    contestant: &Contestant,
    requests: u64,
    log: &Path,
    profile: &Path,
) -> io::Result<u64> {
    let command = contestant.command(1)?;
    let mut valgrind = Command::new("valgrind");
    valgrind
        .arg("--tool=callgrind")
        .arg(format!("--log-file={}", log.display()))
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            valgrind.env(name, value);
        }
    }
    let (server_cores, load_cores) = machine::cores(1);
    let mut server = Child::start(valgrind, &server_cores)?;
    let port = contestant.port(&mut server)?;
    match contestant {
        Contestant::Inside(_, Work::Echo) => {
            let mut load =
                load::echo::start(port, connections, load::echo::MESSAGE_BYTES, &load_cores)?;
            load::echo::round_trips(&mut load, requests)?;
        }
        _ => {
            let each = requests / connections as u64;
            for client in load::http::closed_loop(port, connections, Some(each), servers::ANSWER) {
                let result = client.join();
                if !matches!(result, Ok((answered, None)) if answered == each) {
                    return Err(io::Error::other(format!("{contestant}: {result:?}")));
                }
            }
        }
    }
    server.signal(libc::SIGTERM)?;
    server.output()?;
    let text = fs::read_to_string(log)?;
    let collected = text.split("Collected : ").nth(1).and_then(|rest| rest.split('\n').next());
    collected
        .and_then(|count| count.trim().parse().ok())
        .ok_or_else(|| io::Error::other(format!("callgrind says:\n{text}")))
}
