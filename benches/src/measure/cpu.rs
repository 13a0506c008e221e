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

/// What this process, all its threads, has used so far: context switches among other things.
pub fn usage_of_process() -> io::Result<libc::rusage> {
    // SAFETY: it is made of numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a valid place for the result.
    match unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) } {
        0 => Ok(usage),
        _ => Err(io::Error::last_os_error()),
    }
}

/// As many descriptors as this process and its children may have.
pub fn raise_open_files() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the result.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is read only.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } {
        0 => Ok(limit.rlim_cur),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The memory of a process that is in use.
pub fn resident_bytes(pid: u32) -> io::Result<u64> {
    let pages = std::fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    let pages = pages.ok_or_else(|| io::Error::other("/proc/PID/statm is not as expected"))?;
    // SAFETY: a plain query.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Ok(pages * page_bytes as u64)
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
