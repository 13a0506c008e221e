//! A running process, and how to learn of its end.

use std::io;
use std::process::{Child, ExitStatus};
#[cfg(all(target_os = "linux", not(smolkit_portable)))]
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_lite::FutureExt;
#[cfg(all(target_os = "linux", not(smolkit_portable)))]
use rustix::io::Errno;
use rustix::process::Pid;
use smolkit_runtime::Timer;
use smolkit_sync::Notify;

#[cfg(all(target_os = "linux", not(smolkit_portable)))]
use crate::pidfd;
use crate::unix::Signal;
use crate::{reaper, sigchld};

/// How often a process is looked after whose end the system has no room to tell.
#[cfg(all(target_os = "linux", not(smolkit_portable)))]
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What becomes of a process when its last handle is dropped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnDrop {
    pub(crate) reap: bool,
    pub(crate) kill: bool,
    /// From SIGTERM to SIGKILL.
    pub(crate) grace: Duration,
}

/// A process with its handles; see [`OnDrop`].
#[derive(Debug)]
pub(crate) struct Process {
    /// `None` only while it is dropped.
    running: Option<Running>,
    on_drop: OnDrop,
}

impl Process {
    /// Takes care of `child`. If that cannot be done, the child is killed and waited for.
    pub(crate) fn new(mut child: Child, group: bool, on_drop: OnDrop) -> io::Result<Process> {
        match Notice::of(&child) {
            Ok(notice) => {
                let state = Mutex::new(State { child, status: None, is_over: false });
                let running = Running { state, notice, group };
                Ok(Process { running: Some(running), on_drop })
            }
            Err(error) => {
                // Nobody could wait for it later. After SIGKILL this takes no time.
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().expect("only drop takes it")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let running = self.running.take().expect("it is dropped once");
        let mut is_patient = false;
        if self.on_drop.kill {
            is_patient = !self.on_drop.grace.is_zero();
            let signal = if is_patient { Signal::Terminate } else { Signal::Kill };
            // It can only fail for a process that has ended, or has become somebody else's: neither is ours to kill.
            let _ = running.signal_all(signal);
        }
        // Who has asked has to see whether it was obeyed.
        if (self.on_drop.reap || is_patient) && !matches!(running.try_wait(), Ok(Some(_))) {
            reaper::adopt(running, is_patient.then_some(self.on_drop.grace));
        }
    }
}

#[derive(Debug)]
pub(crate) struct Running {
    state: Mutex<State>,
    notice: Notice,
    /// Whether it leads a process group of its own.
    group: bool,
}

#[derive(Debug)]
struct State {
    child: Child,
    /// As the pidfd told it.
    status: Option<ExitStatus>,
    /// It was waited for, by us or by somebody else: its number may be another's by now.
    is_over: bool,
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.state().child.id()
    }

    pub(crate) fn kill(&self) -> io::Result<()> {
        self.signal(Signal::Kill)
    }

    /// It has just been started and will be waited for: to look before the event comes would be in vain. To be called before the first wait.
    pub(crate) fn expect_to_wait(&self) {
        #[cfg(all(target_os = "linux", not(smolkit_portable)))]
        if let Notice::Pidfd { is_fresh, .. } = &self.notice {
            is_fresh.store(true, Relaxed);
        }
    }

    pub(crate) fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        let mut state = self.state();
        if state.status.is_some() {
            return Ok(state.status);
        }
        let status = self.look(&mut state);
        state.is_over |= !matches!(status, Ok(None));
        status
    }

    fn look(&self, state: &mut State) -> io::Result<Option<ExitStatus>> {
        #[cfg(all(target_os = "linux", not(smolkit_portable)))]
        if let Notice::Pidfd { pidfd, .. } = &self.notice {
            if let Some(looked) = pidfd::try_wait(pidfd) {
                state.status = looked?;
                return Ok(state.status);
            }
        }
        state.child.try_wait()
    }

