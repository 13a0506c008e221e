//! Goal: a spawn that fails is an error that leaves nothing behind, and a pipe that nobody reads is one even where SIGPIPE ends processes
//! (FAULTS P5, P6, H17).
//! Method: this program starts itself again for each case, with few descriptors or none, under strace that refuses processes, with a limit of
//! processes, or with SIGPIPE as the system has it. It has no test harness, whose threads would be refused, too.

#![allow(clippy::print_stdout)]

mod support;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command as StdCommand, Stdio};
use std::time::Duration;

use futures_lite::{AsyncWriteExt, StreamExt, future};
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, WaitId, WaitIdOptions, getrlimit, setrlimit, waitid};
use smolkit_process::{Command, Line};
use support::{open_fds, pool_is_quiet, rounds, start_reactor, within};

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("case:missing") => missing(),
        Some("case:few descriptors") => few_descriptors(),
        Some("case:no descriptor to watch with") => no_descriptor_to_watch_with(),
        Some("case:no process") => no_process(),
        Some("case:sigpipe") => sigpipe(),
        Some("case:ignored") => ignored(),
        Some("case:cancelled") => cancelled(),
        Some("case:no process allowed") => no_process_allowed(),
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
    run("no descriptor to watch with", StdCommand::new(&own));
    #[cfg(target_os = "linux")]
    {
        let mut strace = StdCommand::new("strace");
        strace.args(["-qq", "-o", "/dev/null", "-e", "trace=clone,clone3,vfork,fork"]);
        strace.args(["-e", "inject=clone,clone3,vfork,fork:error=EAGAIN"]).arg(&own);
        run("no process", strace);
        run("sigpipe", StdCommand::new(&own));
        // The child has ended, and is gone, before it is looked at.
        let mut strace = StdCommand::new("strace");
        strace.args(["-qq", "-o", "/dev/null", "-e", "trace=pidfd_open"]);
        strace.args(["-e", "inject=pidfd_open:delay_enter=200000"]).arg(&own);
        run("ignored", strace);
        run("cancelled", StdCommand::new(&own));
        if rustix::process::getuid().is_root() {
            // Root is not limited. Nobody may not be allowed to where the program is built.
            let copy = std::env::temp_dir().join(format!("smolkit-starved-{}", std::process::id()));
            std::fs::copy(&own, &copy).unwrap();
            let mut nobody = StdCommand::new(&copy);
            nobody.uid(NOBODY).gid(NOBODY);
            run("no process allowed", nobody);
            std::fs::remove_file(&copy).unwrap();
        } else {
            run("no process allowed", StdCommand::new(&own));
        }
    }
}

#[cfg(target_os = "linux")]
const NOBODY: u32 = 65_534;

/// Futures that own a process and are dropped at every stage (FAULTS H17).
#[cfg(target_os = "linux")]
fn cancelled() {
    let sleep = || {
        let mut command = Command::new("sleep");
        command.arg("600").kill_on_drop(true);
        command
    };
    let once = |stage: usize| {
        within(async {
            match stage {
                0 => drop(sleep().output()),
                1 => drop(future::poll_once(sleep().output()).await),
                2 => drop(future::poll_once(sleep().status()).await),
                3 => drop(sleep().spawn_unblocked()),
                4 => drop(future::poll_once(sleep().spawn_unblocked()).await),
                _ => {
                    let mut command = sleep();
                    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
                    let child = child.as_mut().unwrap();
                    let mut stdin = child.stdin.take().unwrap();
                    // More than the pipe holds, so that both wait.
                    let bytes = vec![0; 1 << 20];
                    drop(future::poll_once(stdin.write_all(&bytes)).await);
                    drop(future::poll_once(child.lines().next()).await);
                }
            }
        });
    };
    let settled = || {
        // In this order: what a thread of the pool was given may still be to start.
        support::wait_until("no other one will be started", pool_is_quiet);
        support::wait_until("no child is left", || support::children().is_empty());
    };
    (0..6).for_each(once);
    settled();
    let before = open_fds();
    for i in 0..rounds(300, 10_000) {
        once(i % 6);
    }
    settled();
    support::wait_until("all descriptors are closed", || open_fds() <= before);
}

