//! epoll(7): sources are registered once, edge-triggered; the deadline rides on `epoll_pwait2`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::io::Errno;

use super::EVENTS_MAX;
use crate::reactor::readiness::Ready;
use crate::sync::{AtomicBool, Ordering};

/// EPOLLRDHUP comes with the last bytes, or as an edge of its own.
pub(crate) const TELLS_END: bool = true;

/// The key of the eventfd; no source ever gets it (see `reactor::key`).
const NOTIFY_KEY: u64 = u64::MAX;

pub(crate) struct Poller {
    epoll: OwnedFd,
    notify: OwnedFd,
    /// Cleared when `epoll_pwait2` turns out to be missing (kernels before 5.11) or forbidden (older seccomp profiles).
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
        let mut result = Err(Errno::NOSYS);
        // Relaxed: who reads an old value asks the kernel once more.
        if self.has_nanoseconds.load(Ordering::Relaxed) {
            result = self.wait_nanoseconds(events, timeout);
        }
        if let Err(Errno::NOSYS | Errno::PERM) = result {
            self.has_nanoseconds.store(false, Ordering::Relaxed);
            result = self.wait_milliseconds(events, timeout);
        }
        match result {
            Ok(()) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// By hand: rustix calls it only with a feature that takes the fallback away, for everybody in the program who uses rustix.
    fn wait_nanoseconds(
        &self,
        events: &mut Events,
        timeout: Option<Duration>,
    ) -> Result<(), Errno> {
        let spec = timeout.map(|timeout| KernelTimespec {
            // A wait that ends after 2^31 s merely looks at the timers and waits again.
            seconds: timeout.as_secs().min(i32::MAX as u64) as i64,
            nanoseconds: i64::from(timeout.subsec_nanos()),
        });
        let spec: *const KernelTimespec = spec.as_ref().map_or(ptr::null(), ptr::from_ref);
        let (first, capacity) = (events.list.as_mut_ptr(), EVENTS_MAX);
        let (epoll, no_mask) = (self.epoll.as_raw_fd(), ptr::null::<libc::sigset_t>());
        let call = libc::SYS_epoll_pwait2;
        // SAFETY: the kernel reads `spec` and writes at most `capacity` events, for which the list has room (`Events::new`); both outlive the
        // call. The descriptor is our own. Without a mask its size is not looked at.
        let count = unsafe { libc::syscall(call, epoll, first, capacity, spec, no_mask, 8usize) };
        events.filled(count as isize)
    }

    fn wait_milliseconds(
        &self,
        events: &mut Events,
        timeout: Option<Duration>,
    ) -> Result<(), Errno> {
        let millis = timeout.map_or(-1, |timeout| {
            // Rounded up, or a wait ends early and spins. One that ends after 24 days looks at the timers and waits again.
            timeout.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32
        });
        let (first, capacity) = (events.list.as_mut_ptr(), EVENTS_MAX as i32);
        // SAFETY: the kernel writes at most `capacity` events, for which the list has room (`Events::new`). The descriptor is our own.
        let count = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), first, capacity, millis) };
        events.filled(count as isize)
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
}

/// The timespec of the kernel's interface, which is the same everywhere.
#[repr(C)]
struct KernelTimespec {
    seconds: i64,
    nanoseconds: i64,
}

pub(crate) struct Events {
    list: Vec<libc::epoll_event>,
}

impl Events {
    pub(crate) fn new() -> Events {
        Events { list: Vec::with_capacity(EVENTS_MAX) }
    }

    /// A wait has returned `count`.
    fn filled(&mut self, count: isize) -> Result<(), Errno> {
        let Ok(count) = usize::try_from(count) else {
            let code = io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL);
            return Err(Errno::from_raw_os_error(code));
        };
        // SAFETY: the wait that has just returned has written so many events, into the list's own room.
        unsafe { self.list.set_len(count) };
        Ok(())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, Ready)> + '_ {
        self.list.iter().filter_map(|event| {
            // Copies: the kernel's struct is packed on x86-64.
            let (key, flags) = (event.u64, event.events);
            let flags = epoll::EventFlags::from_bits_retain(flags);
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