    pub(crate) async fn wait(&self) -> io::Result<ExitStatus> {
        match &self.notice {
            #[cfg(all(target_os = "linux", not(smolkit_portable)))]
            Notice::Pidfd { pidfd, is_fresh } => {
                let try_wait = |_: &_| {
                    // To be registered by this is to ask: the event comes, too, if the process has ended before.
                    let status =
                        if is_fresh.swap(false, Relaxed) { None } else { self.try_wait()? };
                    status.ok_or(io::ErrorKind::WouldBlock.into())
                };
                loop {
                    if let Ok(status) = pidfd.read_with(try_wait).await {
                        return Ok(status);
                    }
                    // Somebody else has waited for it, which is found again here; or there is no descriptor for a poller, or no room in it.
                    if let Some(status) = self.try_wait()? {
                        return Ok(status);
                    }
                    Timer::after(LOOK_INTERVAL).await;
                }
            }
            Notice::Signal(exits) => loop {
                // The place is taken before the look: an exit in between is not missed.
                let notified = exits.notified();
                if let Some(status) = self.try_wait()? {
                    return Ok(status);
                }
                notified.await;
            },
        }
    }

    /// SIGTERM, and SIGKILL if that has not helped after `grace`.
    pub(crate) async fn terminate(&self, grace: Duration) -> io::Result<ExitStatus> {
        self.signal_all(Signal::Terminate)?;
        self.kill_after(grace).await
    }

    /// Waits for `grace`, then sends SIGKILL.
    pub(crate) async fn kill_after(&self, grace: Duration) -> io::Result<ExitStatus> {
        let late = async {
            Timer::after(grace).await;
            self.signal_all(Signal::Kill)?;
            self.wait().await
        };
        self.wait().or(late).await
    }

    /// Signals the process, or its group if it has one of its own.
    pub(crate) fn signal_all(&self, signal: Signal) -> io::Result<()> {
        if self.group { self.signal_group(signal) } else { self.signal(signal) }
    }

    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        let signal = named(signal)?;
        #[cfg(all(target_os = "linux", not(smolkit_portable)))]
        if let Notice::Pidfd { pidfd, .. } = &self.notice {
            if let Some(sent) = pidfd::signal(pidfd, signal) {
                return sent;
            }
        }
        self.unless_over(|pid| rustix::process::kill_process(pid, signal))
    }

    pub(crate) fn signal_group(&self, signal: Signal) -> io::Result<()> {
        if !self.group {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "cannot signal the child's process group: it was not spawned with `new_group(true)`, so the group is also ours",
            ));
        }
        let signal = named(signal)?;
        self.unless_over(|pid| rustix::process::kill_process_group(pid, signal))
    }

    /// As long as the process was not waited for, its number is not given to another one, nor to another group.
    fn unless_over(&self, f: impl FnOnce(Pid) -> rustix::io::Result<()>) -> io::Result<()> {
        let state = self.state();
        let pid = i32::try_from(state.child.id()).ok().and_then(Pid::from_raw);
        match pid {
            Some(pid) if !state.is_over => Ok(f(pid)?),
            _ => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that could panic runs under it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn named(signal: Signal) -> rustix::io::Result<rustix::process::Signal> {
    rustix::process::Signal::from_named_raw(signal.as_raw()).ok_or(rustix::io::Errno::INVAL)
}

/// What tells of the end.
#[derive(Debug)]
enum Notice {
    /// Readable when the process has ended.
    #[cfg(all(target_os = "linux", not(smolkit_portable)))]
    Pidfd {
        pidfd: smolkit_runtime::Async<std::os::fd::OwnedFd>,
        /// The first wait does not look at the process, see [`Running::expect_to_wait`].
        is_fresh: AtomicBool,
    },
    /// Told whenever some child has ended.
    Signal(&'static Notify),
}

impl Notice {
    #[cfg(all(target_os = "linux", not(smolkit_portable)))]
    fn of(child: &Child) -> io::Result<Notice> {
        use smolkit_runtime::Async;
        match pidfd::open(child.id()) {
            // Registered when it is first waited for, if the child has not ended by then.
            Ok(pidfd) => {
                let pidfd = Async::new_unregistered(pidfd);
                Ok(Notice::Pidfd { pidfd, is_fresh: AtomicBool::new(false) })
            }
            // Somebody else has waited for it, or the program has the system do so: as the first look finds.
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {
                Ok(Notice::Signal(sigchld::nobody()))
            }
            // No such system call, not allowed, or no descriptor left.
            Err(_) => sigchld::exits().map(Notice::Signal),
        }
    }

    #[cfg(not(all(target_os = "linux", not(smolkit_portable))))]
    fn of(_: &Child) -> io::Result<Notice> {
        sigchld::exits().map(Notice::Signal)
    }
}
