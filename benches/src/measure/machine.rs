//! What the figures were measured on, and whether it was quiet.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::cpu;

/// More than this share of a core used by others spoils a figure.
const QUIET_SHARE_MAX: f64 = 0.1;

/// The machine's time comes in ticks of 10 ms, ours in nanoseconds: one too many at the start of a window, one at its end. In short windows that is most of it.
const TICKS_MAY_ERR: Duration = Duration::from_millis(20);

/// Cores, kernel and the peers' versions; nothing that names the machine.
pub fn describe() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.split(['-', '\n']).next().unwrap_or_default().to_owned();
    let peers = ["tokio", "smol", "monoio", "hyper", "axum"]
        .map(|name| format!("{name} {}", version(name)));
    format!("{cores} cores, {}, Linux {kernel}; {}", std::env::consts::ARCH, peers.join(", "))
}

fn version(name: &str) -> &'static str {
    let lock = include_str!("../../Cargo.lock");
    let entry = format!("name = \"{name}\"\nversion = \"");
    let start = lock.find(&entry).map_or(lock.len(), |at| at + entry.len());
    lock[start..].split('"').next().unwrap_or_default()
}

/// Cores for the server and for the load; the same ones if there are not enough.
pub fn cores(server_count: usize) -> (Vec<usize>, Vec<usize>) {
    let all = thread::available_parallelism().map_or(1, usize::from);
    let server = (0..server_count.min(all)).collect();
    let load = if server_count < all { vec![all - 1] } else { (0..all).collect() };
    (server, load)
}

/// Measures once; if others used the machine meanwhile, waits for them to stop and measures again, until the deadline.
///
/// `measure` gives its result and the share of a core that others had. The share that remains in the end comes with the result.
pub fn quietly<T>(
    deadline: Instant,
    mut measure: impl FnMut() -> io::Result<(T, f64)>,
) -> io::Result<(T, f64)> {
    loop {
        let (result, share) = measure()?;
        if share <= QUIET_SHARE_MAX || Instant::now() >= deadline {
            return Ok((result, share));
        }
        wait_for_quiet(deadline)?;
    }
}

fn wait_for_quiet(deadline: Instant) -> io::Result<()> {
    while Instant::now() < deadline {
        let others = Others::watch()?;
        thread::sleep(Duration::from_millis(300));
        if others.share(Duration::ZERO)? <= QUIET_SHARE_MAX {
            break;
        }
    }
    Ok(())
}

/// Watches what others use while something is measured.
pub struct Others {
    start: Instant,
    machine: Duration,
}

impl Others {
    pub fn watch() -> io::Result<Others> {
        Ok(Others { start: Instant::now(), machine: cpu::time_of_machine()? })
    }

    /// The share of a core that went to neither of the processes measured, which used `ours`; as far as ticks tell.
    pub fn share(&self, ours: Duration) -> io::Result<f64> {
        let used = cpu::time_of_machine()?.saturating_sub(self.machine).saturating_sub(ours);
        let used = used.saturating_sub(TICKS_MAY_ERR);
        Ok(used.as_secs_f64() / self.start.elapsed().as_secs_f64())
    }
}

/// Says it once, below a table.
pub fn report_others(shares: &[f64]) {
    let disturbed = shares.iter().filter(|&&share| share > QUIET_SHARE_MAX).count();
    if disturbed > 0 {
        let max = shares.iter().copied().fold(0.0, f64::max);
        println!(
            "Disturbed: in {disturbed} of {} windows others used more than a tenth of a core, {max:.2} at most.\n",
            shares.len()
        );
    }
}
