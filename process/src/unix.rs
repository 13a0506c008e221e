//! What only Unix has.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt as _;

pub use smolkit_runtime::signal::Signal;

use crate::Command;

mod sealed {
    pub trait Sealed {}
}

/// Users and names, for [`Command`].
pub trait CommandExt: sealed::Sealed {
    /// Runs the process as another user.
    fn uid(&mut self, id: u32) -> &mut Command;

    /// Runs the process as another group of users.
    fn gid(&mut self, id: u32) -> &mut Command;

    /// Puts the program into the place of the present process. It returns only if that fails.
    ///
    /// After a failure the process may have been changed already: its standard descriptors, its working directory, and with
    /// [`close_fds`](Command::close_fds) all its descriptors are marked to be closed when a program takes its place.
    ///
    /// # Errors
    ///
    /// Those of `execve(2)`, and `InvalidInput` with [`fd`](Command::fd): a number that this process has in use would be taken away from who uses it.
    fn exec(&mut self) -> io::Error;

    /// Sets what the program sees as its own name.
    fn arg0<S>(&mut self, arg: S) -> &mut Command
    where
        S: AsRef<OsStr>;
}

impl sealed::Sealed for Command {}

impl CommandExt for Command {
    fn uid(&mut self, id: u32) -> &mut Command {
        self.inner.uid(id);
        self
    }

    fn gid(&mut self, id: u32) -> &mut Command {
        self.inner.gid(id);
        self
    }

    fn exec(&mut self) -> io::Error {
        if self.before_exec.hands_any() {
            return io::Error::new(
                io::ErrorKind::InvalidInput,
                "cannot exec with descriptors from `fd`: their numbers may be in use in this process; use `spawn`",
            );
        }
        self.inner.exec()
    }

    fn arg0<S>(&mut self, arg: S) -> &mut Command
    where
        S: AsRef<OsStr>,
    {
        self.inner.arg0(arg);
        self
    }
}
