//! The same work on smolkit and on its peers, in one run.
//!
//! Each bench is a module of `bench`, opens with the question that it answers, and checks what it measures. Servers and load
//! generators are processes of their own (this program again, with a hidden subcommand), pinned to different cores; within a round
//! the systems take turns, and each round begins with another one.

mod bench;
mod load;
mod measure;
mod servers;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// What does a TCP echo cost the server?
    Echo(bench::echo::Settings),
    /// What does an HTTP request cost the server?
    Http(bench::http::Settings),
    /// How many instructions of its own does a server spend on a request? (takes valgrind)
    Instructions(bench::instructions::Settings),
    /// What do spawning and yielding cost?
    Tasks(bench::tasks::Settings),
    /// How large is the smallest program, and how soon is it done? (takes strace)
    Sizes(bench::sizes::Settings),
    /// What do timers cost, and how late are they?
    Timers(bench::timers::Settings),
    /// Does a service survive load, idle connections and being stopped under load?
    Stress(bench::stress::Settings),
    /// What does a project cost to build, to store and to audit, next to its twin on axum and Tokio?
    Build(bench::build::Settings),
    /// Runs every bench that needs no other program with tiny counts, to see that they work
    Smoke,
    #[command(hide = true)]
    Serve(servers::Settings),
    #[command(hide = true)]
    Load(load::echo::Settings),
    /// Does one kind of task work on one system, for a profiler
    Run(bench::tasks::Run),
    /// Does one kind of work with timers on one system, for a profiler
    RunTimers(bench::timers::Run),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Echo(settings) => bench::echo::run(&settings),
        Command::Http(settings) => bench::http::run(&settings),
        Command::Instructions(settings) => bench::instructions::run(&settings),
        Command::Tasks(settings) => bench::tasks::run(&settings),
        Command::Sizes(settings) => bench::sizes::run(&settings),
        Command::Timers(settings) => bench::timers::run(&settings),
        Command::Stress(settings) => bench::stress::run(&settings),
        Command::Build(settings) => bench::build::run(&settings),
        Command::Smoke => smoke(),
        Command::Serve(settings) => servers::serve(&settings),
        Command::Load(settings) => load::echo::run(&settings),
        Command::Run(run) => bench::tasks::run_one(&run),
        Command::RunTimers(run) => bench::timers::run_one(&run),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benches: {error}");
            ExitCode::FAILURE
        }
    }
}

fn smoke() -> io::Result<()> {
    bench::echo::smoke()?;
    bench::http::smoke()?;
    bench::tasks::smoke()?;
    bench::timers::smoke()
}
