//! Goal: no child is left as a zombie, no exit is missed, and nobody else's child is waited for (FAULTS P1, P2, P3, P4, P7).
//! Method: children that end when a pipe is closed, all at once; our children are counted in /proc. The tests take turns: they count for
//! the whole process.

#![cfg(target_os = "linux")]

mod support;

use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use smolkit_process::{Child, Command};
use smolkit_runtime::Runtime;
use support::{children, in_time, rounds, wait_until, within};

fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `count` children that end when the file is dropped.
fn waiting_children(count: usize) -> (Vec<Child>, std::fs::File) {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let children = (0..count).map(|_| {
        let stdin = Stdio::from(reader.try_clone().unwrap());
        Command::new("cat").stdin(stdin).stdout(Stdio::null()).spawn().unwrap()
    });
    (children.collect(), writer.into())
}

fn none_left() {
    wait_until("all children are waited for", || children().is_empty());
}

#[test]
fn dropped_handles_leave_no_zombies() {
    let _turn = turn();
    let count = rounds(200, 1000);
    // Ended before they are dropped, while they are dropped, or after.
    for _ in 0..count {
        drop(Command::new("true").spawn().unwrap());
    }
    none_left();
    let (handles, pipe) = waiting_children(count);
    drop(handles);
    assert_eq!(children().len(), count);
    drop(pipe);
    none_left();
}

#[test]
fn all_exits_at_once_are_seen() {
    let _turn = turn();
    let (mut handles, pipe) = waiting_children(200);
    let runtime = Runtime::builder().workers(2).build().unwrap();
    let waits: Vec<_> = handles.iter_mut().map(|child| runtime.spawn(child.status())).collect();
    drop(pipe);
    within(async {
        for wait in waits {
            assert!(wait.await.unwrap().success());
        }
    });
    none_left();
}

#[test]
fn killed_and_waited_for() {
    let _turn = turn();
    within(async {
        for _ in 0..rounds(100, 1000) {
            let mut child = Command::new("sleep").arg("60").spawn().unwrap();
            child.kill().unwrap();
            assert!(!child.status().await.unwrap().success());
            // Its number may be another's by now: nothing is sent to it.
            child.kill().unwrap();
            assert!(child.try_status().unwrap().is_some());
        }
    });
    none_left();
}

#[test]
fn children_of_others_are_left_alone() {
    let _turn = turn();
    let mut other = std::process::Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
    let ended = |(pid, state)| pid == other.id() && state == 'Z';
    wait_until("the other child has ended", || children().into_iter().any(ended));
    within(async { Command::new("true").status().await.unwrap() });
    for _ in 0..20 {
        drop(Command::new("true").spawn().unwrap());
    }
    wait_until("only the other child is left", || children() == [(other.id(), 'Z')]);
    assert_eq!(other.wait().unwrap().code(), Some(7));

    let mut kept = Command::new("true").reap_on_drop(false).spawn().unwrap();
    let pid = kept.id();
    drop(kept.stdin.take());
    drop(kept);
    wait_until("it stays, as was asked", || children() == [(pid, 'Z')]);
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap();
    none_left();
}

#[test]
fn runtimes_come_and_go() {
    let _turn = turn();
    let rounds = rounds(20, 100);
    let (mut survivors, pipe) = waiting_children(3);
    let survivor = survivors.pop().unwrap();
    for _ in 0..rounds {
        let runtimes = [0, 1].map(|_| Runtime::builder().workers(1).build().unwrap());
        let waits = runtimes.each_ref().map(|runtime| {
            // This one is left behind by its runtime.
            let (mut left_behind, pipe) = waiting_children(1);
            runtime.spawn(async move { drop(left_behind[0].status().await) }).detach();
            let wait = runtime.spawn(async { Command::new("true").status().await.unwrap() });
            (wait, pipe)
        });
        for (wait, pipe) in waits {
            assert!(within(wait).success());
            drop(pipe);
        }
    }
    wait_until("those left behind are waited for", || children().len() == 3);
    // Registered with a runtime that goes, and waited for all the same.
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let mut child = survivor;
    let waiting = runtime.spawn(async move {
        let waited = futures_lite::future::poll_once(child.status()).await;
        assert!(waited.is_none());
        child
    });
    let mut child = within(waiting);
    let mut second = survivors.pop().unwrap();
    let lost = runtime.spawn(second.status());
    drop(runtime);
    drop(lost);
    drop(survivors);
    drop(pipe);
    assert!(within(child.status()).unwrap().success());
    assert!(within(second.status()).unwrap().success());
    none_left();
}

#[test]
fn grace_before_the_kill() {
    let _turn = turn();
    // One obeys, one does not: each says that it is ready.
    let ready = "echo ready; while :; do sleep 0.01; done";
    for (script, signal) in [
        (format!("trap 'exit 3' TERM; {ready}"), None),
        (format!("trap '' TERM; {ready}"), Some(9)),
    ] {
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .stdout(Stdio::piped())
            .new_group(true)
            .spawn()
            .unwrap();
        let mut lines = child.lines();
        within(async {
            futures_lite::StreamExt::next(&mut lines).await.unwrap().unwrap();
            let grace = Duration::from_millis(if signal.is_some() { 50 } else { 15_000 });
            let status = child.terminate(grace).await.unwrap();
            use std::os::unix::process::ExitStatusExt;
            assert_eq!(status.signal(), signal);
            assert_eq!(status.code(), if signal.is_some() { None } else { Some(3) });
        });
        // The same on drop, with all of the group: the script's own children have our pipe open.
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .stdout(Stdio::piped())
            .new_group(true)
            .kill_on_drop(true)
            .kill_grace(Duration::from_millis(50))
            .spawn()
            .unwrap();
        let mut lines = child.lines();
        within(async {
            futures_lite::StreamExt::next(&mut lines).await.unwrap().unwrap();
            drop(child);
            assert!(futures_lite::StreamExt::next(&mut lines).await.is_none());
        });
    }
    none_left();
}

#[test]
fn kill_on_drop() {
    let _turn = turn();
    let child = Command::new("sleep").arg("60").kill_on_drop(true).spawn().unwrap();
    drop(child);
    none_left();
    // A future that waits keeps it alive, and kills it when it is dropped itself.
    let mut child = Command::new("sleep").arg("60").kill_on_drop(true).spawn().unwrap();
    let status = child.status();
    drop(child);
    assert_eq!(children().len(), 1);
    drop(status);
    none_left();
    let output = Command::new("sleep").arg("60").kill_on_drop(true).output();
    within(async {
        let mut output = Box::pin(output);
        assert!(futures_lite::future::poll_once(output.as_mut()).await.is_none());
        drop(output);
        in_time(async { none_left() }).await;
    });
}
