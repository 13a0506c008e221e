//! What to run, and how.

use std::ffi::OsStr;
use std::fmt;
use std::future::Future;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{CommandArgs, CommandEnvs, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::output::{OutputError, OutputLimits};
use crate::process::{OnDrop, Process};
use crate::{Child, ChildStderr, ChildStdin, ChildStdout, reaper};

/// What to run, and how: `std::process::Command`, for async programs.
///
/// # Examples
///
/// ```
/// use smolkit_process::Command;
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let status = Command::new("sh").args(["-c", "exit 3"]).status().await?;
///     assert_eq!(status.code(), Some(3));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub struct Command {
    pub(crate) inner: std::process::Command,
    stdin: bool,
    stdout: bool,
    stderr: bool,
    new_group: bool,
    on_drop: OnDrop,
}

impl Command {
    /// A command that runs `program`, looked up in `PATH`, without arguments, with our environment and working directory.
    pub fn new<S: AsRef<OsStr>>(program: S) -> Command {
        Command::from(std::process::Command::new(program))
    }

    /// Adds an argument.
    pub fn arg<S: AsRef<OsStr>>(&mut self, arg: S) -> &mut Command {
        self.inner.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args<I, S>(&mut self, args: I) -> &mut Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.inner.args(args);
        self
    }

