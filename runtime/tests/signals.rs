//! Goal: each listener hears each signal, whatever runtimes come and go, and a signal that nobody listens to does what it does by default
//! (FAULTS P7).
//! Method: this process signals itself; where the default effect is its end, in a child that runs the same test.

#![cfg(all(unix, feature = "signal"))]

mod support;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use futures_lite::{StreamExt, future};
use rustix::process::{getpid, kill_process};
use smolkit_runtime::signal::{Arrival, Signal, Signals, ctrl_c, shutdown_signal, terminate};
use smolkit_runtime::{Runtime, block_on};
use support::{TEST_MAX, alone, open_fds, rounds, within};

/// The tests take turns: a signal is for the whole process.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends the signal to this process.
fn send(signal: Signal) {
    kill_process(getpid(), rustix::process::Signal::from_named_raw(signal.as_raw()).unwrap())
        .unwrap();
}

/// Sends it, and returns when its handlers have run: the calling thread runs them.
fn raise(signal: Signal) {
    signal_hook::low_level::raise(signal.as_raw()).unwrap();
}

async fn next(signals: &mut Signals) -> Signal {
    signals.next().await.expect("it never ends").unwrap()
}

fn nothing_more(signals: &mut Signals) {
    assert!(block_on(future::poll_once(signals.next())).is_none());
}

/// In a process of its own: a thread that has taken a signal may get its turn to run the handlers only when the test that has sent it is over, and
/// would tell the listeners of the next one.
#[test]
fn each_listener_in_each_runtime_hears() {
    let _turn = turn();
    alone("each_listener_in_each_runtime_hears", || within(TEST_MAX, each_listener_hears));
}

fn each_listener_hears() {
    /// As long as this process lives, so that no late one finds nobody at home.
    static ALWAYS: OnceLock<Arrival> = OnceLock::new();
    ALWAYS.get_or_init(|| terminate().unwrap());
    for round in 1..=rounds(10, 200) {
        let runtimes = [0, 1].map(|_| Runtime::builder().workers(1).build().unwrap());
        let listeners = runtimes.iter().flat_map(|runtime| {
            (0..3).map(|_| {
                let mut signals = Signals::new([Signal::Terminate, Signal::User1]).unwrap();
                runtime.spawn(async move {
                    let (mut count, mut is_over) = (0, false);
                    // Both may come at once, and then not in the order in which they were sent.
                    while !is_over || count == 0 {
                        match next(&mut signals).await {
                            Signal::User1 => is_over = true,
                            _ => count += 1,
                        }
                    }
                    count
                })
            })
        });
        let listeners: Vec<_> = listeners.collect();
        for _ in 0..100 {
            send(Signal::Terminate);
        }
        send(Signal::User1);
        for listener in listeners {
            let count = block_on(listener);
            // Those of earlier rounds may be late.
            assert!((1..=100 * round).contains(&count), "{count} in round {round}");
        }
    }
}

#[test]
fn those_that_come_at_once_are_merged() {
    let _turn = turn();
    within(TEST_MAX, || {
        let mut signals = Signals::new([Signal::User2, Signal::User1]).unwrap();
        let mut other = Signals::new([Signal::User1]).unwrap();
        for _ in 0..100 {
            raise(Signal::User2);
            raise(Signal::User1);
        }
        block_on(async {
            assert_eq!(next(&mut signals).await, Signal::User1);
            assert_eq!(next(&mut signals).await, Signal::User2);
            assert_eq!(next(&mut other).await, Signal::User1);
        });
        nothing_more(&mut signals);
        nothing_more(&mut other);
    });
}

#[test]
fn one_by_one_none_is_lost() {
    let _turn = turn();
    within(TEST_MAX, || {
        let mut signals = Signals::new([Signal::User1, Signal::User2]).unwrap();
        block_on(async {
            for i in 0..rounds(1_000, 100_000) {
                let signal = if i % 2 == 0 { Signal::User1 } else { Signal::User2 };
                send(signal);
                assert_eq!(next(&mut signals).await, signal);
            }
        });
        nothing_more(&mut signals);
    });
}

#[test]
fn a_listener_outlives_its_runtime() {
    let _turn = turn();
    within(TEST_MAX, || {
        let mut signals = Signals::new([Signal::User1]).unwrap();
        for _ in 0..rounds(20, 500) {
            let runtime = Runtime::builder().workers(1).build().unwrap();
            // It waits in this runtime's poller, which then goes.
            signals = block_on(runtime.spawn(async move {
                assert!(future::poll_once(signals.next()).await.is_none());
                signals
            }));
            drop(runtime);
            send(Signal::User1);
            assert_eq!(block_on(next(&mut signals)), Signal::User1);
        }
    });
}

#[test]
fn listeners_leave_nothing_behind() {
    let _turn = turn();
    within(TEST_MAX, || {
        let listen = || {
            let signals = Signals::new([Signal::User1, Signal::Hangup]).unwrap();
            raise(Signal::User1);
            (signals, ctrl_c().unwrap(), shutdown_signal().unwrap())
        };
        drop(listen());
        let before = open_fds();
        for _ in 0..rounds(200, 5_000) {
            drop(listen());
        }
        assert_eq!(open_fds(), before);
    });
}

#[test]
fn those_that_cannot_be_caught() {
    for signal in [Signal::Kill, Signal::Stop] {
        let error = Signals::new([Signal::User1, signal]).expect_err("nobody can");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(&signal.to_string()), "{error}");
    }
}

