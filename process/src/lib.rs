//! Subprocesses for smolkit, on the smolkit reactor and on any executor.
//!
//! ```
//! use smolkit_process::Command;
//! # use smolkit_runtime as smolkit;
//!
//! smolkit::block_on(async {
//!     let output = Command::new("echo").arg("hello").output().await?;
//!     assert_eq!(output.stdout, b"hello\n");
//!     std::io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! - [`Command`], [`Child`], [`ChildStdin`], [`ChildStdout`], [`ChildStderr`], [`driver`]: names and signatures of async-process.
//! - [`OutputLimits`]: output with a limit and a deadline. [`Lines`]: output line by line. [`Pipeline`]: `a | b | c`.
//! - [`unix`]: signals, users, `exec`.
//!
//! # Promises
//!
//! - A child whose handle is dropped is waited for when it ends: it leaves no zombie, whether or not a runtime still runs, and however many end at once. While there are
//!   such children, one thread (`smolkit-reaper`) waits for them.
//! - Only our own children are waited for, each by its number: those of `std::process` and of other libraries are left alone.
//! - A spawn that fails leaves no process and no descriptor behind.
//!
//! # Platform
//!
//! On Linux (5.3 and newer) an exit is an event of the reactor, through a pidfd. Elsewhere, and where the system gives no pidfd, SIGCHLD says so, with a thread
//! (`smolkit-sigchld`) that hands it on. Its handler is one of signal-hook's, beside those of others.

#![forbid(unsafe_code)]

mod child;
mod command;
mod lines;
mod output;
mod pipeline;
mod process;
mod reaper;
mod sigchld;
mod stdio;
pub mod unix;

use std::convert::Infallible;
use std::future::Future;

#[doc(no_inline)]
pub use std::process::{ExitStatus, Output, Stdio};

pub use self::child::Child;
pub use self::command::Command;
pub use self::lines::{Line, Lines};
pub use self::output::{OutputError, OutputLimits};
pub use self::pipeline::{Pipeline, PipelineOutput};
pub use self::stdio::{ChildStderr, ChildStdin, ChildStdout};

/// Never resolves, and does nothing: no driver is needed.
///
/// Here for programs written for async-process, where it takes the place of a thread.
pub fn driver() -> impl Future<Output = Infallible> + Send + 'static {
    std::future::pending()
}
