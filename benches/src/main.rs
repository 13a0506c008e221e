//! The same work on smolkit and on its peers, in one run.
//!
//! Each bench is a module of `bench`, opens with the question that it answers, and checks what it measures. Servers and load
//! generators are processes of their own (this program again, with a hidden subcommand), pinned to different cores; within a round
//! the systems take turns, and each round begins with another one.

mod bench;
mod load;
mod measure;
mod servers;
mod words;

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
    /// What do files cost, in the page cache, and who waits for those that are not there?
    Files(bench::files::Settings),
    /// How large is the smallest program, and how soon is it done? (takes strace)
    Sizes(bench::sizes::Settings),
    /// How does the cost of an operation grow with workers, tasks, timers and connections?
    Scaling(bench::scaling::Settings),
    /// What do timers cost, and how late are they?
    Timers(bench::timers::Settings),
    /// What does a message through a channel cost?
    Channels(bench::channels::Settings),
    /// What do oneshot, `Notify`, watch and broadcast cost?
    Sync(bench::sync::Settings),
    /// What do subprocesses cost their parent?
    Processes(bench::processes::Settings),
    /// What does a UDP echo cost the server, datagram by datagram and in batches?
    Udp(bench::udp::Settings),
    /// What does it cost to move bytes from one connection to another?
    Proxy(bench::proxy::Settings),
    /// How much memory does a connection take that waits?
    Idle(bench::idle::Settings),
    /// What do TLS handshakes and TLS records cost the server?
    Tls(bench::tls::Settings),
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
    #[command(hide = true)]
    LoadTls(load::tls::Settings),
    #[command(hide = true)]
    LoadUdp(load::udp::Settings),
    #[command(hide = true)]
    LoadProxy(load::proxy::Settings),
    /// Does one kind of task work on one system, for a profiler
    Run(bench::tasks::Run),
    /// Does one kind of work with timers on one system, for a profiler
    RunTimers(bench::timers::Run),
    /// Sends messages through one channel, for a profiler
    RunChannels(bench::channels::Run),
    /// Lets tasks wait for one another in one way, for a profiler
    RunSync(bench::sync::Run),
    /// Runs subprocesses on one system, for a profiler
    RunProcesses(bench::processes::Run),
    /// Does one kind of work with files on one system, for a profiler
    RunFiles(bench::files::Run),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Echo(settings) => bench::echo::run(&settings),
        Command::Http(settings) => bench::http::run(&settings),
        Command::Instructions(settings) => bench::instructions::run(&settings),
        Command::Tasks(settings) => bench::tasks::run(&settings),
        Command::Files(settings) => bench::files::run(&settings),
        Command::Scaling(settings) => bench::scaling::run(&settings),
        Command::Sizes(settings) => bench::sizes::run(&settings),
        Command::Timers(settings) => bench::timers::run(&settings),
        Command::Channels(settings) => bench::channels::run(&settings),
        Command::Sync(settings) => bench::sync::run(&settings),
        Command::Processes(settings) => bench::processes::run(&settings),
        Command::Udp(settings) => bench::udp::run(&settings),
        Command::Proxy(settings) => bench::proxy::run(&settings),
        Command::Idle(settings) => bench::idle::run(&settings),
        Command::Tls(settings) => bench::tls::run(&settings),
        Command::Stress(settings) => bench::stress::run(&settings),
        Command::Build(settings) => bench::build::run(&settings),
        Command::Smoke => smoke(),
        Command::Serve(settings) => servers::serve(&settings),
        Command::Load(settings) => load::echo::run(&settings),
        Command::LoadTls(settings) => load::tls::run(&settings),
        Command::LoadUdp(settings) => load::udp::run(&settings),
        Command::LoadProxy(settings) => load::proxy::run(&settings),
        Command::Run(run) => bench::tasks::run_one(&run),
        Command::RunFiles(run) => bench::files::run_one(&run),
        Command::RunTimers(run) => bench::timers::run_one(&run),
        Command::RunChannels(run) => bench::channels::run_one(&run),
        Command::RunSync(run) => bench::sync::run_one(&run),
        Command::RunProcesses(run) => bench::processes::run_one(&run),
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
    bench::timers::smoke()?;
    bench::channels::smoke()?;
    bench::sync::smoke()?;
    bench::processes::smoke()?;
    bench::files::smoke()?;
    bench::scaling::smoke()?;
    bench::tls::smoke()?;
    bench::udp::smoke()?;
    bench::proxy::smoke()?;
    bench::idle::smoke()
}
