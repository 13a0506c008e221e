//! What the tests of the command share: a scratch folder, and commands with a deadline.
#![allow(dead_code, reason = "each test file uses a part")]

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{self, Command, Output, Stdio},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

/// The command under test.
pub(crate) const SMOLKIT: &str = env!("CARGO_BIN_EXE_smolkit");

/// No command that builds nothing takes longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A new empty folder outside of the checkout, removed when dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("smolkit-cli-{}-{number}", process::id()));
        fs::create_dir(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// `smolkit` with these arguments, in this folder.
    pub(crate) fn smolkit(
        &self,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Command {
        let mut command = Command::new(SMOLKIT);
        command.args(arguments).current_dir(&self.0);
        command
    }

    /// A copy of the command where everybody may execute it and no checkout is near.
    pub(crate) fn installed(&self) -> PathBuf {
        let copy = self.0.join("smolkit");
        copy_program(&copy);
        copy
    }

    /// The names of what the folder holds.
    pub(crate) fn entries(&self) -> Vec<String> {
        names(&self.0)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Copies the command under test, by a process of its own: what this one has open for writing is open in children of other tests, too, between
/// their `fork` and their `exec`, and a program that is open for writing cannot be started.
pub(crate) fn copy_program(to: &Path) {
    assert!(Command::new("cp").arg(SMOLKIT).arg(to).status().unwrap().success());
}

/// The sorted names in a folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Runs a command to its end; kills it and panics after the deadline.
pub(crate) fn output_within(command: &mut Command, deadline: Duration) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let pid = child.id();
    let (ended, end) = mpsc::channel();
    thread::spawn(move || ended.send(child.wait_with_output()));
    match end.recv_timeout(deadline) {
        Ok(output) => output.unwrap(),
        Err(_) => {
            signal("KILL", &pid.to_string());
            panic!("{command:?} runs for more than {deadline:?}");
        }
    }
}

pub(crate) fn output(command: &mut Command) -> Output {
    output_within(command, DEADLINE)
}

/// Sends a signal to a process, or to a group if the number is negative.
pub(crate) fn signal(name: &str, to: &str) {
    let kill = format!("kill -{name} {to}");
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
}

pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}
