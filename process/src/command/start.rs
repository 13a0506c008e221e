//! From a command to a process.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::sync::Arc;

use super::Command;
use crate::process::Process;
use crate::{Child, ChildStderr, ChildStdin, ChildStdout, pty, reaper};

impl Command {
    pub(super) fn start_captured(&mut self) -> io::Result<Child> {
        if !self.stdin {
            self.inner.stdin(Stdio::null());
        }
        if !self.stdout {
            self.inner.stdout(Stdio::piped());
        }
        if !self.stderr {
            self.inner.stderr(Stdio::piped());
        }
        self.start()
    }

    /// Starts it as the leader of a session on the terminal whose other side `theirs` is.
    pub(crate) fn start_on(&mut self, theirs: &OwnedFd) -> io::Result<Child> {
        if self.makes_group {
            let message = "cannot start the command on a pseudo-terminal: it was spawned with `new_group(true)` before, and the leader of a group \
                           cannot begin a session; make another command";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let [stdin, stdout, stderr] = pty::stdio(theirs)?;
        self.inner.stdin(stdin).stdout(stdout).stderr(stderr);
        self.before_exec.set_terminal(&mut self.inner, true);
        let child = self.start_in_group(true);
        self.before_exec.set_terminal(&mut self.inner, false);
        // Or the command would keep the terminal open, which has its end when nobody does.
        self.inner.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        (self.stdin, self.stdout, self.stderr) = (false, false, false);
        child
    }

    pub(super) fn start(&mut self) -> io::Result<Child> {
        // Only where it was asked for: a group that was set on the inner command stays.
        if self.new_group {
            self.inner.process_group(0);
            self.makes_group = true;
        }
        self.start_in_group(self.new_group)
    }

    fn start_in_group(&mut self, leads_group: bool) -> io::Result<Child> {
        reaper::tend();
        let reserved = self.before_exec.reserve()?;
        let mut child = self.inner.spawn()?;
        drop(reserved);
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        // First of all, so that the process is taken care of if something fails below.
        let process = Arc::new(Process::new(child, leads_group, self.on_drop)?);
        let wrapped = || {
            let stdin = stdin.map(ChildStdin::new).transpose()?;
            let stdout = stdout.map(ChildStdout::new).transpose()?;
            let stderr = stderr.map(ChildStderr::new).transpose()?;
            io::Result::Ok((stdin, stdout, stderr))
        };
        match wrapped() {
            Ok((stdin, stdout, stderr)) => Ok(Child { stdin, stdout, stderr, process }),
            Err(error) => {
                // The caller hears that nothing was started: so it must not go on.
                process.running().kill()?;
                Err(error)
            }
        }
    }
}
