//! Goal: what the command prints can be read by people and by scripts.
//! Method: run it with each output closed, full or piped, and compare what arrives.

mod common;

use std::{
    fs::File,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Command, Stdio},
};

use common::{SMOLKIT, Scratch, output, stderr, stdout};

#[test]
fn list_has_a_line_for_each_template() {
    let output = output(Command::new(SMOLKIT).arg("list"));
    assert!(output.status.success());
    assert_eq!(stderr(&output), "");
    assert_eq!(
        stdout(&output),
        "http  An HTTP microservice: JSON, problem+json errors, metrics, health, graceful shutdown\n"
    );
}

#[test]
fn help_says_what_each_option_does_and_what_the_exit_codes_mean() {
    for arguments in [&["--help"][..], &["new", "--help"]] {
        let output = output(Command::new(SMOLKIT).args(arguments));
        assert!(output.status.success());
        assert_eq!(stderr(&output), "");
        assert!(stdout(&output).contains("Exit codes:\n  0  done\n"), "{}", stdout(&output));
    }
    let output = output(Command::new(SMOLKIT).args(["new", "--help"]));
    for expected in [
        "Usage: smolkit new [OPTIONS] <NAME>",
        "--template <TEMPLATE>",
        "[default: http]",
        "--path <DIR>",
        "Folder that becomes the project, instead of ./NAME",
        "--run",
        "--listen <ADDR>",
        "[default: 127.0.0.1:8080]",
        "--dry-run",
    ] {
        assert!(stdout(&output).contains(expected), "{expected:?} is not in {}", stdout(&output));
    }
}

#[test]
fn the_version_is_the_package_s() {
    let output = output(Command::new(SMOLKIT).arg("--version"));
    assert!(output.status.success());
    assert_eq!(stdout(&output), concat!("smolkit ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn a_reader_who_leaves_is_no_error() {
    for arguments in [&["list"][..], &["--help"], &["new", "hello", "--dry-run"]] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let scratch = Scratch::new();
        let child = scratch
            .smolkit(arguments)
            .stdout(Stdio::from(OwnedFd::from(ours)))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        assert_eq!(stderr(&output), "");
    }
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = Command::new(SMOLKIT).arg("list").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("No space left"), "{}", stderr(&output));
}

#[test]
fn colours_are_never_forced_on_anybody() {
    for arguments in [&["--help"][..], &["new", "--help"], &["new", "Bad"], &["list"]] {
        let output = output(Command::new(SMOLKIT).args(arguments).env("NO_COLOR", "1"));
        let all = [output.stdout, output.stderr].concat();
        assert!(!all.contains(&0x1b), "{arguments:?}");
    }
}
