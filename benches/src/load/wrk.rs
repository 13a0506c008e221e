//! HTTP load by wrk.

use std::io;
use std::process::Command;
use std::time::Duration;

use crate::measure::child::Child;

pub struct Outcome {
    pub requests: u64,
    pub elapsed: Duration,
    pub p50: Duration,
    pub p99: Duration,
    /// Of wrk itself.
    pub cpu_time: Duration,
}

/// `GET /hello/wrk` on so many connections.
///
/// # Errors
///
/// Also if a single request fails.
pub fn run(port: u16, connections: usize, time: Duration, cores: &[usize]) -> io::Result<Outcome> {
    let mut command = Command::new("wrk");
    command
        .args(["-t1", "--latency", &format!("-c{connections}"), &format!("-d{}s", time.as_secs())])
        .arg(format!("http://127.0.0.1:{port}/hello/wrk"));
    let (text, cpu_time) = Child::start(command, cores)?.output()?;
    let outcome = parse(&text).map(|outcome| Outcome { cpu_time, ..outcome });
    outcome.ok_or_else(|| io::Error::other(format!("wrk says:\n{text}")))
}

fn parse(text: &str) -> Option<Outcome> {
    if text.contains("Socket errors") || text.contains("Non-2xx") {
        return None;
    }
    let line = text.lines().find(|line| line.contains(" requests in "))?;
    let (requests, rest) = line.trim().split_once(" requests in ")?;
    let (elapsed, _) = rest.split_once(',')?;
    let percentile = |name: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(name))?;
        duration(line.split_whitespace().nth(1)?)
    };
    Some(Outcome {
        requests: requests.parse().ok().filter(|&requests| requests > 0)?,
        elapsed: duration(elapsed)?,
        p50: percentile("50%")?,
        p99: percentile("99%")?,
        cpu_time: Duration::ZERO,
    })
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    Some(Duration::from_secs_f64(number.parse::<f64>().ok()? * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Running 2s test @ http://127.0.0.1:1/hello/wrk\n  Latency Distribution\n     \
                        50%  409.00us\n     75%    1.0ms\n     90%    1.1ms\n     99%    1.50ms\n  \
                        10000 requests in 2.10s, 1.2MB read\nRequests/sec: 1.0\n";

    #[test]
    fn a_report_is_read() {
        let outcome = parse(GOOD).unwrap();
        assert_eq!((outcome.requests, outcome.elapsed), (10000, Duration::from_millis(2100)));
        assert_eq!(outcome.p50, Duration::from_micros(409));
        assert_eq!(outcome.p99, Duration::from_micros(1500));
    }

    #[test]
    fn a_single_error_fails_the_run() {
        assert!(
            parse(&format!("{GOOD}  Socket errors: connect 0, read 1, write 0, timeout 0\n"))
                .is_none()
        );
        assert!(parse(&format!("{GOOD}  Non-2xx or 3xx responses: 1\n")).is_none());
        assert!(parse("").is_none());
    }
}
