//! Cores, and the time that processes spend on them.

use std::io;
use std::time::Duration;

/// The processor time that a process and all its threads, living and dead, have used. Nanosecond resolution, unlike `/proc/PID/stat`.
pub fn time_of_process(pid: u32) -> io::Result<Duration> {
    let mut clock = 0;
    // SAFETY: `clock` is a valid place for the result.
    let error = unsafe { libc::clock_getcpuclockid(pid as libc::pid_t, &mut clock) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the result.
    if unsafe { libc::clock_gettime(clock, &mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// Keeps the calling thread, and whatever it starts, on these cores.
pub fn pin(cores: &[usize]) -> io::Result<()> {
    // SAFETY: a `cpu_set_t` of zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for &core in cores {
        // SAFETY: `CPU_SET` checks the index against the size of the set.
        unsafe { libc::CPU_SET(core, &mut set) };
    }
    // SAFETY: `set` is as large as said.
    if unsafe { libc::sched_setaffinity(0, size_of_val(&set), &set) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The processor time that the whole machine has used for anything but waiting, in a resolution of 10 ms for each core.
pub fn time_of_machine() -> io::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let first = stat.lines().next().unwrap_or_default();
    let ticks = first.split_whitespace().skip(1).map(|field| field.parse().unwrap_or(0));
    // user, nice, system, (idle, iowait,) irq, softirq, steal; see proc(5).
    let busy: u64 =
        ticks.take(8).enumerate().filter(|(i, _)| ![3, 4].contains(i)).map(|(_, t)| t).sum();
    Ok(Duration::from_millis(busy * 10))
}
