//! A process of its own for tests that need one: the test binary itself, told by a variable what to be.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use super::PATIENCE;

const ROLE: &str = "SMOLKIT_TEST_ROLE";

/// Whether this process is the child that plays `role`.
pub fn plays(role: &str) -> bool {
    let plays = env::var(ROLE).is_ok_and(|value| value == role);
    #[cfg(target_os = "linux")]
    if plays {
        // A wrapper is killed alone.
        let kill = Some(rustix::process::Signal::KILL);
        rustix::process::set_parent_process_death_signal(kill).expect("a signal");
    }
    plays
}

/// Tells the parent where the child listens.
pub fn tell(line: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "\ntell {line}").and_then(|()| out.flush()).expect("a parent that listens");
}

/// The test binary, running only the test `role`, as `role`.
pub fn command(role: &str, wrapper: &[&str]) -> Command {
    let exe = env::current_exe().expect("the test's own path");
    let mut command = match wrapper.split_first() {
        Some((program, args)) => {
            let mut command = Command::new(program);
            command.args(args).arg(exe);
            command
        }
        None => Command::new(exe),
    };
    command.args(["--exact", role, "--nocapture", "--test-threads=1"]).env(ROLE, role);
    command
}

pub struct Process {
    pub child: Child,
    lines: mpsc::Receiver<String>,
}

impl Process {
    pub fn start(command: &mut Command, hint: &str) -> Process {
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{hint}: {command:?}: {error}"));
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if let Some(told) = line.strip_prefix("tell ") {
                    let _ = sender.send(told.to_owned());
                }
            }
        });
        Process { child, lines }
    }

    pub fn told(&self, within: Duration) -> String {
        self.lines.recv_timeout(within).expect("a word of the child in time")
    }

    pub fn addr(&self) -> SocketAddr {
        self.told(PATIENCE * 2).parse().expect("an address")
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.expect("kill(1)").success(), "SIG{name} to {pid}");
    }

    pub fn ended(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the child has not ended within {within:?}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// The processor time that the child has used so far: fields 14 and 15 of `proc(5)`'s stat.
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("proc");
        let (_, fields) = stat.rsplit_once(") ").expect("a name in parentheses");
        let ticks: u64 = fields
            .split(' ')
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u64>().expect("ticks"))
            .sum();
        // USER_HZ is 100 on every Linux.
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
