//! Child processes that are pinned, end with us, and are ended by their own handle only.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child as StdChild, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::cpu;

pub struct Child {
    child: StdChild,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Child {
    /// This program, as something else.
    pub fn myself(arguments: &[String], cores: &[usize]) -> io::Result<Child> {
        let mut command = Command::new(env::current_exe()?);
        command.args(arguments);
        Child::start(command, cores)
    }

    pub fn start(mut command: Command, cores: &[usize]) -> io::Result<Child> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let cores = cores.to_vec();
        // SAFETY: the closure makes system calls only, and allocates nothing.
        unsafe {
            command.pre_exec(move || {
                // The driver may be killed: nothing of it shall run on.
                end_with_parent()?;
                cpu::pin(&cores)
            });
        }
        let mut child = command.spawn().map_err(|error| {
            let program = command.get_program().to_string_lossy();
            io::Error::new(error.kind(), format!("cannot start {program}: {error}"))
        })?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        Ok(Child { child, stdin, stdout })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn cpu_time(&self) -> io::Result<Duration> {
        cpu::time_of_process(self.id())
    }

    pub fn tell(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.stdin.as_mut().expect("only wait takes it"), "{line}")
    }

    /// The rest of the next line that has `key` in it, from there on.
    pub fn hear(&mut self, key: &str) -> io::Result<String> {
        loop {
            let mut line = String::new();
            if self.stdout.read_line(&mut line)? == 0 {
                let status = self.child.wait()?;
                let message = format!("process ended ({status}) and never said {key:?}");
                return Err(io::Error::other(message));
            }
            if let Some(at) = line.find(key) {
                return Ok(line[at + key.len()..].trim().to_owned());
            }
        }
    }

    pub fn signal(&self, signal: i32) -> io::Result<()> {
        // SAFETY: a plain system call; the child has not been waited for, so the number is still its own.
        match unsafe { libc::kill(self.id() as libc::pid_t, signal) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    pub fn has_ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits for the end; everything that it still says, and the processor time that it took.
    pub fn output(&mut self) -> io::Result<(String, Duration)> {
        drop(self.stdin.take());
        let mut text = String::new();
        self.stdout.read_to_string(&mut text)?;
        // Not waited for yet, so the clock is still there.
        let used = self.cpu_time()?;
        self.child.wait()?;
        Ok((text, used))
    }
}

/// This program, as something that says "figures" and two of them in the end.
pub fn two_figures(arguments: &[String], cores: &[usize]) -> io::Result<(f64, f64)> {
    let what = arguments.join(" ");
    let mut child = Child::myself(arguments, cores)?;
    let said = child
        .hear("figures ")
        .map_err(|error| io::Error::new(error.kind(), format!("{what}: {error}")))?;
    let figures = said.split_once(' ').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    figures.ok_or_else(|| io::Error::other(format!("{what}: not two figures: {said:?}")))
}

fn end_with_parent() -> io::Result<()> {
    // SAFETY: a plain system call.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
