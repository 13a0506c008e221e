//! Goal: a child has the descriptors that were asked for, and with `close_fds` no others.
//! Method: this process opens some that are not closed on `exec`, as C libraries do, and the child lists its own.

#![cfg(target_os = "linux")]

mod support;

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::{Command as StdCommand, Stdio};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use smolkit_process::{Command, Pty, WindowSize};
use support::{alone, open_fds, rounds, within};

/// Prints the shell's descriptors. That with which it reads the list is closed by the time that it looks again.
const LIST: &str =
    "for fd in /proc/$$/fd/*; do if [ -h $fd ]; then printf '%s ' ${fd##*/}; fi; done";

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

/// A file that every child inherits.
fn leaked() -> File {
    let file = File::open("/dev/null").unwrap();
    fcntl_setfd(&file, FdFlags::empty()).unwrap();
    file
}

fn list(command: &mut Command) -> Vec<RawFd> {
    let output = within(command.output()).unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let mut numbers: Vec<_> = text.split_whitespace().map(|n| n.parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

fn file_with(text: &str) -> File {
    let mut file =
        File::from(rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
    file.write_all(text.as_bytes()).unwrap();
    file.rewind().unwrap();
    file
}

#[test]
fn nothing_but_what_was_asked_for() {
    let leaks: Vec<File> = (0..10).map(|_| leaked()).collect();
    let listed = list(&mut sh(LIST));
    assert!(leaks.iter().all(|leak| listed.contains(&leak.as_raw_fd())), "{listed:?}");

    assert_eq!(list(sh(LIST).close_fds(true)), [0, 1, 2]);
    // Only as long as it is asked for.
    let mut command = sh(LIST);
    assert_eq!(list(command.close_fds(true)), [0, 1, 2]);
    let again = list(command.close_fds(false));
    assert!(leaks.iter().all(|leak| again.contains(&leak.as_raw_fd())), "{again:?}");
    command.close_fds(true).fd(7, leaked()).fd(40, leaked());
    assert_eq!(list(&mut command), [0, 1, 2, 7, 40]);
    // The child's side alone: ours are what they were.
    for leak in &leaks {
        assert_eq!(rustix::io::fcntl_getfd(leak).unwrap(), FdFlags::empty());
    }
}

#[test]
fn at_the_numbers_that_were_chosen() {
    // In a circle: each one's place is another one's number, so that none may be moved before all are copied.
    let files = ["zero", "one", "two"].map(file_with);
    let numbers = files.each_ref().map(AsRawFd::as_raw_fd);
    let mut command = Command::new("sh");
    let mut script = String::new();
    for (i, file) in files.into_iter().enumerate() {
        let number = numbers[(i + 1) % 3];
        script += &format!("cat /proc/self/fd/{number}; ");
        command.fd(number, file);
    }
    command.args(["-c", &script]).close_fds(true);
    let output = within(command.output()).unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "zeroonetwo");
}

#[test]
fn a_second_one_replaces_the_first() {
    let mut command = sh("cat <&9");
    command.fd(9, file_with("first")).fd(9, file_with("second"));
    assert_eq!(within(command.output()).unwrap().stdout, b"second");
}

#[test]
fn a_socket_of_its_own() {
    let (mut reader, writer) = UnixStream::pair().unwrap();
    let mut command = sh("echo besides >&3; echo out");
    command.fd(3, writer);
    let output = within(command.output()).unwrap();
    assert_eq!(output.stdout, b"out\n");
    // Its end comes when the command is gone, too.
    drop(command);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "besides\n");
}

/// std reports a failed `exec` through a pipe in the child, which takes the lowest free number: just the one that is wanted.
#[test]
fn a_failure_is_still_told() {
    alone("a_failure_is_still_told", failures_are_told);
}

fn failures_are_told() {
    let free = File::open("/dev/null").unwrap().as_raw_fd();
    for number in free..free + 8 {
        let mut command = Command::new("/does/not/exist");
        command.fd(number, File::open("/dev/null").unwrap()).close_fds(true);
        let error = command.spawn().expect_err("it does not exist");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
    let before = open_fds();
    for _ in 0..rounds(50, 2_000) {
        let mut command = Command::new("/does/not/exist");
        command.fd(100, File::open("/dev/null").unwrap()).stdout(Stdio::piped());
        command.spawn().expect_err("it does not exist");
    }
    assert_eq!(open_fds(), before);
}

#[test]
fn this_process_keeps_its_own() {
    let (own, other) = (File::open("/dev/null").unwrap(), File::open("/dev/zero").unwrap());
    let inode = || std::os::unix::fs::MetadataExt::rdev(&own.metadata().unwrap());
    let before = inode();
    let mut command = Command::new("/does/not/exist");
    let error = smolkit_process::unix::CommandExt::exec(command.fd(own.as_raw_fd(), other));
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    assert_eq!(inode(), before);
}

#[test]
#[should_panic(expected = "use `stdin`, `stdout` or `stderr`")]
fn standard_ones_are_refused() {
    Command::new("true").fd(2, File::open("/dev/null").unwrap());
}

#[test]
fn a_terminal_and_nothing_else() {
    let _leaked = leaked();
    let mut pty = Pty::open(WindowSize { rows: 24, columns: 80 }).unwrap();
    let mut command = sh(LIST);
    within(async {
        let mut child = pty.spawn(command.close_fds(true).fd(5, leaked())).unwrap();
        let mut said = String::new();
        futures_lite::AsyncReadExt::read_to_string(&mut pty, &mut said).await.unwrap();
        assert_eq!(said.trim(), "0 1 2 5");
        assert!(child.status().await.unwrap().success());
    });
}

/// A filter of system calls, or Linux before 5.11: under strace, which makes `close_range` fail.
#[test]
fn without_close_range() {
    const CHILD: &str = "SMOLKIT_TEST_CLOSE_RANGE";
    if std::env::var_os(CHILD).is_some() {
        // All numbers are gone through, each with a stop at strace.
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(256), maximum }).unwrap();
        let _leaked = leaked();
        assert_eq!(list(sh(LIST).close_fds(true).fd(8, OwnedFd::from(leaked()))), [0, 1, 2, 8]);
        return;
    }
    let status = StdCommand::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=close_range"])
        .args(["-e", "inject=close_range:error=ENOSYS"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "without_close_range"])
        .env(CHILD, "1")
        .stdout(Stdio::null())
        .status()
        .expect("this test needs strace");
    assert!(status.success(), "{status}");
}
