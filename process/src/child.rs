//! A spawned process.

use std::fmt;
use std::future::Future;
use std::io;
use std::process::{ExitStatus, Output};
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;

use crate::lines::Lines;
use crate::output::{self, OutputError, OutputLimits, read_up_to};
use crate::process::Process;
use crate::unix::Signal;
use crate::{ChildStderr, ChildStdin, ChildStdout};

/// A spawned process.
///
/// Dropped, it is left running and is waited for when it ends, unless [`Command`](crate::Command) was told otherwise with
/// `kill_on_drop` or `reap_on_drop`.
///
/// # Examples
///
/// ```
/// use smolkit_process::{Command, Stdio};
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
///     let mut stdin = child.stdin.take().expect("it is piped");
///     stdin.write_all(b"hello").await?;
///     drop(stdin);
///     let output = child.output().await?;
///     assert_eq!(output.stdout, b"hello");
///     assert!(output.status.success());
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub struct Child {
    /// Where to write to the process, if its standard input is piped.
    pub stdin: Option<ChildStdin>,
    /// Where to read from the process, if its standard output is piped.
    pub stdout: Option<ChildStdout>,
    /// Where to read from the process, if its standard error is piped.
    pub stderr: Option<ChildStderr>,
    pub(crate) process: Arc<Process>,
}

impl Child {
    /// The process's number.
    pub fn id(&self) -> u32 {
        self.process.running().id()
    }

    /// Kills the process with SIGKILL. It still has to be waited for, or dropped.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` if it has become another user's. None if it has ended.
    pub fn kill(&mut self) -> io::Result<()> {
        self.process.running().kill()
    }

    /// The process's exit status, if it has ended.
    ///
    /// # Errors
    ///
    /// As [`status`](Child::status).
    pub fn try_status(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process.running().try_wait()
    }

    /// Closes standard input, and waits for the process to end.
    ///
    /// Read what it writes meanwhile, or it may wait for you: [`output`](Child::output) does.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost but standard input: ask again.
    ///
    /// # Errors
    ///
    /// ECHILD when somebody else has waited for it, or when this process ignores SIGCHLD, which it may have inherited: then the system keeps no status.
    pub fn status(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + use<> {
        self.stdin.take();
        let process = self.process.clone();
        async move { process.running().wait().await }
    }

    /// Closes standard input, waits for the process to end, and returns what it wrote to piped outputs.
    ///
    /// Without limit: see [`output_within`](Child::output_within).
    ///
    /// # Cancel safety
    ///
    /// The handles and what was read are lost; the process is treated as on drop.
    ///
    /// # Errors
    ///
    /// As [`status`](Child::status), and when reading fails.
    pub fn output(mut self) -> impl Future<Output = io::Result<Output>> + use<> {
        let status = self.status();
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        // As async-process: from here on only the future holds the process.
        drop(self);
        async move {
            let stdout = read_up_to(stdout, usize::MAX);
            let stderr = read_up_to(stderr, usize::MAX);
            let (stdout, stderr) = future::try_zip(stdout, stderr).await?;
            Ok(Output { status: status.await?, stdout, stderr })
        }
    }

    /// [`output`](Child::output) with limits. What is over them is ended: SIGTERM, then SIGKILL.
    ///
    /// # Cancel safety
    ///
    /// As [`output`](Child::output).
    ///
    /// # Errors
    ///
    /// See [`OutputError`].
    pub async fn output_within(self, limits: &OutputLimits) -> Result<Output, OutputError> {
        output::collect(self, limits).await
    }

    /// What the process writes to piped outputs, line by line, both outputs in the order in which it comes.
    ///
    /// The handles `stdout` and `stderr` are taken.
    pub fn lines(&mut self) -> Lines {
        Lines::new(self.stdout.take(), self.stderr.take())
    }

    /// Asks the process to end with SIGTERM, kills it with SIGKILL if it has not after `grace`, and waits for it.
    ///
    /// If it leads a group of its own ([`new_group`](crate::Command::new_group)), the signals go to the whole group; the others in it are not waited
    /// for, and get no SIGKILL if the process itself has ended in time.
    ///
    /// # Cancel safety
    ///
    /// The request has gone out with the first poll; who is dropped sends no SIGKILL.
    ///
    /// # Errors
    ///
    /// As [`kill`](Child::kill) and [`status`](Child::status).
    pub async fn terminate(&mut self, grace: Duration) -> io::Result<ExitStatus> {
        self.stdin.take();
        self.process.running().terminate(grace).await
    }

    /// Sends a signal to the process. Nothing happens if it was waited for.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` if it has become another user's.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.process.running().signal(signal)
    }

    /// Sends a signal to the process group that the process leads: to all that are left in it, also when the process itself has ended.
    ///
    /// But nothing happens if the process was waited for: its number may be another's then, and so may the group's. Who wants to end what is
    /// left of a group signals before [`status`](Child::status) or [`try_status`](Child::try_status) has returned.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it does not lead one, see [`new_group`](crate::Command::new_group).
    pub fn signal_group(&self, signal: Signal) -> io::Result<()> {
        self.process.running().signal_group(signal)
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("stdin", &self.stdin)
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .finish()
    }
}
