//! What a child does between `fork` and `exec`: becomes the leader of a session, and puts its descriptors in order.
//!
//! The only unsafe code of this crate. A child of a program with threads may call nothing there that could wait for a lock which another
//! thread held at the fork, the allocator's included; so all that follows are system calls on memory that was made ready before.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::process::{Resource, getrlimit};

/// Standard input, output and error are 0 to 2, and `Stdio`'s.
pub(crate) const FIRST_NUMBER: RawFd = 3;

/// The steps; shared between the command and the closure in it.
#[derive(Debug, Default)]
pub(crate) struct BeforeExec {
    steps: Option<Arc<Mutex<Steps>>>,
}

#[derive(Debug, Default)]
struct Steps {
    /// Standard input is the terminal of a new session.
    has_terminal: bool,
    /// Nothing but standard descriptors and `handed` is left open.
    closes: bool,
    handed: Vec<Handed>,
}

#[derive(Debug)]
struct Handed {
    fd: OwnedFd,
    /// What the child calls it.
    number: RawFd,
    /// A copy in the child that no `number` of another one overwrites.
    spare: RawFd,
}

/// One after another: a number that is reserved for one process is free again when that one has started, which may be too soon for the next.
static TURN: Mutex<()> = Mutex::new(());

/// Numbers that nobody else gets meanwhile.
#[derive(Default)]
pub(crate) struct Reserved {
    // In this order they are dropped.
    copies: Vec<OwnedFd>,
    turn: Option<MutexGuard<'static, ()>>,
}

impl BeforeExec {
    pub(crate) fn set_terminal(&mut self, command: &mut Command, has_terminal: bool) {
        if has_terminal || self.steps.is_some() {
            self.steps(command).has_terminal = has_terminal;
        }
    }

    pub(crate) fn set_closes(&mut self, command: &mut Command, closes: bool) {
        if closes || self.steps.is_some() {
            self.steps(command).closes = closes;
        }
    }

    pub(crate) fn hand(&mut self, command: &mut Command, fd: OwnedFd, number: RawFd) {
        let mut steps = self.steps(command);
        steps.handed.retain(|handed| handed.number != number);
        steps.handed.push(Handed { fd, number, spare: -1 });
    }

    pub(crate) fn hands_any(&self) -> bool {
        self.steps.as_ref().is_some_and(|steps| !lock(steps).handed.is_empty())
    }

    /// Keeps the numbers that the child wants from being given to something of the child's own before `exec`: std reports a failure of that
    /// through a pipe, which must not be overwritten. To be held while the process is started.
    pub(crate) fn reserve(&self) -> io::Result<Reserved> {
        let mut reserved = Reserved::default();
        let Some(steps) = &self.steps else { return Ok(reserved) };
        if self.hands_any() {
            reserved.turn = Some(TURN.lock().unwrap_or_else(PoisonError::into_inner));
        }
        for handed in &lock(steps).handed {
            let copy = fcntl_dupfd_cloexec(&handed.fd, handed.number)?;
            // Another number: somebody has the wanted one, which serves as well.
            if copy.as_raw_fd() == handed.number {
                reserved.copies.push(copy);
            }
        }
        Ok(reserved)
    }

    /// The steps; from the first time on, the command takes them.
    fn steps(&mut self, command: &mut Command) -> MutexGuard<'_, Steps> {
        let steps = self.steps.get_or_insert_with(|| {
            let steps = Arc::<Mutex<Steps>>::default();
            let taken = steps.clone();
            // SAFETY: `take` makes system calls only, allocates nothing, and waits for no lock: that of the steps is free, because who
            // locks it has a `&mut` to the command, which at the time of the fork is with who spawns.
            unsafe { command.pre_exec(move || lock(&taken).take()) };
            steps
        });
        lock(steps)
    }
}

impl Steps {
    fn take(&mut self) -> io::Result<()> {
        if self.has_terminal {
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
        }
        if self.closes {
            close_on_exec_from(FIRST_NUMBER)?;
        }
        let above = self.handed.iter().map(|handed| handed.number).max().unwrap_or_default() + 1;
        for handed in &mut self.handed {
            let spare = ManuallyDrop::new(fcntl_dupfd_cloexec(&handed.fd, above)?);
            handed.spare = spare.as_raw_fd();
        }
        for handed in &self.handed {
            dup2(handed.spare, handed.number)?;
        }
        Ok(())
    }
}

/// The copy is not closed on `exec`.
fn dup2(from: RawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: `take` has just made it, and this process closes nothing.
    let from = unsafe { BorrowedFd::borrow_raw(from) };
    // SAFETY: whatever has this number is replaced: it is the child's own, nobody else runs in it, and nothing of it is used
    // before `exec` but std's pipe, which `reserve` keeps away from the number. It is never dropped.
    let mut to = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(to) });
    Ok(rustix::io::dup2(from, &mut to)?)
}

/// Marks all from this number on to be closed by `exec`. Not closed here: std's pipe is among them.
fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: it changes nothing but flags of descriptors. By its number, for musl has no function of this name.
        let result = unsafe {
            libc::syscall(
                libc::SYS_close_range,
                first,
                libc::c_uint::MAX,
                libc::CLOSE_RANGE_CLOEXEC,
            )
        };
        if result == 0 {
            return Ok(());
        }
        // Linux before 5.11, or a filter of system calls that does not know it.
    }
    // No limit, or one that nobody reaches, must not take minutes.
    const NUMBER_MAX: u64 = 1 << 20;
    let end = getrlimit(Resource::Nofile).current.unwrap_or(NUMBER_MAX).min(NUMBER_MAX);
    for number in first..end as RawFd {
        // SAFETY: if it is not open, the call says so and does nothing.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        match fcntl_setfd(fd.as_fd(), FdFlags::CLOEXEC) {
            Ok(()) | Err(rustix::io::Errno::BADF) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn lock(steps: &Mutex<Steps>) -> MutexGuard<'_, Steps> {
    steps.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number that one process is started with stays reserved until that has begun, and for the next one from then on.
    #[test]
    fn one_number_for_two() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let number = file.as_raw_fd() + 100;
        let start = || {
            let (mut steps, mut command) = (BeforeExec::default(), Command::new("true"));
            steps.hand(&mut command, file.try_clone().unwrap().into(), number);
            steps
        };
        let (first, second) = (start(), start());
        let reserved = first.reserve().unwrap();
        assert_eq!(reserved.copies[0].as_raw_fd(), number);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                let reserved = second.reserve().unwrap();
                reserved.copies.iter().map(AsRawFd::as_raw_fd).collect::<Vec<_>>()
            });
            assert!(TURN.try_lock().is_err(), "it is the first one's turn");
            drop(reserved);
            assert_eq!(other.join().unwrap(), [number]);
        });
    }
}
