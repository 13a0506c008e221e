//! A test that runs once more, in a child: with limits, rights or a network of its own, or watched by strace.

// Each file of tests uses a part of it.
#![allow(dead_code)]

use std::process::{Command, Output, Stdio};

const ROLE: &str = "SMOLKIT_TEST_ROLE";

/// The role of those that strace watches.
pub(crate) const TRACED: &str = "traced";

pub(crate) fn is_child(role: &str) -> bool {
    std::env::var(ROLE).is_ok_and(|own| own == role)
}

/// Runs the test `test` of this program in a child, which is started by the words in `before`.
pub(crate) fn run_child(before: &[&str], test: &str, role: &str) {
    let mut command = Command::new(before[0]);
    run(command.args(&before[1..]), test, role);
}

/// Runs the test `test` of this program under strace with these options; what strace has written.
pub(crate) fn under_strace(test: &str, options: &[&str]) -> String {
    under_strace_with(test, options, |_| {})
}

/// The same with changes to the child, which strace is the parent of.
pub(crate) fn under_strace_with(
    test: &str,
    options: &[&str],
    change: impl FnOnce(&mut Command),
) -> String {
    let unique = format!("smolkit-traced-{}-{test}-{}", std::process::id(), options.concat().len());
    let log = std::env::temp_dir().join(unique.replace(':', "-"));
    let mut strace = Command::new("strace");
    strace.args(["-f", "--seccomp-bpf", "-qq", "-e", "signal=none", "-o"]).arg(&log).args(options);
    // A leak checker cannot trace a process that strace traces already.
    strace.env("ASAN_OPTIONS", "detect_leaks=0");
    change(&mut strace);
    run(&mut strace, test, TRACED);
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(log).unwrap();
    text
}

fn run(command: &mut Command, test: &str, role: &str) {
    let output: Output = command
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--test-threads=1"])
        .env(ROLE, role)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| {
            let program = command.get_program();
            panic!("this test needs {program:?} (Debian: strace, util-linux, iproute2): {error}")
        });
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    let has_passed = output.status.success() && said.contains("1 passed");
    assert!(has_passed, "{role}: {}: {said}\n{complained}", output.status);
}

/// How many lines have all of these parts.
pub(crate) fn count(text: &str, all: &[&str]) -> usize {
    text.lines().filter(|line| all.iter().all(|part| line.contains(part))).count()
}
