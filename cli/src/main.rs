//! The `smolkit` command: writes complete async projects.
//!
//! `args` is what can be typed, `new` and `list` what is done about it. For `new`: `destination` is
//! the folder and how it comes into being at once or not at all, `checkout` is where the project
//! takes smolkit from, `run` builds and starts it. Results go to standard output, and every failure
//! is one line on standard error and an exit code of `failure`.
#![forbid(unsafe_code)]

mod args;
mod checkout;
mod destination;
mod failure;
mod list;
mod new;
mod run;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use crate::{args::Command, failure::Failure};

fn main() -> ExitCode {
    match args::parse().and_then(dispatch) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // With standard error closed there is nobody left to tell.
            let _ = writeln!(io::stderr(), "smolkit: {failure}");
            failure.exit_code()
        }
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Show(text) => print(&text),
        Command::New(new) => new::run(&new),
        Command::List => print(&list::text()),
    }
}

/// Prints a result. A reader who has gone away does not want the rest: that is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::machine(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
