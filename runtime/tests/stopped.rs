//! Goal: a process that is stopped for a while goes on as documented: no panic, nothing early, no more ticks than the policy allows (FAULTS M4).
//! Method: this test runs itself as a child that prints its ticks, stops that child and lets it go on. Only that child is ever signalled.

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use smolkit_runtime::block_on;
use smolkit_runtime::time::{MissedTickBehavior, interval, sleep};
use support::{rounds, within};

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
            assert!(Instant::now() >= scheduled);
            eprintln!("tick {}", start.elapsed().as_micros());
            let (nap, before) = (PERIOD / 20, Instant::now());
            sleep(nap).await;
            assert!(before.elapsed() >= nap);
        }
    });
}

#[test]
fn a_stop_is_no_reason_for_a_burst_unless_asked_for() {
    let stop = Duration::from_millis(rounds(600, 10_000) as u64);
    let missed = (stop.as_nanos() / PERIOD.as_nanos()) as usize;
    let burst = caught_up("burst", stop);
    let (skip, delay) = (caught_up("skip", stop), caught_up("delay", stop));
    // All of them, or the late one and a few that a loaded machine may have delayed.
    assert!(burst >= missed / 2, "{burst} of {missed} missed ticks");
    assert!(skip <= 4, "{skip} ticks at once");
    assert!(delay <= 4, "{delay} ticks at once");
}

/// How many ticks the child takes after a stop until it has to wait for one.
fn caught_up(behavior: &'static str, stop: Duration) -> usize {
    within(stop * 2 + Duration::from_secs(30), move || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child", "--nocapture"]).env(CHILD, behavior);
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = Reaped(command.spawn().unwrap());
        let pid = Pid::from_raw(child.0.id() as i32).unwrap();
        let mut lines = BufReader::new(child.0.stderr.take().unwrap()).lines();
        let mut tick = || loop {
            let line = lines.next().expect("the child goes on").unwrap();
            if let Some(at) = line.strip_prefix("tick ") {
                return Duration::from_micros(at.parse().unwrap());
            }
        };
        tick();
        let mut last = tick();
        kill_process(pid, Signal::STOP).unwrap();
        thread::sleep(stop);
        kill_process(pid, Signal::CONT).unwrap();
        // The pause is the gap between two ticks that is about as long.
        loop {
            let next = tick();
            let before = std::mem::replace(&mut last, next);
            if next - before > stop / 2 {
                break;
            }
        }
        let resumed = last;
        let mut count = 1;
        // Burst: the naps between ticks are part of it, so look at as many ticks as come without a rest.
        loop {
            let next = tick();
            if next - last > PERIOD / 2 {
                return count;
            }
            count += 1;
            last = next;
            assert!(next - resumed < Duration::from_secs(20));
        }
    })
}
