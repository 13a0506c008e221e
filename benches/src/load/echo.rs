//! A closed loop of echoes: every connection sends a message, waits for its echo, checks it and sends the next one.

use std::io::{self, BufRead, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use clap::Args;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use crate::measure::child::Child;
use crate::measure::cpu;

/// What a message holds unless the bench says otherwise.
pub const MESSAGE_BYTES: usize = 64;
/// A message begins with its number.
pub const MESSAGE_BYTES_MIN: usize = 8;
/// An echo that takes longer is lost.
const ANSWER_TIMEOUT: rustix::event::Timespec = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };

/// A process that loads a server: each line on its standard input says how many round trips to make.
#[derive(Args)]
pub struct Settings {
    pub port: u16,
    pub connections: usize,
    pub message_bytes: usize,
}

/// What one line of input led to.
pub struct Outcome {
    pub elapsed: Duration,
    pub p50: Duration,
    pub p99: Duration,
}

pub fn start(
    port: u16,
    connections: usize,
    message_bytes: usize,
    cores: &[usize],
) -> io::Result<Child> {
    let numbers = [usize::from(port), connections, message_bytes].map(|number| number.to_string());
    let mut child = Child::myself(&[&["load".into()], &numbers[..]].concat(), cores)?;
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
    cpu::raise_open_files()?;
    let mut load = Load::connect(settings)?;
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
    message: Vec<u8>,
    echo: Vec<u8>,
    received: usize,
}

impl Load {
    fn connect(settings: &Settings) -> io::Result<Load> {
        let Settings { port, connections: count, message_bytes } = *settings;
        let poller = epoll::create(CreateFlags::CLOEXEC)?;
        let mut connections = Vec::new();
        for index in 0..count {
            let stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let edges = EventFlags::IN | EventFlags::ET;
            epoll::add(&poller, &stream, EventData::new_u64(index as u64), edges)?;
            connections.push(Connection {
                stream,
                sent: 0,
                sent_at: Instant::now(),
                message: vec![index as u8; message_bytes],
                // One more, so that a whole echo is a short read.
                echo: vec![0; message_bytes + 1],
                received: 0,
            });
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
                let Some(elapsed) = connection.receive()? else { continue };
                nanos.push(elapsed.as_nanos() as u64);
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

    /// `None`: the rest is still to come. A short read means that there is no more for now.
    fn receive(&mut self) -> io::Result<Option<Duration>> {
        let count = self.stream.read(&mut self.echo[self.received..])?;
        self.received += count;
        if count > 0 && self.received < self.message.len() {
            return Ok(None);
        }
        let elapsed = self.sent_at.elapsed();
        let echo = &self.echo[..std::mem::take(&mut self.received)];
        if echo != self.message {
            let message = format!("not the echo of what was sent ({} bytes)", echo.len());
            return Err(io::Error::other(message));
        }
        Ok(Some(elapsed))
    }
}
