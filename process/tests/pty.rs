//! Goal: a child on a pseudo-terminal finds one, with our size, as the leader of a session; all that it writes arrives, and then the end.
//! Method: children that say what they find, on Linux's side and ours.

#![cfg(unix)]
#![allow(clippy::print_stderr)]

mod support;

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use smolkit_process::unix::Signal;
use smolkit_process::{Command, Pty, WindowSize};
use support::{alone, open_fds, rounds, start_reactor, within};

const SIZE: WindowSize = WindowSize { rows: 30, columns: 100 };

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

/// Reads up to where `wanted` has come.
async fn read_until(mut pty: &Pty, wanted: &str) -> String {
    let mut said = Vec::new();
    loop {
        let mut chunk = [0; 100];
        let count = pty.read(&mut chunk).await.unwrap();
        assert!(count > 0, "the end, after {:?}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&said);
        if text.contains(wanted) {
            return text.into_owned();
        }
    }
}

/// Under `nohup`, or in the background of a script, children inherit that they ignore these signals: nothing can be seen then.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let bits = ignored.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    let is_ignored = bits.is_some_and(|bits| bits & (1 << (signal.as_raw() - 1)) != 0);
    if is_ignored {
        eprintln!("not tested: this process was started with {signal} ignored");
    }
    is_ignored
}

#[test]
fn a_session_with_a_terminal() {
    within(async {
        let mut pty = Pty::open(SIZE).unwrap();
        assert_eq!(pty.window_size().unwrap(), SIZE);
        // The numbers of the process, its group and its session, and the terminal's name by which only its own session finds it.
        let script = "test -t 0 && test -t 1 && test -t 2 && stty size && stty size < /dev/tty && \
                      echo pid $$ && ps -o pgid=,sid=,tpgid= -p $$";
        let mut child = pty.spawn(&mut sh(script)).unwrap();
        let mut said = String::new();
        pty.read_to_string(&mut said).await.unwrap();
        let pid = child.id();
        assert!(child.status().await.unwrap().success(), "{said}");
        let mut lines = said.lines();
        assert_eq!(lines.next(), Some("30 100"));
        assert_eq!(lines.next(), Some("30 100"));
        assert_eq!(lines.next(), Some(&*format!("pid {pid}")));
        let numbers: Vec<u32> =
            lines.next().unwrap().split_whitespace().map(|n| n.parse().unwrap()).collect();
        assert_eq!(numbers, [pid; 3]);
    });
}

#[test]
fn all_of_it_and_then_the_end() {
    within(async {
        for _ in 0..rounds(5, 100) {
            let mut pty = Pty::open(SIZE).unwrap();
            let mut child = pty.spawn(&mut sh("head -c 1000000 /dev/zero | tr '\\0' x")).unwrap();
            let mut said = Vec::new();
            pty.read_to_end(&mut said).await.unwrap();
            assert_eq!(said.len(), 1_000_000);
            assert!(said.iter().all(|&byte| byte == b'x'));
            // It stays at the end, and nobody reads what we write.
            assert_eq!(pty.read(&mut [0]).await.unwrap(), 0);
            assert!(child.status().await.unwrap().success());
        }
    });
}

#[test]
fn nobody_is_there_any_more() {
    within(async {
        let mut pty = Pty::open(SIZE).unwrap();
        assert!(pty.spawn(&mut sh("exit 0")).unwrap().status().await.unwrap().success());
        assert_eq!(pty.read(&mut [0]).await.unwrap(), 0);
        let mut second = pty.spawn(&mut sh("echo second")).unwrap();
        read_until(&pty, "second\r\n").await;
        assert!(second.status().await.unwrap().success());
    });
}

