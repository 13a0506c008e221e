//! Goal: a process that is stopped for a while goes on as documented: no panic, nothing early, no more ticks than the policy allows (FAULTS M4).
//! Method: this test runs itself as a child that prints its ticks, stops that child and lets it go on. Only that child is ever signalled.

mod support;

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use smolkit_runtime::block_on;
use smolkit_runtime::time::{MissedTickBehavior, interval, sleep};
use support::{TEST_MAX, rounds, within};

const PERIOD: Duration = Duration::from_millis(20);
const CHILD: &str = "SMOLKIT_TEST_STOPPED_CHILD";

/// Ends with the test, however that ends.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Not a test: what the child does.
#[test]
fn child() {
    let Ok(behavior) = std::env::var(CHILD) else { return };
    block_on(async {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(match behavior.as_str() {
            "skip" => MissedTickBehavior::Skip,
            "delay" => MissedTickBehavior::Delay,
            _ => MissedTickBehavior::Burst,
        });
        let start = Instant::now();
        loop {
            let scheduled = ticks.tick().await;
            let taken = Instant::now();
            assert!(taken >= scheduled);
            let at = [scheduled, taken].map(|at| at.saturating_duration_since(start).as_micros());
            writeln!(io::stderr(), "tick {} {}", at[0], at[1]).unwrap();
            let (nap, before) = (PERIOD / 20, Instant::now());
            sleep(nap).await;
            assert!(before.elapsed() >= nap);
        }
    });
}

#[test]
fn a_stop_is_no_reason_for_a_burst_unless_asked_for() {
    let stop = Duration::from_millis(rounds(600, 10_000) as u64);
    let (burst, missed) = caught_up("burst", stop);
    // All of them, but for one at each end.
    assert!(burst + 2 >= missed && missed > 10, "{burst} of {missed} missed ticks");
    for behavior in ["skip", "delay"] {
        let (count, missed) = caught_up(behavior, stop);
        // The late one, and maybe one that was due just then.
        assert!(count <= 2 && missed > 10, "{behavior}: {count} of {missed} missed ticks");
    }
}

/// How many of the ticks that were due during a pause the child takes after it, and how many were due. A pause is a stop, or whatever else has kept
/// the child from its core for about as long: the policy is the same.
fn caught_up(behavior: &'static str, stop: Duration) -> (usize, usize) {
    within(stop * 2 + TEST_MAX, move || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child", "--nocapture"]).env(CHILD, behavior);
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = Reaped(command.spawn().unwrap());
        let pid = Pid::from_raw(child.0.id() as i32).unwrap();
        let mut lines = BufReader::new(child.0.stderr.take().unwrap()).lines();
        // When it was due, and when it was taken.
        let mut tick = || loop {
            let line = lines.next().expect("the child goes on").unwrap();
            if let Some((due, taken)) = line.strip_prefix("tick ").and_then(|at| at.split_once(' '))
            {
                return [due, taken].map(|at| Duration::from_micros(at.parse().unwrap()));
            }
        };
        tick();
        let [_, mut before] = tick();
        kill_process(pid, Signal::STOP).unwrap();
        thread::sleep(stop);
        kill_process(pid, Signal::CONT).unwrap();
        let [mut due, after] = loop {
            let [due, taken] = tick();
            if taken - before > stop / 2 {
                break [due, taken];
            }
            before = taken;
        };
        let missed = ((after - before).as_micros() / PERIOD.as_micros()) as usize;
        let mut count = 0;
        while due <= after {
            count += 1;
            [due, _] = tick();
        }
        (count, missed)
    })
}
