//! The servers under test: each system does the same work in its own usual way.

mod app;
mod epoll;
mod futures_io;
mod on_monoio;
mod on_smol;
mod on_smolkit;
mod on_tokio;
pub mod tls;
mod udp;

use std::env;
use std::fmt;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::process::Command;

use clap::{Args, ValueEnum};

pub use self::app::ANSWER;
pub use self::futures_io::{BUFFER_BYTES, LARGE_BUFFER_BYTES};

use crate::measure::cpu;
use crate::words::word;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

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
    /// monoio, on one thread
    Monoio,
    /// A loop around epoll_wait, written by hand; around recvmmsg for UDP
    Epoll,
    /// The same loop with a buffer for each connection, as a task has that serves one
    EpollBuffers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Work {
    /// Sends back what it receives
    Echo,
    /// The same for messages of 16 KiB
    EchoLarge,
    /// hyper with a constant answer
    Hyper,
    /// An axum router with one route, served in the system's usual way
    Axum,
    /// Sends and takes bytes through TLS
    Tls,
    /// The same, with the glue of futures-rustls
    TlsByFuturesRustls,
    /// Joins every two connections
    Proxy,
    /// The same with buffers of 64 KiB
    ProxyLarge,
    /// Sends datagrams back, with as few system calls as the system offers
    Udp,
    /// One by one, although it offers more
    UdpSingly,
    /// Joined and cut by the kernel
    UdpSegments,
}

impl System {
    /// What the command line calls it.
    pub fn name(self) -> String {
        word(&self)
    }

    fn is_single_threaded(self) -> bool {
        matches!(
            self,
            System::SmolkitLocal
                | System::TokioLocal
                | System::SmolLocal
                | System::Monoio
                | System::Epoll
                | System::EpollBuffers
        )
    }

    pub fn can(self, work: Work, workers: usize) -> bool {
        let one_thread_is_enough = workers == 1 || !self.is_single_threaded();
        let knows = match work {
            Work::Echo => true,
            Work::EchoLarge => self != System::Monoio,
            Work::Hyper | Work::Axum | Work::Tls | Work::Proxy => !self.is_single_threaded(),
            Work::Udp => !self.is_single_threaded() || self == System::Epoll,
            Work::TlsByFuturesRustls | Work::UdpSingly | Work::UdpSegments => {
                self == System::Smolkit
            }
            Work::ProxyLarge => self == System::Tokio,
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
        f.write_str(&word(self))
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
    cpu::raise_open_files()?;
    if matches!(work, Work::Udp | Work::UdpSingly | Work::UdpSegments) {
        return serve_udp(system, work, workers);
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("port {}", listener.local_addr()?.port());
    listener.set_nonblocking(true)?;
    // Thousands of connections are made in a row; for one that finds the queue full the kernel waits a second.
    rustix::net::listen(&listener, BACKLOG)?;
    let is_large = work == Work::EchoLarge;
    match (system, work) {
        (System::Smolkit, Work::Hyper) => on_smolkit::hyper(listener, workers),
        (System::Smolkit, Work::Axum) => on_smolkit::axum(listener, workers),
        (System::Smolkit, Work::Tls) => on_smolkit::tls(listener, workers),
        (System::Smolkit, Work::TlsByFuturesRustls) => {
            on_smolkit::tls_by_futures_rustls(listener, workers)
        }
        (System::Smolkit, Work::Proxy) => on_smolkit::proxy(listener, workers),
        (System::Smolkit, _) => on_smolkit::echo(listener, workers, is_large),
        (System::SmolkitLocal, _) => on_smolkit::local_echo(listener, is_large),
        (System::Tokio, Work::Hyper) => on_tokio::hyper(listener, workers),
        (System::Tokio, Work::Axum) => on_tokio::axum(listener, workers),
        (System::Tokio, Work::Tls | Work::TlsByFuturesRustls) => on_tokio::tls(listener, workers),
        // Its own default.
        (System::Tokio, Work::Proxy) => on_tokio::proxy(listener, workers, 8 * 1024),
        (System::Tokio, Work::ProxyLarge) => on_tokio::proxy(listener, workers, 64 * 1024),
        (System::Tokio, _) => on_tokio::echo(listener, workers, is_large),
        (System::TokioLocal, _) => on_tokio::local_echo(listener, is_large),
        (System::Smol, Work::Hyper) => on_smol::hyper(listener, workers),
        (System::Smol, Work::Axum) => on_smol::axum(listener, workers),
        (System::Smol, Work::Tls | Work::TlsByFuturesRustls) => on_smol::tls(listener, workers),
        (System::Smol, Work::Proxy | Work::ProxyLarge) => on_smol::proxy(listener, workers),
        (System::Smol, _) => on_smol::echo(listener, workers, is_large),
        (System::SmolLocal, _) => on_smol::local_echo(listener, is_large),
        (System::Monoio, _) => on_monoio::echo(listener),
        (System::Epoll | System::EpollBuffers, _) => {
            let buffer_bytes = if is_large { LARGE_BUFFER_BYTES } else { BUFFER_BYTES };
            epoll::echo(listener, buffer_bytes, system == System::EpollBuffers)
        }
    }
}

fn serve_udp(system: System, work: Work, workers: usize) -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    println!("port {}", socket.local_addr()?.port());
    if system == System::Epoll {
        return udp::echo(&socket);
    }
    socket.set_nonblocking(true)?;
    match (system, work) {
        (System::Smolkit, Work::UdpSingly) => on_smolkit::udp_singly(socket, workers),
        (System::Smolkit, _) => on_smolkit::udp(socket, workers, work == Work::UdpSegments),
        (System::Tokio, _) => on_tokio::udp(socket, workers),
        _ => on_smol::udp(socket, workers),
    }
}
