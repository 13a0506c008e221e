//! What to run, and how.

mod start;

use std::ffi::OsStr;
use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::path::Path;
use std::process::{CommandArgs, CommandEnvs, ExitStatus, Output, Stdio};
use std::time::Duration;

use crate::Child;
use crate::before_exec::{BeforeExec, FIRST_NUMBER};
use crate::output::{OutputError, OutputLimits};
use crate::process::OnDrop;

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
    /// The inner command was told to make a group, which it cannot forget.
    makes_group: bool,
    on_drop: OnDrop,
    pub(crate) before_exec: BeforeExec,
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
    /// of that are killed, unless it was waited for: see [`signal_group`](Child::signal_group).
    pub fn kill_on_drop(&mut self, kill_on_drop: bool) -> &mut Command {
        self.on_drop.kill = kill_on_drop;
        self
    }

    /// Lets [`kill_on_drop`](Command::kill_on_drop) ask with SIGTERM first, and kill with SIGKILL after so long. Default: zero, SIGKILL at once.
    ///
    /// The drop does not wait. The process is then waited for when it ends, whatever [`reap_on_drop`](Command::reap_on_drop) says. A program that ends within the grace period leaves a process that was asked and not killed.
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

    /// Gives a descriptor to the process, which finds it under `number`; a second one for the same number replaces the first.
    ///
    /// The command holds it until it is dropped itself: a pipe has its end only after that.
    ///
    /// # Limits
    ///
    /// The process is started by `fork` and no longer by `vfork`: see [`close_fds`](Command::close_fds).
    ///
    /// # Panics
    ///
    /// If `number` is less than 3: those are [`stdin`](Command::stdin), [`stdout`](Command::stdout) and [`stderr`](Command::stderr).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Write;
    /// use std::os::unix::net::UnixStream;
    /// use smolkit_process::Command;
    /// # use smolkit_runtime as smolkit;
    ///
    /// smolkit::block_on(async {
    ///     let (reader, mut writer) = UnixStream::pair()?;
    ///     let mut command = Command::new("sh");
    ///     command.args(["-c", "cat <&5"]).fd(5, reader);
    ///     writer.write_all(b"by another way")?;
    ///     drop(writer);
    ///     assert_eq!(command.output().await?.stdout, b"by another way");
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn fd<T: Into<OwnedFd>>(&mut self, number: RawFd, fd: T) -> &mut Command {
        assert!(
            number >= FIRST_NUMBER,
            "descriptor {number} is a standard one: use `stdin`, `stdout` or `stderr`"
        );
        self.before_exec.hand(&mut self.inner, fd.into(), number);
        self
    }

    /// Whether the process gets no descriptors but the standard ones and those of [`fd`](Command::fd). Default: no.
    ///
    /// Without it the process inherits those that are not marked to be closed. Whatever Rust's standard library or smolkit opens is marked; what C libraries
    /// open, or what our own parent left us, may not be.
    ///
    /// # Limits
    ///
    /// The process is started by `fork` and no longer by `vfork`, which keeps the calling thread for longer the more memory this process
    /// has: about 0.8 ms for each 100 MiB that is in use.
    ///
    /// # Platform
    ///
    /// One `close_range(2)` on Linux 5.11 and newer. Elsewhere one system call for each number that the limit of open files allows, 1,048,576 at most.
    pub fn close_fds(&mut self, close_fds: bool) -> &mut Command {
        self.before_exec.set_closes(&mut self.inner, close_fds);
        self
    }

    /// Starts the process.
    ///
    /// The calling thread waits until the new process has begun to run its program, or has failed to. See [the crate](crate) for what that costs.
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

    /// [`spawn`](Command::spawn), on a thread of the pool for blocking work: for a machine or a process that is so busy that the worker must not wait.
    ///
    /// See [the crate](crate) for what a spawn costs.
    ///
    /// # Limits
    ///
    /// A parent-death signal that the program or its command asks for (`prctl(2)`, `PR_SET_PDEATHSIG`) comes when that thread ends, which
    /// it does when it is idle.
    ///
    /// # Cancel safety
    ///
    /// Begun, the process starts all the same, and is treated as on drop; before that, it is given up with the future.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Command::spawn).
    ///
    /// # Examples
    ///
    /// ```
    /// use smolkit_process::Command;
    /// # use smolkit_runtime as smolkit;
    ///
    /// smolkit::block_on(async {
    ///     let mut child = Command::new("true").spawn_unblocked().await?;
    ///     assert!(child.status().await?.success());
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spawn_unblocked(
        mut self,
    ) -> impl Future<Output = io::Result<Child>> + Send + 'static + use<> {
        smolkit_runtime::unblock(move || self.spawn())
    }

    /// Runs the process and waits for it to end. It starts now; the future only waits.
    ///
    /// # Cancel safety
    ///
    /// The process is treated as on drop.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Command::spawn).
    pub fn status(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + use<> {
        let child = self.spawn();
        if let Ok(child) = &child {
            child.process.running().expect_to_wait();
        }
        async { child?.status().await }
    }

    /// Runs the process, waits for it to end, and returns what it wrote. It starts now; the future only waits.
    ///
    /// Without limit: see [`output_within`](Command::output_within).
    ///
    /// # Cancel safety
    ///
    /// The process is treated as on drop; what it wrote is lost.
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
    /// # Cancel safety
    ///
    /// As [`output`](Command::output).
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
    ///     let limits = OutputLimits::new().stdout_bytes_max(1000).timeout(Duration::from_secs(60));
    ///     let error = Command::new("yes").output_within(&limits).await.expect_err("it says too much");
    ///     assert!(matches!(error, OutputError::StdoutTooLong { .. }));
    /// });
    /// ```
    pub async fn output_within(&mut self, limits: &OutputLimits) -> Result<Output, OutputError> {
        self.start_captured()?.output_within(limits).await
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
        Command {
            inner,
            stdin: false,
            stdout: false,
            stderr: false,
            new_group: false,
            makes_group: false,
            on_drop,
            before_exec: BeforeExec::default(),
        }
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
            .field("before_exec", &self.before_exec)
            .finish()
    }
}
