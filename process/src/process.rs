//! A running process, and how to learn of its end.

use std::io;
use std::process::{Child, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_lite::FutureExt;
use rustix::process::Pid;
use smolkit_runtime::Timer;
use smolkit_sync::Notify;

use crate::unix::Signal;
use crate::{reaper, sigchld};

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
                let state = Mutex::new(State { child, is_over: false });
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
        if self.on_drop.reap && !matches!(running.try_wait(), Ok(Some(_))) {
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

    pub(crate) fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        let mut state = self.state();
        let status = state.child.try_wait();
        state.is_over |= !matches!(status, Ok(None));
        status
    }

    pub(crate) async fn wait(&self) -> io::Result<ExitStatus> {
        match &self.notice {
            #[cfg(all(target_os = "linux", not(smolkit_portable)))]
            Notice::Pidfd(pidfd) => {
                let try_wait = |_: &_| self.try_wait()?.ok_or(io::ErrorKind::WouldBlock.into());
                pidfd.read_with(try_wait).await
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
        self.unless_over(|pid| rustix::process::kill_process(pid, signal.into()))
    }

    pub(crate) fn signal_group(&self, signal: Signal) -> io::Result<()> {
        if !self.group {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "cannot signal the child's process group: it was not spawned with `new_group(true)`, so the group is also ours",
            ));
        }
        self.unless_over(|pid| rustix::process::kill_process_group(pid, signal.into()))
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

/// What tells of the end.
#[derive(Debug)]
enum Notice {
    /// Readable when the process has ended.
    #[cfg(all(target_os = "linux", not(smolkit_portable)))]
    Pidfd(smolkit_runtime::Async<std::os::fd::OwnedFd>),
    /// Told whenever some child has ended.
    Signal(&'static Notify),
}

impl Notice {
    #[cfg(all(target_os = "linux", not(smolkit_portable)))]
    fn of(child: &Child) -> io::Result<Notice> {
        use rustix::process::{PidfdFlags, pidfd_open};
        use smolkit_runtime::Async;
        // Nobody has waited for the child yet, so the number is still its own.
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        match pid.map(|pid| pidfd_open(pid, PidfdFlags::NONBLOCK)) {
            // Registered when it is first waited for, if the child has not ended by then.
            Some(Ok(pidfd)) => Ok(Notice::Pidfd(Async::new_unregistered(pidfd))),
            // No such system call, not allowed, or no descriptor left.
            _ => sigchld::exits().map(Notice::Signal),
        }
    }

    #[cfg(not(all(target_os = "linux", not(smolkit_portable))))]
    fn of(_: &Child) -> io::Result<Notice> {
        sigchld::exits().map(Notice::Signal)
    }
}
