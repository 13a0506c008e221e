//! How many system calls a process makes, by name, without slowing it down: perf's tracepoints.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::process::{Child, Command, Stdio};

/// Those that matter in one bench or another; all others are counted as "other".
const NAMES: [&str; 31] = [
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_ctl",
    "read",
    "readv",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "write",
    "writev",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "splice",
    "futex",
    "timerfd_settime",
    "accept4",
    "sched_yield",
    "madvise",
    "openat",
    "openat2",
    "close",
    "lseek",
    "fcntl",
    "statx",
    "newfstat",
    "preadv2",
    "copy_file_range",
    "ftruncate",
    "io_uring_enter",
];
const ALL: &str = "raw_syscalls:sys_enter";

/// A running count.
pub struct Counter {
    perf: Child,
    control: File,
    acknowledged: BufReader<File>,
}

/// What was counted.
#[derive(Debug, Default)]
pub struct Counts {
    pub total: u64,
    pub by_name: BTreeMap<String, u64>,
}

impl Counter {
    /// Counts the calls of all threads of a process from now on.
    ///
    /// # Errors
    ///
    /// Where perf is missing, or may not look.
    pub fn start(pid: u32) -> io::Result<Counter> {
        let (control_end, control) = pipe()?;
        let (acknowledged, acknowledge_end) = pipe()?;
        let mut events = vec![ALL.to_owned()];
        events.extend(NAMES.iter().map(|name| format!("syscalls:sys_enter_{name}")));
        let ends = format!("fd:{},{}", control_end.as_raw_fd(), acknowledge_end.as_raw_fd());
        let perf = Command::new("perf")
            .args(["stat", "-x,", "-D", "-1", "--control", &ends, "-e", &events.join(","), "-p"])
            .arg(pid.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let acknowledged = BufReader::new(acknowledged);
        let mut counter = Counter { perf, control, acknowledged };
        drop((control_end, acknowledge_end));
        counter.command("enable")?;
        Ok(counter)
    }

    pub fn stop(mut self) -> io::Result<Counts> {
        self.command("disable")?;
        // SAFETY: a plain system call; perf has not been waited for, so the number is still its own.
        unsafe { libc::kill(self.perf.id() as libc::pid_t, libc::SIGINT) };
        let mut text = String::new();
        self.perf.stderr.take().expect("it is piped").read_to_string(&mut text)?;
        self.perf.wait()?;
        Ok(parse(&text))
    }

    fn command(&mut self, command: &str) -> io::Result<()> {
        writeln!(self.control, "{command}")?;
        let mut answer = String::new();
        if self.acknowledged.read_line(&mut answer)? == 0 {
            return Err(io::Error::other("perf did not start"));
        }
        Ok(())
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        let _ = self.perf.kill();
        let _ = self.perf.wait();
    }
}

/// Lines such as `123,,syscalls:sys_enter_read,…`.
fn parse(text: &str) -> Counts {
    let mut counts = Counts::default();
    for line in text.lines() {
        let mut fields = line.split(',');
        let (Some(count), Some(_unit), Some(event)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let Ok(count) = count.parse::<u64>() else { continue };
        match event.strip_prefix("syscalls:sys_enter_") {
            Some(name) if count > 0 => {
                counts.by_name.insert(name.to_owned(), count);
            }
            None if event == ALL => counts.total = count,
            _ => {}
        }
    }
    let named: u64 = counts.by_name.values().sum();
    if counts.total > named {
        counts.by_name.insert("other".into(), counts.total - named);
    }
    counts
}

/// The read and the write end, both of which children inherit.
fn pipe() -> io::Result<(File, File)> {
    let mut ends = [0; 2];
    // SAFETY: there is room for two descriptors.
    if unsafe { libc::pipe(ends.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `pipe` made the descriptor, and nobody else has it.
    let read = unsafe { File::from_raw_fd(ends[0]) };
    // SAFETY: as above.
    let write = unsafe { File::from_raw_fd(ends[1]) };
    Ok((read, write))
}

/// For a table: calls for each of `units`, and by name those that come at least once in a hundred.
pub fn cell(counts: &[Counts], units: u64) -> String {
    if units == 0 {
        return "-".into();
    }
    let mut by_name: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, count) in counts.iter().flat_map(|counts| &counts.by_name) {
        *by_name.entry(name).or_default() += count;
    }
    let each = |count: u64| count as f64 / units as f64;
    let total: u64 = counts.iter().map(|counts| counts.total).sum();
    let names = by_name.iter().filter(|&(_, &count)| each(count) >= 0.01);
    let names: Vec<_> = names.map(|(name, &count)| format!("{name} {:.2}", each(count))).collect();
    format!("{:.2}: {}", each(total), names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_the_fields() {
        let text = "10,,raw_syscalls:sys_enter,5,100.00,,\n7,,syscalls:sys_enter_read,5,100.00,,\n\
                    0,,syscalls:sys_enter_write,5,100.00,,\n<not counted>,,x,0,100.00,,\n";
        let counts = parse(text);
        assert_eq!(counts.total, 10);
        assert_eq!(counts.by_name, BTreeMap::from([("other".into(), 3), ("read".into(), 7)]));
    }
}
