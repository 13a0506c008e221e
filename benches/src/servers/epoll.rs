//! The floor: one thread, one epoll, no tasks. Edge-triggered, and a short read means that there is no more.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

const LISTENER: u64 = u64::MAX;
const EVENTS_MAX: usize = 1024;

/// One buffer serves all connections, or each has its own.
pub fn echo(listener: TcpListener, buffer_bytes: usize, own_buffers: bool) -> io::Result<()> {
    let mut buffers = vec![vec![0; buffer_bytes]];
    let poller = epoll::create(CreateFlags::CLOEXEC)?;
    let edges = EventFlags::IN | EventFlags::ET;
    epoll::add(&poller, &listener, EventData::new_u64(LISTENER), edges)?;
    let mut streams: Vec<Option<TcpStream>> = Vec::new();
    let mut events: Vec<Event> = Vec::with_capacity(EVENTS_MAX);
    loop {
        epoll::wait(&poller, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let key = event.data.u64();
            if key == LISTENER {
                accept(&listener, |stream| {
                    let data = EventData::new_u64(streams.len() as u64);
                    epoll::add(poller.as_fd(), &stream, data, edges)?;
                    streams.push(Some(stream));
                    if own_buffers {
                        buffers.push(vec![0; buffer_bytes]);
                    }
                    Ok(())
                })?;
            } else if let Some(stream) = &streams[key as usize] {
                let buffer = (key as usize + 1).min(buffers.len() - 1);
                if !serve(stream, &mut buffers[buffer]) {
                    streams[key as usize] = None;
                }
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    mut add: impl FnMut(TcpStream) -> io::Result<()>,
) -> io::Result<()> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                add(stream)?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// False: the connection is over.
fn serve(mut stream: &TcpStream, buffer: &mut [u8]) -> bool {
    loop {
        match stream.read(buffer) {
            Ok(0) => return false,
            Ok(count) => {
                // The other end waits for the echo before it sends more, so this always fits.
                if stream.write_all(&buffer[..count]).is_err() {
                    return false;
                }
                if count < buffer.len() {
                    return true;
                }
            }
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}
