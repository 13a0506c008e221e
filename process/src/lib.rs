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
//! - [`Pty`]: a child on a pseudo-terminal. [`Command::fd`], [`Command::close_fds`]: which descriptors it gets.
//! - [`unix`]: signals, users, `exec`.
//!
//! # Promises
//!
//! - A child whose handle is dropped is waited for when it ends: it leaves no zombie, whether or not a runtime still runs, and however many end at once. While there are
//!   such children, one thread (`smolkit-reaper`) waits for them.
//! - Only our own children are waited for and signalled, each by its descriptor on Linux and by its number elsewhere: those of `std::process` and of other libraries are
//!   left alone, even where one of them has waited for ours.
//! - A spawn that fails leaves no process and no descriptor behind.
//!
//! # What a spawn costs
//!
//! [`Command::spawn`], as that of async-process, Tokio and std, returns when the child runs its program: the system lets the two share memory until then (`vfork`), so
//! that nothing has to be copied. That takes 20 to 70 µs of the caller's processor time, however large the program is. But the thread waits
//! until the child has had its turn: 60 µs on an idle machine; about 3 ms, the length of a time slice, where all cores are busy. A runtime
//! with several workers serves the others' tasks meanwhile; where that is not enough, [`Command::spawn_unblocked`] lets a thread of the blocking pool wait, for
//! a thread's hand-over more.
//!
//! What needs a step of the child's own before its program ([`Pty`], `fd`, `close_fds`, [`uid`](unix::CommandExt::uid)) takes `fork`, which does not wait and copies
//! the tables of our memory instead: 70 µs for a small program, 0.8 ms for each 100 MiB in use. (Measured on two cores of a virtual machine, Linux 6.18.)
//!
//! A pipe through which 1 MiB has gone gets 256 KiB of room on Linux, in place of 64, as long as no more than 64 of this process have it: parent and child then
//! take turns less often.
//!
//! # Platform
//!
//! On Linux (5.3 and newer) an exit is an event of the reactor, through a pidfd. Elsewhere, and where the system gives no pidfd, SIGCHLD says so, with a thread
//! (`smolkit-sigchld`) that hands it on. Its handler is one of signal-hook's, beside those of others.

#![deny(unsafe_code)]

#[allow(unsafe_code)]
mod before_exec;
mod child;
mod command;
mod lines;
mod output;
#[cfg(all(target_os = "linux", not(smolkit_portable)))]
mod pidfd;
mod pipeline;
mod process;
mod pty;
mod reaper;
mod room;
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
pub use self::pty::{Pty, WindowSize};
pub use self::stdio::{ChildStderr, ChildStdin, ChildStdout};

/// Never resolves, and does nothing: no driver is needed.
///
/// Here for programs written for async-process, where it takes the place of a thread.
pub fn driver() -> impl Future<Output = Infallible> + Send + 'static {
    std::future::pending()
}
