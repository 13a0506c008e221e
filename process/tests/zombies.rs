//! Goal: no child is left as a zombie, no exit is missed, and nobody else's child is waited for (FAULTS P1, P2, P3, P4, P7).
//! Method: children that end when a pipe is closed, all at once; our children are counted in /proc. The tests take turns: they count for
//! the whole process.

#![cfg(target_os = "linux")]
#![allow(clippy::print_stderr)]

mod support;

use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_lite::future;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use smolkit_process::unix::Signal;
use smolkit_process::{Child, Command, Line};
use smolkit_runtime::Runtime;
use support::{children, in_time, pool_is_quiet, rounds, wait_until, within};

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

/// `wanted`, or as many as a user or a container may have beside what else it has.
fn allowed_children(wanted: usize) -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.map(|count| count.saturating_sub(100));
    let processes = getrlimit(Resource::Nproc).current.map(|count| count / 2);
    let in_container = std::fs::read_to_string("/sys/fs/cgroup/pids.max").ok();
    let in_container = in_container.and_then(|count| count.trim().parse::<u64>().ok());
    let limits = [descriptors, processes, in_container.map(|count| count / 2)];
    let allowed = limits.into_iter().flatten().min().map_or(wanted, |limit| limit as usize);
    assert!(allowed >= 100, "too few for this test: {limits:?}");
    wanted.min(allowed)
}

