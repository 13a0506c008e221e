//! A closed loop of echoes: every connection sends a message, waits for its echo, checks it and sends the next one.

use std::io::{self, BufRead, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use clap::Args;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use crate::measure::child::Child;

pub const MESSAGE_BYTES: usize = 64;
/// An echo that takes longer is lost.
const ANSWER_TIMEOUT: rustix::event::Timespec = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };

/// A process that loads a server: each line on its standard input says how many round trips to make.
#[derive(Args)]
pub struct Settings {
    pub port: u16,
    pub connections: usize,
}

/// What one line of input led to.
pub struct Outcome {
    pub elapsed: Duration,
    pub p50: Duration,
    pub p99: Duration,
}

pub fn start(port: u16, connections: usize, cores: &[usize]) -> io::Result<Child> {
    let mut child =
        Child::myself(&["load".into(), port.to_string(), connections.to_string()], cores)?;
    child.hear("ready")?;
    Ok(child)
}

pub fn round_trips(child: &mut Child, count: u64) -> io::Result<Outcome> {
    child.tell(&count.to_string())?;
    let line = child.hear("done ")?;
    let mut fields = line.split(' ').map(|nanos| nanos.parse().map(Duration::from_nanos));
    match (fields.next(), fields.next(), fields.next()) {
        (Some(Ok(elapsed)), Some(Ok(p50)), Some(Ok(p99))) => Ok(Outcome { elapsed, p50, p99 }),
        _ => Err(io::Error::other(format!("the load generator said {line:?}"))),
    }
}

/// The life of a load process.
pub fn run(settings: &Settings) -> io::Result<()> {
    let mut load = Load::connect(settings.port, settings.connections)?;
    println!("ready");
    for line in io::stdin().lock().lines() {
        let count = line?.parse().map_err(|_| io::Error::other("not a number of round trips"))?;
        let started = Instant::now();
        let mut nanos = load.round_trips(count)?;
        let elapsed = started.elapsed().as_nanos();
        nanos.sort_unstable();
        let at = |percent: usize| nanos[(nanos.len() - 1) * percent / 100];
        println!("done {elapsed} {} {}", at(50), at(99));
    }
    Ok(())
}

struct Load {
    poller: rustix::fd::OwnedFd,
    connections: Vec<Connection>,
}

struct Connection {
    stream: TcpStream,
    sent: u64,
    sent_at: Instant,
    message: [u8; MESSAGE_BYTES],
}

impl Load {
    fn connect(port: u16, count: usize) -> io::Result<Load> {
        let poller = epoll::create(CreateFlags::CLOEXEC)?;
        let mut connections = Vec::new();
        for index in 0..count {
            let stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let edges = EventFlags::IN | EventFlags::ET;
            epoll::add(&poller, &stream, EventData::new_u64(index as u64), edges)?;
            let message = [index as u8; MESSAGE_BYTES];
            connections.push(Connection { stream, sent: 0, sent_at: Instant::now(), message });
        }
        Ok(Load { poller, connections })
    }

    /// Gives the time of each.
    fn round_trips(&mut self, count: u64) -> io::Result<Vec<u64>> {
        let mut nanos = Vec::with_capacity(count as usize);
        let mut to_send = count;
        for connection in &mut self.connections {
            if to_send > 0 {
                connection.send()?;
                to_send -= 1;
            }
        }
        let mut events: Vec<Event> = Vec::with_capacity(self.connections.len());
        while (nanos.len() as u64) < count {
            let room = rustix::buffer::spare_capacity(&mut events);
            if epoll::wait(&self.poller, room, Some(&ANSWER_TIMEOUT))? == 0 {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "an echo did not come"));
            }
            for event in events.drain(..) {
                let connection = &mut self.connections[event.data.u64() as usize];
                nanos.push(connection.receive()?.as_nanos() as u64);
                if to_send > 0 {
                    connection.send()?;
                    to_send -= 1;
                }
            }
        }
        Ok(nanos)
    }
}

impl Connection {
    fn send(&mut self) -> io::Result<()> {
        self.sent += 1;
        self.message[..8].copy_from_slice(&self.sent.to_le_bytes());
        self.sent_at = Instant::now();
        self.stream.write_all(&self.message)
    }

    fn receive(&mut self) -> io::Result<Duration> {
        let mut echo = [0; MESSAGE_BYTES + 1];
        // So small a message comes in one piece on the loopback interface.
        let count = self.stream.read(&mut echo)?;
        let elapsed = self.sent_at.elapsed();
        if echo[..count] != self.message {
            return Err(io::Error::other(format!("not the echo of what was sent ({count} bytes)")));
        }
        Ok(elapsed)
    }
}
