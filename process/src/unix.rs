//! What only Unix has.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt as _;

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

/// A signal to send to a child.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// SIGHUP: the terminal has gone; for servers often: read the configuration again.
    Hangup,
    /// SIGINT: as Ctrl-C.
    Interrupt,
    /// SIGQUIT: end with a core dump.
    Quit,
    /// SIGKILL: end at once, without a word.
    Kill,
    /// SIGUSR1.
    User1,
    /// SIGUSR2.
    User2,
    /// SIGTERM: please end.
    Terminate,
    /// SIGCONT: go on.
    Continue,
    /// SIGSTOP: stand still.
    Stop,
    /// SIGWINCH: the terminal's window has another size.
    WindowChange,
}

impl From<Signal> for rustix::process::Signal {
    fn from(signal: Signal) -> rustix::process::Signal {
        use rustix::process::Signal as System;
        match signal {
            Signal::Hangup => System::HUP,
            Signal::Interrupt => System::INT,
            Signal::Quit => System::QUIT,
            Signal::Kill => System::KILL,
            Signal::User1 => System::USR1,
            Signal::User2 => System::USR2,
            Signal::Terminate => System::TERM,
            Signal::Continue => System::CONT,
            Signal::Stop => System::STOP,
            Signal::WindowChange => System::WINCH,
        }
    }
}