#[test]
fn numbers_and_names() {
    assert_eq!(Signal::from_raw(15), Some(Signal::Terminate));
    assert_eq!(Signal::from_raw(Signal::User1.as_raw()), Some(Signal::User1));
    assert_eq!(Signal::from_raw(11), None);
    assert_eq!(Signal::WindowChange.to_string(), "SIGWINCH");
}

// ---- what happens to the whole process ----

const CHILD: &str = "SMOLKIT_TEST_SIGNALS";

/// Runs the test of this name again in a child, where [`is_child`] holds.
fn in_child(name: &str) -> ExitStatus {
    // What starts it opens descriptors, which another test counts.
    let _turn = turn();
    let own = std::env::current_exe().unwrap();
    let mut child = Command::new(own);
    child.args(["--exact", name]).env(CHILD, "1").stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = child.spawn().unwrap();
    within(TEST_MAX, move || child.wait().unwrap())
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

#[test]
fn the_default_comes_back() {
    if is_child() {
        let (first, second) = (ctrl_c().unwrap(), ctrl_c().unwrap());
        raise(Signal::Interrupt);
        block_on(first);
        // One is left, which is enough to go on.
        raise(Signal::Interrupt);
        block_on(second);
        // Dropped, and made again: nobody is hurt, and it hears.
        let again = terminate().unwrap();
        raise(Signal::Terminate);
        block_on(again);
        raise(Signal::Terminate);
        std::process::exit(0);
    }
    assert_eq!(in_child("the_default_comes_back").signal(), Some(Signal::Terminate.as_raw()));
}

#[test]
fn harmless_defaults_stay_harmless() {
    if is_child() {
        let signals = [Signal::Child, Signal::WindowChange, Signal::Continue];
        drop(Signals::new(signals).unwrap());
        signals.into_iter().for_each(raise);
        std::process::exit(7);
    }
    assert_eq!(in_child("harmless_defaults_stay_harmless").code(), Some(7));
}

#[test]
fn a_second_request_ends_the_process() {
    if is_child() {
        let mut shutdown = shutdown_signal().unwrap();
        let mut other = Signals::new([Signal::Terminate]).unwrap();
        raise(Signal::Terminate);
        block_on(&mut shutdown);
        assert_eq!(block_on(next(&mut other)), Signal::Terminate);
        // Still there: it can be asked again.
        block_on(&mut shutdown);
        raise(Signal::Interrupt);
        std::process::exit(0);
    }
    assert_eq!(in_child("a_second_request_ends_the_process").code(), Some(130));
}

/// Goal: who makes the first listener hears what comes from then on, also before it is ready. Method: strace sends the signal with each change of a signal's
/// action in turn, and with the one that installs the handler; the others are ignored.
#[cfg(target_os = "linux")]
#[test]
fn none_is_lost_while_the_first_listener_is_made() {
    const HEARD: i32 = 7;
    const NOTHING_HEARD: i32 = 8;
    if is_child() {
        let has_come = if std::env::var_os("STREAM").is_some() {
            let mut signals = Signals::new([Signal::Terminate]).unwrap();
            block_on(future::poll_once(signals.next())).is_some()
        } else {
            block_on(future::poll_once(shutdown_signal().unwrap())).is_some()
        };
        std::process::exit(if has_come { HEARD } else { NOTHING_HEARD });
    }
    let name = "none_is_lost_while_the_first_listener_is_made";
    let _turn = turn();
    let log = std::env::temp_dir().join(format!("smolkit-signals-{}", std::process::id()));
    for listener in ["STREAM", "SHUTDOWN"] {
        let mut heard = 0;
        // strace counts the calls of each thread for itself.
        for call in 1.. {
            let inject = format!("inject=rt_sigaction:signal=SIGTERM:when={call}");
            let mut strace = Command::new("sh");
            strace.args(["-c", "trap '' TERM; exec \"$@\"", "sh", "strace", "-f", "-qq"]);
            strace.args(["-e", "trace=rt_sigaction", "-e", &inject, "-o"]).arg(&log);
            strace.arg(std::env::current_exe().unwrap()).args(["--exact", name]);
            strace.env(CHILD, "1").env(listener, "1").stdout(Stdio::null()).stderr(Stdio::null());
            // A leak checker cannot trace a process that strace traces already.
            strace.env("ASAN_OPTIONS", "detect_leaks=0");
            let status = within(TEST_MAX, move || strace.status().unwrap());
            let text = std::fs::read_to_string(&log)
                .expect("this test needs strace: install it (Debian: apt-get install strace)");
            let (_, since) = text.split_once("rt_sigaction(SIGTERM, {").expect("it was installed");
            let has_come = since.contains("--- SIGTERM");
            let code = if has_come { HEARD } else { NOTHING_HEARD };
            assert_eq!(status.code(), Some(code), "{text}");
            heard += u32::from(has_come);
            if !text.contains("--- SIGTERM") {
                // No thread has made so many calls.
                break;
            }
        }
        assert!(heard > 0, "it never came when there was a listener");
    }
    std::fs::remove_file(log).unwrap();
}

/// The same one again, while the first is not even looked at: nobody polls, as in a program that is stuck.
#[test]
fn a_second_request_of_the_same_kind() {
    if is_child() {
        let _shutdown = shutdown_signal().unwrap();
        raise(Signal::Terminate);
        raise(Signal::Terminate);
        std::process::exit(0);
    }
    assert_eq!(in_child("a_second_request_of_the_same_kind").code(), Some(143));
}
