//! Bytes through a proxy that joins two connections: in at one end, out at the other, and checked there.

use std::io::{self, BufRead, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

use clap::Args;

use crate::measure::child::Child;

const CHUNK_BYTES: usize = 128 * 1024;

/// A process that loads a proxy: each line on its standard input says how many MiB shall go through.
#[derive(Args)]
pub struct Settings {
    pub port: u16,
}

pub fn start(port: u16, cores: &[usize]) -> io::Result<Child> {
    let mut child = Child::myself(&["load-proxy".into(), port.to_string()], cores)?;
    child.hear("ready")?;
    Ok(child)
}

pub fn mebibytes(child: &mut Child, count: u64) -> io::Result<()> {
    child.tell(&count.to_string())?;
    child.hear("done").map(drop)
}

/// The life of a load process.
pub fn run(settings: &Settings) -> io::Result<()> {
    println!("ready");
    for line in io::stdin().lock().lines() {
        let count: usize = line?.parse().map_err(|_| io::Error::other("not a number"))?;
        through(settings.port, count * 1024 * 1024)?;
        println!("done");
    }
    Ok(())
}

fn through(port: u16, bytes: usize) -> io::Result<()> {
    let mut from = TcpStream::connect(("127.0.0.1", port))?;
    let mut to = TcpStream::connect(("127.0.0.1", port))?;
    let chunk: Vec<u8> = (0..CHUNK_BYTES).map(|at| (at / 7 % 251) as u8).collect();
    let sent = chunk.clone();
    let sender = thread::spawn(move || {
        for _ in 0..bytes / CHUNK_BYTES {
            from.write_all(&sent)?;
        }
        from.shutdown(Shutdown::Write)?;
        // The end of the other direction.
        from.read_to_end(&mut Vec::new())
    });
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut at = 0;
    loop {
        // Not beyond the end of a chunk, so that one comparison does.
        let start = at % CHUNK_BYTES;
        let count = to.read(&mut buffer[start..])?;
        if buffer[start..start + count] != chunk[start..start + count] {
            return Err(io::Error::other(format!("not what was sent, around byte {at}")));
        }
        at += count;
        if count == 0 {
            break;
        }
    }
    to.shutdown(Shutdown::Write)?;
    let extra = sender.join().map_err(|_| io::Error::other("the sender panicked"))??;
    if (at, extra) != (bytes, 0) {
        let message = format!("{at} bytes instead of {bytes}, and {extra} the other way");
        return Err(io::Error::other(message));
    }
    Ok(())
}
