//! epoll(7): sources are registered once, edge-triggered; the deadline rides on `epoll_pwait2`.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::io::Errno;

use super::EVENTS_MAX;
use crate::reactor::readiness::Ready;

/// EPOLLRDHUP comes with the last bytes, or as an edge of its own.
pub(crate) const TELLS_END: bool = true;

/// The key of the eventfd; no source ever gets it (see `reactor::key`).
const NOTIFY_KEY: u64 = u64::MAX;

pub(crate) struct Poller {
    epoll: OwnedFd,
    notify: OwnedFd,
    /// Cleared when the kernel (before 5.11) turns out to have no `epoll_pwait2`.
    has_nanoseconds: AtomicBool,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Poller> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let notify = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        // Edge-triggered: every write is a new event, so nobody ever has to read it.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &notify, epoll::EventData::new_u64(NOTIFY_KEY), flags)?;
        Ok(Poller { epoll, notify, has_nanoseconds: AtomicBool::new(true) })
    }

    pub(crate) fn register(&self, fd: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, epoll::EventData::new_u64(key as u64), interest())?)
    }

    pub(crate) fn rearm(&self, fd: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, fd, epoll::EventData::new_u64(key as u64), interest())?)
    }

    pub(crate) fn deregister(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    pub(crate) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.list.clear();
        let spec = timeout.map(|timeout| self.timespec(timeout));
        let buffer = rustix::buffer::spare_capacity(&mut events.list);
        match epoll::wait(&self.epoll, buffer, spec.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(Errno::NOSYS) if self.has_nanoseconds.swap(false, Ordering::Relaxed) => {
                self.wait(events, timeout)
            }
            Err(errno) => Err(errno.into()),
        }
    }

    pub(crate) fn notify(&self) -> io::Result<()> {
        match rustix::io::write(&self.notify, &1u64.to_ne_bytes()) {
            Ok(_) => Ok(()),
            // The counter is full after 2^64 - 2 writes: reading sets it back.
            Err(Errno::AGAIN) => {
                let mut count = [0; 8];
                let _ = rustix::io::read(&self.notify, &mut count);
                self.notify()
            }
            Err(Errno::INTR) => self.notify(),
            Err(errno) => Err(errno.into()),
        }
    }

    /// What the kernel is told to wait: never less than `timeout`.
    fn timespec(&self, timeout: Duration) -> Timespec {
        let mut timeout = timeout;
        if !self.has_nanoseconds.load(Ordering::Relaxed) {
            // `epoll_wait` counts whole milliseconds: round up, or a wait ends early and spins.
            let millis = timeout.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128);
            timeout = Duration::from_millis(millis as u64);
        }
        // A wait that ends after 2^31 s merely looks at the timers and waits again.
        let secs = timeout.as_secs().min(i32::MAX as u64);
        Timespec { tv_sec: secs as _, tv_nsec: timeout.subsec_nanos() as _ }
    }
}

pub(crate) struct Events {
    list: Vec<epoll::Event>,
}

// SAFETY: the kernel's event type could hold a pointer; ours hold numbers only (`register`, `rearm`).
unsafe impl Send for Events {}

impl Events {
    pub(crate) fn new() -> Events {
        Events { list: Vec::with_capacity(EVENTS_MAX) }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, Ready)> + '_ {
        self.list.iter().filter_map(|event| {
            // Copies: the kernel's struct is packed on x86-64.
            let (data, flags) = (event.data, event.flags);
            let key = data.u64();
            (key != NOTIFY_KEY).then(|| (key as usize, ready(flags)))
        })
    }
}

fn interest() -> epoll::EventFlags {
    use epoll::EventFlags as F;
    F::IN | F::OUT | F::RDHUP | F::PRI | F::ET
}

fn ready(flags: epoll::EventFlags) -> Ready {
    use epoll::EventFlags as F;
    let mut ready = Ready::EMPTY;
    if flags.contains(F::IN) {
        ready = ready | Ready::READABLE;
    }
    if flags.contains(F::PRI) {
        // A read stops at TCP's urgent mark: until one would block, a short read says nothing.
        ready = ready | Ready::READABLE | Ready::READ_CLOSED;
    }
    if flags.contains(F::OUT) {
        ready = ready | Ready::WRITABLE;
    }
    if flags.contains(F::RDHUP) {
        ready = ready | Ready::READABLE | Ready::READ_CLOSED;
    }
    if flags.contains(F::HUP) {
        ready = ready | Ready::ALL;
    }
    if flags.contains(F::ERR) {
        // The next call on the socket fetches the error, whichever direction asks first.
        ready = ready | Ready::READABLE | Ready::WRITABLE;
    }
    ready
}
