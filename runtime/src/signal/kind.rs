//! Which signals there are.

use std::fmt;

use signal_hook::consts::signal as number;

/// A Unix signal, to listen to or to send to a child.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Signal {
    /// SIGHUP: the terminal has gone; for servers often: read the configuration again.
    Hangup,
    /// SIGINT: as Ctrl-C.
    Interrupt,
    /// SIGQUIT: end with a core dump; as Ctrl-\\.
    Quit,
    /// SIGKILL: end at once, without a word. Nobody can listen to it.
    Kill,
    /// SIGUSR1.
    User1,
    /// SIGUSR2.
    User2,
    /// SIGTERM: please end.
    Terminate,
    /// SIGCHLD: some child has ended, stopped or gone on. To wait for a child, use its handle.
    Child,
    /// SIGCONT: go on. Who listens to it hears of it after it has had its effect.
    Continue,
    /// SIGSTOP: stand still. Nobody can listen to it.
    Stop,
    /// SIGTSTP: please stand still; as Ctrl-Z.
    TerminalStop,
    /// SIGWINCH: the terminal's window has another size.
    WindowChange,
}

impl Signal {
    /// All of them.
    pub(super) const ALL: [Signal; 12] = [
        Signal::Hangup,
        Signal::Interrupt,
        Signal::Quit,
        Signal::Kill,
        Signal::User1,
        Signal::User2,
        Signal::Terminate,
        Signal::Child,
        Signal::Continue,
        Signal::Stop,
        Signal::TerminalStop,
        Signal::WindowChange,
    ];

    /// The system's number for it.
    pub fn as_raw(self) -> i32 {
        match self {
            Signal::Hangup => number::SIGHUP,
            Signal::Interrupt => number::SIGINT,
            Signal::Quit => number::SIGQUIT,
            Signal::Kill => number::SIGKILL,
            Signal::User1 => number::SIGUSR1,
            Signal::User2 => number::SIGUSR2,
            Signal::Terminate => number::SIGTERM,
            Signal::Child => number::SIGCHLD,
            Signal::Continue => number::SIGCONT,
            Signal::Stop => number::SIGSTOP,
            Signal::TerminalStop => number::SIGTSTP,
            Signal::WindowChange => number::SIGWINCH,
        }
    }

    /// The signal with this number, as in `ExitStatusExt::signal`, if it is one of these.
    pub fn from_raw(number: i32) -> Option<Signal> {
        Signal::ALL.into_iter().find(|signal| signal.as_raw() == number)
    }
}

/// Its name, such as `SIGTERM`.
impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Signal::Hangup => "SIGHUP",
            Signal::Interrupt => "SIGINT",
            Signal::Quit => "SIGQUIT",
            Signal::Kill => "SIGKILL",
            Signal::User1 => "SIGUSR1",
            Signal::User2 => "SIGUSR2",
            Signal::Terminate => "SIGTERM",
            Signal::Child => "SIGCHLD",
            Signal::Continue => "SIGCONT",
            Signal::Stop => "SIGSTOP",
            Signal::TerminalStop => "SIGTSTP",
            Signal::WindowChange => "SIGWINCH",
        })
    }
}
