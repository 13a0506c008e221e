//! The servers under test: each system does the same work in its own usual way.

mod app;
mod epoll;
mod futures_io;
mod on_smol;
mod on_smolkit;
mod on_tokio;

use std::env;
use std::fmt;
use std::io;
use std::net::TcpListener;
use std::process::Command;

use clap::{Args, ValueEnum};

pub use self::app::ANSWER;

/// A process that serves on a free port of the loopback interface until it is killed.
#[derive(Args)]
pub struct Settings {
    pub system: System,
    pub work: Work,
    pub workers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum System {
    /// smolkit's `Runtime`
    Smolkit,
    /// smolkit's `LocalExecutor`, on one thread
    SmolkitLocal,
    /// Tokio's multi-thread runtime
    Tokio,
    /// Tokio's current-thread runtime
    TokioLocal,
    /// smol's global executor
    Smol,
    /// smol's `LocalExecutor`, on one thread
    SmolLocal,
    /// A loop around epoll_wait, written by hand
    Epoll,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Work {
    /// Sends back what it receives
    Echo,
    /// hyper with a constant answer
    Hyper,
    /// An axum router with one route, served in the system's usual way
    Axum,
}

impl System {
    /// What the command line calls it.
    pub fn name(self) -> String {
        self.to_possible_value().expect("no variant is skipped").get_name().to_owned()
    }

    fn is_single_threaded(self) -> bool {
        matches!(
            self,
            System::SmolkitLocal | System::TokioLocal | System::SmolLocal | System::Epoll
        )
    }

    pub fn can(self, work: Work, workers: usize) -> bool {
        let one_thread_is_enough = workers == 1 || !self.is_single_threaded();
        let knows = match work {
            Work::Echo => true,
            Work::Hyper | Work::Axum => !self.is_single_threaded(),
        };
        one_thread_is_enough && knows
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().expect("no variant is skipped").get_name())
    }
}

/// This program as a server.
pub fn command(system: System, work: Work, workers: usize) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["serve", &system.name(), &work.to_string(), &workers.to_string()]);
    Ok(command)
}

/// The life of a server process.
pub fn serve(settings: &Settings) -> io::Result<()> {
    let Settings { system, work, workers } = *settings;
    if !system.can(work, workers) {
        let message = format!("{system} does not serve {work} with {workers} workers here");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("port {}", listener.local_addr()?.port());
    listener.set_nonblocking(true)?;
    match (system, work) {
        (System::Smolkit, Work::Echo) => on_smolkit::echo(listener, workers),
        (System::Smolkit, Work::Hyper) => on_smolkit::hyper(listener, workers),
        (System::Smolkit, Work::Axum) => on_smolkit::axum(listener, workers),
        (System::SmolkitLocal, _) => on_smolkit::local_echo(listener),
        (System::Tokio, Work::Echo) => on_tokio::echo(listener, workers),
        (System::Tokio, Work::Hyper) => on_tokio::hyper(listener, workers),
        (System::Tokio, Work::Axum) => on_tokio::axum(listener, workers),
        (System::TokioLocal, _) => on_tokio::local_echo(listener),
        (System::Smol, Work::Echo) => on_smol::echo(listener, workers),
        (System::Smol, Work::Hyper) => on_smol::hyper(listener, workers),
        (System::Smol, Work::Axum) => on_smol::axum(listener, workers),
        (System::SmolLocal, _) => on_smol::local_echo(listener),
        (System::Epoll, _) => epoll::echo(listener),
    }
}