#[test]
fn a_window_of_another_size() {
    within(async {
        let mut pty = Pty::open(SIZE).unwrap();
        let script = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.01; done";
        let mut child = pty.spawn(sh(script).kill_on_drop(true)).unwrap();
        read_until(&pty, "ready\r\n").await;
        let size = WindowSize { rows: 11, columns: 22 };
        pty.set_window_size(size).unwrap();
        read_until(&pty, "11 22\r\n").await;
        assert_eq!(pty.window_size().unwrap(), size);
        child.signal_group(Signal::Kill).unwrap();
        assert_eq!(child.status().await.unwrap().signal(), Some(9));
    });
}

#[test]
fn the_keyboard() {
    if is_ignored(Signal::Interrupt) {
        return;
    }
    within(async {
        // Ctrl-C interrupts what is in front; Ctrl-D ends the input.
        let mut pty = Pty::open(SIZE).unwrap();
        let mut child = pty.spawn(&mut sh("echo ready; exec cat")).unwrap();
        read_until(&pty, "ready\r\n").await;
        // Two tasks share it: one types, one reads. The terminal repeats, and cat repeats.
        let typed = async { (&pty).write_all(b"line\n").await.unwrap() };
        future::zip(typed, read_until(&pty, "line\r\nline\r\n")).await;
        pty.write_all(b"\x03").await.unwrap();
        assert_eq!(child.status().await.unwrap().signal(), Some(2));

        let mut pty = Pty::open(SIZE).unwrap();
        let mut child = pty.spawn(&mut sh("stty -echo; echo ready; cat; echo over")).unwrap();
        read_until(&pty, "ready\r\n").await;
        pty.write_all(b"x\n\x04").await.unwrap();
        assert_eq!(read_until(&pty, "over\r\n").await, "x\r\nover\r\n");
        assert!(child.status().await.unwrap().success());
    });
}

#[test]
fn dropped_it_hangs_up() {
    if is_ignored(Signal::Hangup) {
        return;
    }
    within(async {
        let mut pty = Pty::open(SIZE).unwrap();
        let mut child = pty.spawn(&mut sh("echo ready; exec sleep 600")).unwrap();
        read_until(&pty, "ready\r\n").await;
        drop(pty);
        assert_eq!(child.status().await.unwrap().signal(), Some(Signal::Hangup.as_raw()));
    });
}

#[test]
fn the_command_is_as_before() {
    within(async {
        let mut command = sh("test -t 1 && echo terminal || echo none");
        let mut pty = Pty::open(SIZE).unwrap();
        let mut child = pty.spawn(&mut command).unwrap();
        read_until(&pty, "terminal\r\n").await;
        assert!(child.status().await.unwrap().success());
        assert_eq!(command.output().await.unwrap().stdout, b"none\n");
        command.stdout(Stdio::piped()).new_group(true);
        assert_eq!(command.output().await.unwrap().stdout, b"none\n");
        let error = pty.spawn(&mut command).expect_err("a group's leader begins no session");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn what_fails_leaves_nothing_behind() {
    within(async {
        let missing = || {
            let mut pty = Pty::open(SIZE).unwrap();
            let error = pty.spawn(&mut Command::new("/does/not/exist")).expect_err("nothing there");
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            pty
        };
        // It can still be used.
        let mut pty = missing();
        let mut child = pty.spawn(&mut sh("echo here")).unwrap();
        read_until(&pty, "here\r\n").await;
        assert!(child.status().await.unwrap().success());
        drop((pty, child));
    });
}

#[test]
fn descriptors_do_not_pile_up() {
    alone("descriptors_do_not_pile_up", || {
        within(async {
            let once = async || {
                let mut pty = Pty::open(SIZE).unwrap();
                let mut child = pty.spawn(&mut sh("exit 0")).unwrap();
                assert_eq!(pty.read(&mut [0]).await.unwrap(), 0);
                assert!(child.status().await.unwrap().success());
            };
            start_reactor();
            once().await;
            let before = open_fds();
            for _ in 0..rounds(50, 1_000) {
                once().await;
            }
            assert_eq!(open_fds(), before);
        });
    });
}