    /// Sets an environment variable.
    pub fn env<K, V>(&mut self, key: K, val: V) -> &mut Command
    where
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.inner.env(key, val);
        self
    }

    /// Sets environment variables.
    pub fn envs<I, K, V>(&mut self, vars: I) -> &mut Command
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.inner.envs(vars);
        self
    }

    /// The arguments so far.
    pub fn get_args(&self) -> CommandArgs<'_> {
        self.inner.get_args()
    }

    /// The environment variables that were set or removed.
    pub fn get_envs(&self) -> CommandEnvs<'_> {
        self.inner.get_envs()
    }

    /// The working directory, if one was set.
    pub fn get_current_dir(&self) -> Option<&Path> {
        self.inner.get_current_dir()
    }

    /// The program.
    pub fn get_program(&self) -> &OsStr {
        self.inner.get_program()
    }

    /// Removes an environment variable.
    pub fn env_remove<K: AsRef<OsStr>>(&mut self, key: K) -> &mut Command {
        self.inner.env_remove(key);
        self
    }

    /// Removes all environment variables.
    pub fn env_clear(&mut self) -> &mut Command {
        self.inner.env_clear();
        self
    }

    /// Sets the working directory.
    pub fn current_dir<P: AsRef<Path>>(&mut self, dir: P) -> &mut Command {
        self.inner.current_dir(dir);
        self
    }

    /// Sets standard input. Otherwise: inherited, and nothing for [`output`](Command::output).
    pub fn stdin<T: Into<Stdio>>(&mut self, cfg: T) -> &mut Command {
        self.stdin = true;
        self.inner.stdin(cfg);
        self
    }

    /// Sets standard output. Otherwise: inherited, and piped for [`output`](Command::output).
    pub fn stdout<T: Into<Stdio>>(&mut self, cfg: T) -> &mut Command {
        self.stdout = true;
        self.inner.stdout(cfg);
        self
    }

    /// Sets standard error. Otherwise: inherited, and piped for [`output`](Command::output).
    pub fn stderr<T: Into<Stdio>>(&mut self, cfg: T) -> &mut Command {
        self.stderr = true;
        self.inner.stderr(cfg);
        self
    }

    /// Whether a process whose handle is dropped is waited for when it ends, so that it leaves no zombie. Default: yes.
    pub fn reap_on_drop(&mut self, reap_on_drop: bool) -> &mut Command {
        self.on_drop.reap = reap_on_drop;
        self
    }

    /// Whether a process is killed when its handle is dropped. Default: no.
    ///
    /// With SIGKILL, unless [`kill_grace`](Command::kill_grace) says otherwise. If it leads a group ([`new_group`](Command::new_group)), all
    /// of that are killed.
    pub fn kill_on_drop(&mut self, kill_on_drop: bool) -> &mut Command {
        self.on_drop.kill = kill_on_drop;
        self
    }

    /// Lets [`kill_on_drop`](Command::kill_on_drop) ask with SIGTERM first, and kill with SIGKILL after so long. Default: zero, SIGKILL at once.
    ///
    /// The drop does not wait. A program that ends within the grace period leaves a process that was asked and not killed.
    pub fn kill_grace(&mut self, grace: Duration) -> &mut Command {
        self.on_drop.grace = grace;
        self
    }

    /// Whether the process becomes the leader of a process group of its own, so that it and what it starts can be signalled together
    /// ([`signal_group`](Child::signal_group)), and Ctrl-C on the terminal does not reach it. Default: no.
    pub fn new_group(&mut self, new_group: bool) -> &mut Command {
        self.new_group = new_group;
        self
    }

    /// Starts the process.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied` and the others of `execve(2)` and `fork(2)`; EMFILE and EAGAIN pass by. Nothing is left behind.
    pub fn spawn(&mut self) -> io::Result<Child> {
        if !self.stdin {
            self.inner.stdin(Stdio::inherit());
        }
        if !self.stdout {
            self.inner.stdout(Stdio::inherit());
        }
        if !self.stderr {
            self.inner.stderr(Stdio::inherit());
        }
        self.start()
    }

    /// Runs the process and waits for it to end. It starts now; the future only waits.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Command::spawn).
    pub fn status(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + use<> {
        let child = self.spawn();
        async { child?.status().await }
    }

    /// Runs the process, waits for it to end, and returns what it wrote. It starts now; the future only waits.
    ///
    /// Without limit: see [`output_within`](Command::output_within).
    ///
    /// # Errors
    ///
    /// As [`spawn`](Command::spawn).
    pub fn output(&mut self) -> impl Future<Output = io::Result<Output>> + use<> {
        let child = self.start_captured();
        async { child?.output().await }
    }

    /// [`output`](Command::output) with limits. What is over them is ended: SIGTERM, then SIGKILL.
    ///
    /// # Errors
    ///
    /// See [`OutputError`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use smolkit_process::{Command, OutputError, OutputLimits};
    /// # use smolkit_runtime as smolkit;
    ///
    /// smolkit::block_on(async {
    ///     let limits = OutputLimits::new().stdout_bytes_max(1000).timeout(Duration::from_secs(10));
    ///     let error = Command::new("yes").output_within(&limits).await.expect_err("it says too much");
    ///     assert!(matches!(error, OutputError::StdoutTooLong { .. }));
    /// });
    /// ```
    pub async fn output_within(&mut self, limits: &OutputLimits) -> Result<Output, OutputError> {
        self.start_captured()?.output_within(limits).await
    }

    fn start_captured(&mut self) -> io::Result<Child> {
        if !self.stdin {
            self.inner.stdin(Stdio::null());
        }
        if !self.stdout {
            self.inner.stdout(Stdio::piped());
        }
        if !self.stderr {
            self.inner.stderr(Stdio::piped());
        }
        self.start()
    }

    fn start(&mut self) -> io::Result<Child> {
        reaper::tend();
        // Only where it was asked for: a group that was set on the inner command stays.
        if self.new_group {
            self.inner.process_group(0);
        }
        let mut child = self.inner.spawn()?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        // First of all, so that the process is taken care of if something fails below.
        let process = Arc::new(Process::new(child, self.new_group, self.on_drop)?);
        let wrapped = || {
            let stdin = stdin.map(ChildStdin::new).transpose()?;
            let stdout = stdout.map(ChildStdout::new).transpose()?;
            let stderr = stderr.map(ChildStderr::new).transpose()?;
            io::Result::Ok((stdin, stdout, stderr))
        };
        match wrapped() {
            Ok((stdin, stdout, stderr)) => Ok(Child { stdin, stdout, stderr, process }),
            Err(error) => {
                // The caller hears that nothing was started: so it must not go on.
                process.running().kill()?;
                Err(error)
            }
        }
    }

    pub(crate) fn has_stdin(&self) -> bool {
        self.stdin
    }

    pub(crate) fn has_stdout(&self) -> bool {
        self.stdout
    }
}

impl From<std::process::Command> for Command {
    fn from(inner: std::process::Command) -> Command {
        let on_drop = OnDrop { reap: true, kill: false, grace: Duration::ZERO };
        Command { inner, stdin: false, stdout: false, stderr: false, new_group: false, on_drop }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            // The command line, as std prints it.
            return self.inner.fmt(f);
        }
        f.debug_struct("Command")
            .field("inner", &self.inner)
            .field("stdin", &self.stdin)
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .field("new_group", &self.new_group)
            .field("on_drop", &self.on_drop)
            .finish()
    }
}