#[test]
fn dropped_handles_leave_no_zombies() {
    let _turn = turn();
    // More descriptors than many systems allow at first: each child has one, and our end of the pipe is copied for each.
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let count = allowed_children(1000);
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
fn started_on_the_pool() {
    let _turn = turn();
    within(async {
        let mut child = Command::new("true").spawn_unblocked().await.unwrap();
        assert!(child.status().await.unwrap().success());
        let error = Command::new("/does/not/exist").spawn_unblocked().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        // Dropped before the process has started, or just after.
        for _ in 0..50 {
            let mut spawned = Box::pin(Command::new("true").spawn_unblocked());
            drop(futures_lite::future::poll_once(spawned.as_mut()).await);
        }
    });
    wait_until("no other one will be started", pool_is_quiet);
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

/// A process that has ended before anybody waited, and a wait that goes on elsewhere.
#[test]
fn waited_for_late() {
    let _turn = turn();
    let status = Command::new("true").status();
    wait_until("it has ended", || children().iter().any(|(_, state)| *state == 'Z'));
    assert!(within(status).unwrap().success());

    let (mut command, pipe) = (Command::new("cat"), pipe_with(PipeFlags::CLOEXEC).unwrap());
    let mut status = Box::pin(command.stdin(Stdio::from(pipe.0)).stdout(Stdio::null()).status());
    drop(command);
    let runtime = Runtime::builder().workers(1).build().unwrap();
    assert!(runtime.block_on(future::poll_once(&mut status)).is_none());
    drop((runtime, pipe.1));
    assert!(within(status).unwrap().success());
    none_left();
}

#[test]
fn killed_and_waited_for() {
    let _turn = turn();
    within(async {
        for _ in 0..rounds(100, 1000) {
            let mut child = Command::new("sleep").arg("600").spawn().unwrap();
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
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap();
    none_left();
}

#[test]
fn statuses_are_those_of_std() {
    let _turn = turn();
    // A place for the core.
    let dir = std::env::temp_dir().join(format!("smolkit-zombies-{}", std::process::id()));
    // One may be left by a process of the same number that was killed.
    std::fs::create_dir_all(&dir).unwrap();
    let core = "ulimit -c unlimited; kill -ABRT $$";
    for script in ["exit 0", "exit 3", "exit 255", "exit 256", "kill -9 $$", "kill -SEGV $$", core]
    {
        // Whether there was a core to be told of may differ from time to time, where a program takes it that has a limit, or has to do.
        wait_until(&format!("the same status of {script}"), || {
            let ours = Command::new("sh").args(["-c", script]).current_dir(&dir).status();
            let mut theirs = std::process::Command::new("sh");
            let theirs = theirs.args(["-c", script]).current_dir(&dir).status().unwrap();
            within(ours).unwrap() == theirs
        });
    }
    std::fs::remove_dir_all(dir).unwrap();
    none_left();
}

/// Somebody else has waited for our child, as a library does that waits for any, and its number is another one's. Without a pidfd there is only the number.
#[cfg(not(smolkit_portable))]
#[test]
fn a_number_that_was_used_again() {
    let _turn = turn();
    let last = "/proc/sys/kernel/ns_last_pid";
    for _ in 0..100 {
        let ours = Command::new("true").kill_on_drop(true).spawn().unwrap();
        let pid = rustix::process::Pid::from_raw(ours.id().try_into().unwrap()).unwrap();
        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap();
        if std::fs::write(last, (ours.id() - 1).to_string()).is_err() {
            eprintln!("not tested, for want of rights");
            return;
        }
        let mut other = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let is_tested = other.id() == ours.id();
        ours.signal(Signal::Terminate).unwrap();
        drop(ours);
        assert!(other.try_wait().unwrap().is_none(), "the other one was signalled");
        other.kill().unwrap();
        let status = other.wait().unwrap();
        // The signal may have been on its way.
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
        if is_tested {
            return none_left();
        }
    }
    eprintln!("not tested: the numbers always went to others");
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
            let grace = Duration::from_millis(if signal.is_some() { 50 } else { 3_600_000 });
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
    // Also one that nobody would wait for otherwise.
    let mut stubborn = Command::new("sh");
    stubborn.args(["-c", "trap '' TERM; echo ready; read line"]).stdin(Stdio::piped());
    stubborn.stdout(Stdio::piped()).reap_on_drop(false);
    let mut child =
        stubborn.kill_on_drop(true).kill_grace(Duration::from_millis(50)).spawn().unwrap();
    let _open = child.stdin.take();
    within(futures_lite::StreamExt::next(&mut child.lines())).unwrap().unwrap();
    drop(child);
    none_left();
}

/// One that has ended and left another in its group: that one is signalled until the first was waited for, and never after.
#[test]
fn what_is_left_of_a_group() {
    let _turn = turn();
    let script = "(trap 'echo one' USR1; trap 'echo two; exit' USR2; echo ready; while :; do sleep 0.01; done) &";
    within(async {
        for is_waited_for in [false, true] {
            let mut command = Command::new("sh");
            command.args(["-c", script]).stdout(Stdio::piped()).stderr(Stdio::null());
            let mut child = command.new_group(true).spawn().unwrap();
            let pid = child.id();
            let mut lines = child.lines();
            let mut line = async || match futures_lite::StreamExt::next(&mut lines).await {
                Some(Ok(Line::Stdout(line))) => line,
                other => panic!("{other:?}"),
            };
            assert_eq!(line().await, "ready");
            wait_until("it has ended", || children().contains(&(pid, 'Z')));
            if is_waited_for {
                assert!(child.status().await.unwrap().success());
            }
            child.signal_group(Signal::User1).unwrap();
            if !is_waited_for {
                assert_eq!(line().await, "one");
            }
            let group = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
            rustix::process::kill_process_group(group, rustix::process::Signal::USR2).unwrap();
            assert_eq!(line().await, "two");
        }
    });
    none_left();
}

#[test]
fn kill_on_drop() {
    let _turn = turn();
    let child = Command::new("sleep").arg("600").kill_on_drop(true).spawn().unwrap();
    drop(child);
    none_left();
    // A future that waits keeps it alive, and kills it when it is dropped itself.
    let mut child = Command::new("sleep").arg("600").kill_on_drop(true).spawn().unwrap();
    let status = child.status();
    drop(child);
    assert_eq!(children().len(), 1);
    drop(status);
    none_left();
    let output = Command::new("sleep").arg("600").kill_on_drop(true).output();
    within(async {
        let mut output = Box::pin(output);
        assert!(futures_lite::future::poll_once(output.as_mut()).await.is_none());
        drop(output);
        in_time(async { none_left() }).await;
    });
}
