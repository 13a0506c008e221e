//! Datagrams to an echo server from several clients, so many under way at a time. Each comes back once, with its own bytes.

use std::io::{self, BufRead};
use std::time::Duration;

use clap::Args;
use smolkit::LocalExecutor;
use smolkit::net::UdpSocket;
use smolkit::net::udp::{BATCH_MAX, RecvBatch, Transmit};

use crate::measure::child::Child;

/// Fewer than fit into a socket's buffer of 208 KiB, as the kernel counts them.
pub const UNDER_WAY_MAX: usize = 128;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A process that loads a server: each line on its standard input says how many datagrams to send.
#[derive(Args)]
pub struct Settings {
    pub port: u16,
    /// Of each datagram
    pub bytes: usize,
    /// Datagrams in a message
    pub segments: usize,
    pub clients: usize,
}

pub fn start(settings: &Settings, cores: &[usize]) -> io::Result<Child> {
    let Settings { port, bytes, segments, clients } = *settings;
    let numbers = [usize::from(port), bytes, segments, clients].map(|number| number.to_string());
    let mut child = Child::myself(&[&["load-udp".into()], &numbers[..]].concat(), cores)?;
    child.hear("ready")?;
    Ok(child)
}

pub fn echoes(child: &mut Child, count: u64) -> io::Result<()> {
    child.tell(&count.to_string())?;
    child.hear("done").map(drop)
}

/// The life of a load process.
pub fn run(settings: &Settings) -> io::Result<()> {
    let executor = LocalExecutor::new();
    smolkit::block_on(executor.run(async {
        let mut sockets = Vec::new();
        for _ in 0..settings.clients {
            let socket = UdpSocket::bind("127.0.0.1:0").await?;
            socket.connect(("127.0.0.1", settings.port)).await?;
            sockets.push(socket);
        }
        println!("ready");
        for line in io::stdin().lock().lines() {
            let count: usize = line?.parse().map_err(|_| io::Error::other("not a number"))?;
            let each = count.div_ceil(settings.clients);
            let echoes =
                sockets.iter().map(|socket| executor.spawn(echo(socket.clone(), settings, each)));
            for client in echoes.collect::<Vec<_>>() {
                client.await?;
            }
            println!("done");
        }
        Ok(())
    }))
}

async fn echo(socket: UdpSocket, settings: &Settings, count: usize) -> io::Result<()> {
    let Settings { bytes, segments, clients, .. } = *settings;
    let count = count.next_multiple_of(segments);
    let mut batch = RecvBatch::new(BATCH_MAX, 2_048)?;
    let mut is_back = vec![false; count];
    let (mut sent, mut back) = (0, 0);
    let under_way_max = (UNDER_WAY_MAX / clients).max(1).next_multiple_of(segments);
    while back < count {
        let room = (under_way_max - (sent - back)).min(count - sent) / segments * segments;
        // Not for each that comes back: as senders in real life, in bursts.
        if room >= under_way_max / 2 || room > 0 && sent + room == count {
            send(&socket, bytes, segments, sent..sent + room).await?;
            sent += room;
        }
        let late = async {
            smolkit::Timer::after(ANSWER_TIMEOUT).await;
            Err(io::Error::new(io::ErrorKind::TimedOut, "an echo did not come"))
        };
        smolkit::future::or(socket.recv_batch(&mut batch), late).await?;
        for (echo, _) in batch.datagrams() {
            let number = echo.get(..8).and_then(|bytes| bytes.try_into().ok());
            let number = number.map_or(usize::MAX, |bytes| u64::from_le_bytes(bytes) as usize);
            let is_right = echo.len() == bytes && echo[8..].iter().all(|&b| b == number as u8);
            if !is_right || is_back.get(number).copied().unwrap_or(true) {
                return Err(io::Error::other(format!("not the echo of what was sent: {echo:?}")));
            }
            is_back[number] = true;
            back += 1;
        }
    }
    Ok(())
}

async fn send(
    socket: &UdpSocket,
    bytes: usize,
    segments: usize,
    numbers: std::ops::Range<usize>,
) -> io::Result<()> {
    let mut all = vec![0; numbers.len() * bytes];
    for (datagram, number) in all.chunks_exact_mut(bytes).zip(numbers) {
        datagram.fill(number as u8);
        datagram[..8].copy_from_slice(&(number as u64).to_le_bytes());
    }
    let mut messages: Vec<_> = all
        .chunks_exact(bytes * segments)
        .map(|message| Transmit::connected(message).in_segments(bytes))
        .collect();
    let mut rest = &mut messages[..];
    while !rest.is_empty() {
        let count = socket.send_batch(rest).await?;
        rest = &mut rest[count..];
    }
    Ok(())
}
