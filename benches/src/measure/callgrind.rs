//! How many instructions a process executes outside of the kernel: valgrind's callgrind counts them.

use std::env;
use std::io;
use std::process::Command;

/// All instructions of this program with other arguments, from its start to its end. It runs some fifty times slower.
pub fn instructions(arguments: &[String]) -> io::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(arguments)
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.split("Collected : ").nth(1).and_then(|rest| rest.split('\n').next());
    collected
        .and_then(|count| count.trim().parse().ok())
        .filter(|_| output.status.success())
        .ok_or_else(|| io::Error::other(format!("callgrind says:\n{text}")))
}
