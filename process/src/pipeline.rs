//! Several processes, each reading what the one before it writes.

use std::future::{Future, poll_fn};
use std::io;
use std::process::{ExitStatus, Stdio};
use std::task::Poll;

use futures_lite::future;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::output::read_up_to;
use crate::{Child, ChildStderr, Command};

/// Several commands, each reading what the one before it writes: `a | b | c`.
///
/// The first one's standard input, the last one's standard output and each one's standard error are as their commands say; what stands between
/// is connected.
///
/// # Examples
///
/// ```
/// use smolkit_process::{Command, Pipeline};
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let mut echo = Command::new("echo");
///     echo.arg("hello");
///     let mut tr = Command::new("tr");
///     tr.args(["a-z", "A-Z"]);
///     let output = Pipeline::new(echo).pipe(tr).output().await?;
///     assert!(output.success());
///     assert_eq!(output.stdout, b"HELLO\n");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Pipeline {
    commands: Vec<Command>,
}

impl Pipeline {
    /// Begins with `first`.
    pub fn new(first: Command) -> Pipeline {
        Pipeline { commands: vec![first] }
    }

    /// Lets `next` read what the last one writes.
    #[must_use]
    pub fn pipe(mut self, next: Command) -> Pipeline {
        self.commands.push(next);
        self
    }

    /// Starts all, first to last.
    ///
    /// # Errors
    ///
    /// As [`Command::spawn`]; the message says which one failed. Those that were started are killed.
    pub fn spawn(&mut self) -> io::Result<Vec<Child>> {
        let mut children = Vec::new();
        match self.start(&mut children) {
            Ok(()) => Ok(children),
            Err(error) => {
                for child in &mut children {
                    // It may have ended by itself.
                    let _ = child.kill();
                }
                Err(error)
            }
        }
    }

    /// Runs all, waits for them to end, and returns what the last one wrote. The first one reads nothing, unless its command says otherwise; where that
    /// is a pipe, it is closed.
    ///
    /// # Limits
    ///
    /// What is written to pipes is kept in memory without limit.
    ///
    /// # Cancel safety
    ///
    /// The processes are treated as on drop.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Pipeline::spawn).
    pub async fn output(mut self) -> io::Result<PipelineOutput> {
        if let Some(first) = self.commands.first_mut().filter(|first| !first.has_stdin()) {
            first.stdin(Stdio::null());
        }
        if let Some(last) = self.commands.last_mut().filter(|last| !last.has_stdout()) {
            last.stdout(Stdio::piped());
        }
        let mut children = self.spawn()?;
        let stdout = children.last_mut().and_then(|last| last.stdout.take());
        let stderrs = children.iter_mut().map(|child| child.stderr.take()).collect();
        // All are told at once that their input ends, as far as it is ours.
        let statuses: Vec<_> = children.iter_mut().map(Child::status).collect();
        let (stdout, stderrs) =
            future::try_zip(read_up_to(stdout, usize::MAX), read_each(stderrs)).await?;
        let mut output = PipelineOutput { statuses: Vec::new(), stdout, stderrs };
        for status in statuses {
            output.statuses.push(status.await?);
        }
        Ok(output)
    }

    fn start(&mut self, children: &mut Vec<Child>) -> io::Result<()> {
        let last = self.commands.len() - 1;
        let mut stdin = None;
        for (i, command) in self.commands.iter_mut().enumerate() {
            if let Some(stdin) = stdin.take() {
                command.stdin(Stdio::from(stdin));
            }
            if i < last {
                let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
                command.stdout(Stdio::from(writer));
                stdin = Some(reader);
            }
            let child = command.spawn();
            // The command keeps our copy of the pipe's ends, and the next process would wait for its end for ever.
            if i < last {
                command.stdout(Stdio::null());
            }
            if i > 0 {
                command.stdin(Stdio::null());
            }
            children.push(child.map_err(|error| {
                let program = command.get_program().to_string_lossy();
                io::Error::new(
                    error.kind(),
                    format!("cannot start {program}, number {} of the pipeline: {error}", i + 1),
                )
            })?);
        }
        Ok(())
    }
}

/// Reads all to their ends, at once, so that nobody waits for us to read another one.
async fn read_each(pipes: Vec<Option<ChildStderr>>) -> io::Result<Vec<Vec<u8>>> {
    let mut read = vec![None; pipes.len()];
    let mut reads: Vec<_> =
        pipes.into_iter().map(|pipe| Box::pin(read_up_to(pipe, usize::MAX))).collect();
    poll_fn(|cx| {
        for (reading, bytes) in reads.iter_mut().zip(&mut read).filter(|(_, bytes)| bytes.is_none())
        {
            if let Poll::Ready(result) = reading.as_mut().poll(cx) {
                *bytes = Some(result?);
            }
        }
        if read.contains(&None) { Poll::Pending } else { Poll::Ready(io::Result::Ok(())) }
    })
    .await?;
    Ok(read.into_iter().flatten().collect())
}

/// How a [`Pipeline`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineOutput {
    /// The exit status of each process, first to last.
    pub statuses: Vec<ExitStatus>,
    /// What the last one wrote, if that was piped.
    pub stdout: Vec<u8>,
    /// What each process wrote to standard error, first to last; nothing where that was not piped.
    pub stderrs: Vec<Vec<u8>>,
}

impl PipelineOutput {
    /// Whether all were successful, as with `pipefail` in a shell.
    pub fn success(&self) -> bool {
        self.statuses.iter().all(ExitStatus::success)
    }
}
