//! Goal: a spawn that fails is an error that leaves nothing behind, and a pipe that nobody reads is one even where SIGPIPE ends processes
//! (FAULTS P5, P6).
//! Method: this program starts itself again for each case, with few descriptors, under strace that refuses processes, or with SIGPIPE as
//! the system has it. It has no test harness, whose threads would be refused, too.

#![allow(clippy::print_stdout)]

mod support;

use std::io;
use std::process::{Command as StdCommand, Stdio};

use futures_lite::{AsyncWriteExt, StreamExt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use smolkit_process::{Command, Line};
use support::{open_fds, rounds, within};

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("case:missing") => missing(),
        Some("case:few descriptors") => few_descriptors(),
        Some("case:no process") => no_process(),
        Some("case:sigpipe") => sigpipe(),
        _ => all(),
    }
}

fn all() {
    let own = std::env::current_exe().unwrap();
    let run = |case: &str, mut command: StdCommand| {
        let status = command.arg(format!("case:{case}")).status().unwrap();
        assert!(status.success(), "{case}: {status}");
        println!("{case} ... ok");
    };
    run("missing", StdCommand::new(&own));
    run("few descriptors", StdCommand::new(&own));
    #[cfg(target_os = "linux")]
    {
        let mut strace = StdCommand::new("strace");
        strace.args(["-qq", "-o", "/dev/null", "-e", "trace=clone,clone3,vfork,fork"]);
        strace.args(["-e", "inject=clone,clone3,vfork,fork:error=EAGAIN"]).arg(&own);
        run("no process", strace);
        run("sigpipe", StdCommand::new(&own));
    }
}

fn missing() {
    let spawn =
        || Command::new("/does/not/exist").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let check = || {
        let error = spawn().expect_err("it does not exist");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    };
    check();
    let before = open_fds();
    for _ in 0..rounds(1_000, 10_000) {
        check();
    }
    assert_eq!(open_fds(), before);
    #[cfg(target_os = "linux")]
    assert_eq!(support::children(), []);
}

/// Every count of descriptors from too few to enough: the spawn fails at another place each time.
fn few_descriptors() {
    let piped = || {
        let mut command = Command::new("true");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    // The reactor's own descriptors are there before.
    assert!(within(piped().status()).unwrap().success());
    let before = open_fds();
    let (mut refused, mut worked) = (0, 0);
    for spare in 0..24 {
        set_descriptors_max(before + spare);
        match piped().spawn() {
            Ok(mut child) => {
                assert!(within(child.status()).unwrap().success());
                worked += 1;
            }
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::EMFILE), "{error}");
                refused += 1;
            }
        }
        set_descriptors_max(256);
        // The path without a pidfd, once taken, keeps a pair of sockets.
        assert!(open_fds() <= before + 3, "{} descriptors with {spare} to spare", open_fds());
    }
    assert!(refused > 2 && worked > 2, "{refused} refused, {worked} worked");
    #[cfg(target_os = "linux")]
    support::wait_until("no child is left", || support::children().is_empty());
}

fn set_descriptors_max(count: usize) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(count as u64), maximum }).unwrap();
}

#[cfg(target_os = "linux")]
fn no_process() {
    let error = Command::new("true").spawn().expect_err("strace refuses it");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    let before = open_fds();
    for _ in 0..100 {
        Command::new("true").stdout(Stdio::piped()).spawn().expect_err("strace refuses it");
    }
    assert_eq!(open_fds(), before);
}

#[cfg(not(target_os = "linux"))]
fn no_process() {}

fn sigpipe() {
    // SAFETY: no other thread runs, and the default action is a valid one.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    if !knows_no_signal() {
        println!("this kernel is older than 6.18: it always signals");
        return;
    }
    let mut child = Command::new("sh")
        .args(["-c", "exec <&-; echo closed; exec sleep 60"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    within(async {
        assert_eq!(child.lines().next().await.unwrap().unwrap(), Line::Stdout("closed".into()));
        let error = stdin.write_all(&[0; 100]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}

#[cfg(target_os = "linux")]
fn knows_no_signal() -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(18))
}

#[cfg(not(target_os = "linux"))]
fn knows_no_signal() -> bool {
    false
}
