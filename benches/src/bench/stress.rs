//! Does a service survive load, idle connections and being stopped under load?
//!
//! `--service` is the program of a project made by `smolkit new` (or of the twin). It fails on the first thing that is not right.

use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use crate::bench::http::Contestant;
use crate::load::http::{Connection, End, closed_loop};
use crate::load::wrk;
use crate::measure::child::Child;
use crate::measure::statistics::Summary;
use crate::servers::ANSWER;

#[derive(Args)]
pub struct Settings {
    #[arg(long)]
    service: PathBuf,
    /// Seconds of load on 256 connections
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    #[arg(long, default_value_t = 1000)]
    idle: usize,
    /// How often it is stopped under load
    #[arg(long, default_value_t = 20)]
    stops: usize,
}

const CONNECTIONS: usize = 256;
const CORES: [usize; 2] = [0, 1];
/// A service that still runs so long after SIGTERM hangs.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

pub fn run(settings: &Settings) -> io::Result<()> {
    load(settings)?;
    idle(settings)?;
    stops(settings)
}

fn start(settings: &Settings) -> io::Result<(Child, u16)> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    Contestant::Service(settings.service.clone()).start(cores, &CORES[..cores.min(2)])
}

fn load(settings: &Settings) -> io::Result<()> {
    let (server, port) = start(settings)?;
    let time = Duration::from_secs(settings.seconds);
    let outcome = wrk::run(port, CONNECTIONS, time, &CORES)?;
    println!(
        "load: {CONNECTIONS} connections, {:.0} s, {} requests, 0 errors, p50 {:?}, p99 {:?}",
        outcome.elapsed.as_secs_f64(),
        outcome.requests,
        outcome.p50,
        outcome.p99
    );
    stop(server).map(drop)
}

fn idle(settings: &Settings) -> io::Result<()> {
    let (server, port) = start(settings)?;
    let held: Vec<Connection> =
        (0..settings.idle).map(|_| Connection::open(port)).collect::<io::Result<_>>()?;
    let mut millis = Vec::new();
    for _ in 0..20 {
        let started = Instant::now();
        let mut connection = Connection::open(port)?;
        connection.send(REQUEST)?;
        expect_answer(&mut connection)?;
        millis.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let summary = Summary::of(&millis).expect("there are 20");
    println!(
        "idle: {} idle connections; a request on a new one takes {:.2} ms, {:.2} ms at most of 20",
        held.len(),
        summary.median,
        summary.max
    );
    stop(server).map(drop)
}

const REQUEST: &[u8] = b"GET /hello/wrk HTTP/1.1\r\nhost: localhost\r\n\r\n";

fn expect_answer(connection: &mut Connection) -> io::Result<()> {
    match connection.receive() {
        Ok((body, _)) if body == ANSWER.as_bytes() => Ok(()),
        Ok((body, _)) => Err(io::Error::other(String::from_utf8_lossy(&body).into_owned())),
        Err(end) => Err(io::Error::other(end.to_string())),
    }
}

/// Stops it; gives the time that it took.
fn stop(mut server: Child) -> io::Result<Duration> {
    let started = Instant::now();
    server.signal(libc::SIGTERM)?;
    while started.elapsed() < STOP_TIMEOUT {
        match server.has_ended()? {
            Some(status) if status.success() => return Ok(started.elapsed()),
            Some(status) => return Err(io::Error::other(format!("after SIGTERM: {status}"))),
            None => thread::sleep(Duration::from_millis(1)),
        }
    }
    Err(io::Error::other("it does not end after SIGTERM"))
}

/// What became of the last requests on all connections, in all stops.
#[derive(Default)]
struct Tally {
    answered: u64,
    closed: u64,
    after_signal: u64,
    lost: Vec<String>,
}

fn stops(settings: &Settings) -> io::Result<()> {
    let mut tally = Tally::default();
    let mut millis = Vec::new();
    for round in 0..settings.stops {
        let (server, port) = start(settings)?;
        let connections = closed_loop(port, 64, None, ANSWER);
        // A request that has begun, and goes on after the signal.
        let mut begun = Connection::open(port)?;
        begun.send(&REQUEST[..20])?;
        thread::sleep(Duration::from_millis(200 + 7 * round as u64));
        let signalled = Instant::now();
        let ending = thread::spawn(move || stop(server));
        thread::sleep(Duration::from_millis(20));
        let rest = begun.send(&REQUEST[20..]).map_err(|error| error.to_string());
        match rest.and_then(|()| expect_answer(&mut begun).map_err(|error| error.to_string())) {
            Ok(()) => tally.answered += 1,
            Err(error) => tally.lost.push(format!("a request sent in two parts: {error}")),
        }
        // The server ends when its clients have; ours end when the server tells them to.
        for connection in connections {
            let (answered, end) = connection.join().expect("it has no way to panic");
            tally.answered += answered;
            match end {
                Some(End::Closed) => tally.closed += 1,
                Some(End::Unanswered { sent_at }) if sent_at > signalled => tally.after_signal += 1,
                Some(End::Unanswered { .. }) => tally.lost.push("sent before the signal".into()),
                Some(end) => tally.lost.push(end.to_string()),
                None => tally.lost.push("the client stopped by itself".into()),
            }
        }
        millis.push(ending.join().expect("it has no way to panic")?.as_secs_f64() * 1e3);
    }
    let summary = Summary::of(&millis)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "--stops has to be positive"))?;
    println!(
        "stops: {} under load, exit 0 in {:.0} ms, {:.0} ms at most; {} requests answered, {} connections ended with an announcement, \
         {} requests came after the signal and found the connection closed, {} lost or cut",
        settings.stops,
        summary.median,
        summary.max,
        tally.answered,
        tally.closed,
        tally.after_signal,
        tally.lost.len()
    );
    match tally.lost.first() {
        None => Ok(()),
        Some(first) => Err(io::Error::other(format!("requests lost, the first: {first}"))),
    }
}
