//! What goes wrong, and the exit code that says whose turn it is.

use std::{fmt, process::ExitCode};

/// One line for standard error: what was attempted, why it failed, what to do.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// The machine refused: another try may succeed once it is put right. Exit code 1.
    pub(crate) fn machine(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }

    /// The command line asks for something that cannot be. Exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        self.code.into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names and paths come from the user: a line break in them must not make a second line.
        for character in self.message.chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_debug())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        Ok(())
    }
}
