//! Goal: durations are those of the monotonic clock, whatever that clock or the time of day says (FAULTS M5).
//! Method: this test runs itself in time namespaces whose monotonic clock is off by years. Where the system permits none, it says so and passes.

#![cfg(target_os = "linux")]

mod support;

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use smolkit_runtime::time::{interval, sleep, timeout};
use smolkit_runtime::{Runtime, block_on};
use support::{STEP_MAX, TEST_MAX, within};

const CHILD: &str = "SMOLKIT_TEST_CLOCKS_CHILD";

/// Not a test by itself: what runs in the namespace.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    within(TEST_MAX, || {
        async fn check() {
            let (nap, start) = (Duration::from_millis(20), Instant::now());
            sleep(nap).await;
            assert!(start.elapsed() >= nap && start.elapsed() < STEP_MAX);
            assert!(timeout(nap, sleep(Duration::from_secs(3_600))).await.is_err());
            let mut ticks = interval(Duration::from_millis(2));
            for _ in 0..5 {
                ticks.tick().await;
            }
            assert!(start.elapsed() < TEST_MAX);
        }
        block_on(check());
        block_on(Runtime::builder().workers(2).build().unwrap().spawn(check()));
    });
}

#[test]
fn a_clock_that_is_off_by_years() {
    // Of the time since boot, not before it: the kernel keeps the clock above zero.
    for offset in ["100000000", "3000000000"] {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--time", "--fork", "--kill-child"]);
        unshare.args(["--monotonic", offset]);
        let probe = unshare.arg("true").output();
        if !probe.as_ref().is_ok_and(|output| output.status.success()) {
            let reason = "not tested: no time namespace is to be had here";
            writeln!(std::io::stderr(), "{reason} ({probe:?})").unwrap();
            return;
        }
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--time", "--fork", "--kill-child"]);
        unshare.args(["--monotonic", offset]).arg(std::env::current_exe().unwrap());
        let output = unshare.args(["--exact", "child"]).env(CHILD, "1").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{offset}: {text}");
        assert!(text.contains("1 passed"), "{offset}: {text}");
    }
}
