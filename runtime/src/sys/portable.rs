//! Every other Unix, through the `polling` crate in its edge-triggered mode (kqueue: `EV_CLEAR`).
//!
//! Linux compiles and tests this file too, with `--cfg smolkit_portable`.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use polling::{Event, PollMode};

use super::EVENTS_MAX;
use crate::reactor::readiness::Ready;

/// `polling` reports the end of a stream as "readable" and nothing else.
pub(crate) const TELLS_END: bool = false;

pub(crate) struct Poller {
    inner: polling::Poller,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Poller> {
        let inner = polling::Poller::new()?;
        if !inner.supports_edge() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this system's poller has no edge-triggered mode, which smolkit needs",
            ));
        }
        Ok(Poller { inner })
    }

    pub(crate) fn register(&self, fd: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        // SAFETY: a source is deregistered before its file descriptor is closed (`Source::deregister`
        // runs in the destructor that owns the descriptor).
        unsafe { self.inner.add_with_mode(fd.as_raw_fd(), interest(key), PollMode::Edge) }
    }

    pub(crate) fn rearm(&self, fd: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        self.inner.modify_with_mode(fd, interest(key), PollMode::Edge)
    }

    pub(crate) fn deregister(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.inner.delete(fd)
    }

    pub(crate) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.list.clear();
        match self.inner.wait(&mut events.list, timeout) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn notify(&self) -> io::Result<()> {
        self.inner.notify()
    }
}

pub(crate) struct Events {
    list: polling::Events,
}

impl Events {
    pub(crate) fn new() -> Events {
        let capacity = NonZeroUsize::new(EVENTS_MAX).expect("EVENTS_MAX is not zero");
        Events { list: polling::Events::with_capacity(capacity) }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, Ready)> + '_ {
        self.list.iter().map(|event| (event.key, ready(&event)))
    }
}

fn interest(key: usize) -> Event {
    Event::all(key).with_interrupt().with_priority()
}

fn ready(event: &Event) -> Ready {
    let mut ready = Ready::EMPTY;
    if event.readable || event.is_priority() {
        ready = ready | Ready::READABLE;
    }
    if event.writable {
        ready = ready | Ready::WRITABLE;
    }
    if event.is_interrupt() {
        ready = ready | Ready::ALL;
    }
    if event.is_err().unwrap_or(false) {
        ready = ready | Ready::READABLE | Ready::WRITABLE;
    }
    ready
}
