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