/// As `ulimit -u` in a container: neither a process nor a thread is to be had.
#[cfg(target_os = "linux")]
fn no_process_allowed() {
    let allow = |count| {
        let maximum = getrlimit(Resource::Nproc).maximum;
        setrlimit(Resource::Nproc, Rlimit { current: count, maximum }).unwrap();
    };
    let before_limit = getrlimit(Resource::Nproc).current;
    assert!(within(Command::new("true").status()).unwrap().success());
    // The shell says that it is there, and ends when its input does.
    let mut orphan =
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let input = orphan.stdin.take();
    let before = open_fds();

    allow(Some(1));
    for _ in 0..100 {
        let error = Command::new("true").stdout(Stdio::piped()).spawn().expect_err("one too many");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
    }
    assert_eq!(open_fds(), before);
    // The thread that would wait for it is refused.
    drop(orphan);
    drop(input);
    support::wait_until("it has ended", || support::children().iter().any(|(_, s)| *s == 'Z'));

    allow(before_limit);
    // Those that were left are looked after at the next spawn.
    assert!(within(Command::new("true").status()).unwrap().success());
    support::wait_until("no child is left", || support::children().is_empty());
}

/// A program that ignores SIGCHLD, so that the system waits for its children, goes on doing so.
#[cfg(target_os = "linux")]
fn ignored() {
    // SAFETY: no other thread runs, and to ignore it is valid.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let error = within(Command::new("true").status()).expect_err("the system has waited for it");
    assert_eq!(error.raw_os_error(), Some(libc::ECHILD), "{error}");
    if cfg!(smolkit_portable) {
        // There, the signal is the only way to learn of an end.
        return;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
    assert!(ignored & 1 << (libc::SIGCHLD - 1) != 0, "{ignored:x}");
}

#[cfg(not(target_os = "linux"))]
fn ignored() {}

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
    start_reactor();
    assert!(within(piped().status()).unwrap().success());
    let before = open_fds();
    let (mut refused, mut worked) = (0, 0);
    for spare in 0..24 {
        leave_descriptors(spare);
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
        support::wait_until("all others are closed", || open_fds() <= before + 2);
    }
    assert!(refused > 2 && worked > 2, "{refused} refused, {worked} worked");
    #[cfg(target_os = "linux")]
    support::wait_until("no child is left", || support::children().is_empty());
}

/// Children that were started in better times: without a reactor, which would take descriptors, they are waited for all the same, and killed when they
/// shall be.
fn no_descriptor_to_watch_with() {
    let (ready, out) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let start = |is_killed| {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; echo ready; read line"]);
        command.stdin(Stdio::piped()).stdout(out.try_clone().unwrap());
        command.kill_on_drop(is_killed).kill_grace(Duration::from_millis(50));
        let child = command.spawn().unwrap();
        assert_eq!(rustix::io::read(&ready, &mut [0; 6]).unwrap(), 6);
        child
    };
    let (mut asked, mut dropped, mut stubborn) = (start(false), start(false), start(true));
    let (stdin, _open) = (dropped.stdin.take(), stubborn.stdin.take());
    set_descriptors_max(0);
    assert!(out.try_clone().is_err(), "the limit works");
    // Its input ends.
    assert_eq!(within(asked.status()).unwrap().code(), Some(1));
    let pids =
        [dropped.id(), stubborn.id()].map(|pid| Pid::from_raw(pid.try_into().unwrap()).unwrap());
    drop((stdin, dropped, stubborn));
    support::wait_until("both are waited for", || {
        // Asked of our children alone, because somebody else may have such a number by now.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let is_over = |&pid: &Pid| waitid(WaitId::Pid(pid), options).err() == Some(Errno::CHILD);
        pids.iter().all(is_over)
    });
}

/// Lowers the limit so that this process can open so many more. Some that it was started with may have high numbers.
fn leave_descriptors(spare: usize) {
    let names = std::fs::read_dir("/dev/fd").unwrap().map(|entry| entry.unwrap().file_name());
    let open: Vec<usize> = names.map(|name| name.to_str().unwrap().parse().unwrap()).collect();
    // The directory's own had the lowest that was free, as this one has.
    let lowest = File::open("/dev/null").unwrap().as_raw_fd() as usize;
    let is_free = |number: &usize| *number == lowest || !open.contains(number);
    let last = (0..).filter(is_free).nth(spare).expect("there are enough numbers");
    set_descriptors_max(last);
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
        .args(["-c", "exec <&-; echo closed; exec sleep 600"])
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
