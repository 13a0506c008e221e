//! A process by a descriptor: what is done through it never concerns another one.
//!
//! A number is given to another process as soon as this one was waited for; and somebody else may have done that, a library that waits for
//! any child, say.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};

/// To be called before anybody can have waited for the child.
pub(crate) fn open(number: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(number).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    Ok(pidfd_open(pid, PidfdFlags::NONBLOCK)?)
}

/// Nothing happens if it was waited for. `None`: the system cannot (a filter of system calls).
pub(crate) fn signal(pidfd: impl AsFd, signal: Signal) -> Option<io::Result<()>> {
    match pidfd_send_signal(pidfd, signal) {
        Err(Errno::NOSYS) => None,
        Err(Errno::SRCH) => Some(Ok(())),
        result => Some(result.map_err(io::Error::from)),
    }
}

/// The status, if it has ended; then it was waited for. `None`: the system cannot (Linux 5.3).
pub(crate) fn try_wait(pidfd: impl AsFd) -> Option<io::Result<Option<ExitStatus>>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let status = match waitid(WaitId::PidFd(pidfd.as_fd()), options) {
        Err(Errno::INVAL | Errno::NOSYS) => return None,
        Err(errno) => return Some(Err(errno.into())),
        Ok(status) => status,
    };
    Some(Ok(status.map(|status| {
        // As `wait(2)` has it.
        const CORE: i32 = 0x80;
        let core = if status.dumped() { CORE } else { 0 };
        let by_signal = status.terminating_signal().map(|signal| signal | core);
        let exited = status.exit_status().map(|code| (code & 0xff) << 8);
        ExitStatus::from_raw(by_signal.or(exited).unwrap_or_default())
    })))
}
