//! What the process uses, read from `/proc` at each scrape.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// The metrics of the process, under the names that all of Prometheus's client libraries use.
///
/// `process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_virtual_memory_bytes`, `process_open_fds`,
/// `process_max_fds`, `process_threads`, `process_start_time_seconds`. A value that cannot be read is left out.
///
/// # Platform
///
/// Linux; elsewhere it registers nothing that is written.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ProcessMetrics;

impl ProcessMetrics {
    /// Adds the metrics to the registry. Once per registry: names must be unique.
    pub fn register(registry: &mut Registry) {
        registry.register_collector(Box::new(ProcessMetrics));
    }
}

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, metric_type, value) in readings() {
            let mut encoder = encoder.encode_descriptor(name, help, None, metric_type)?;
            match metric_type {
                MetricType::Counter => {
                    encoder.encode_counter::<NoLabelSet, f64, f64>(&value, None)?;
                }
                _ => encoder.encode_gauge(&value)?,
            }
        }
        Ok(())
    }
}

type Reading = (&'static str, &'static str, MetricType, f64);

#[cfg(any(target_os = "linux", target_os = "android"))]
fn readings() -> Vec<Reading> {
    use std::fs;

    use rustix::process::{Resource, getrlimit};

    let mut readings = Vec::with_capacity(7);
    let mut gauge = |name, help, value: f64| readings.push((name, help, MetricType::Gauge, value));
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        // Without the one that lists them.
        let count = entries.count().saturating_sub(1);
        gauge("process_open_fds", "Open file descriptors", count as f64);
    }
    let limit = getrlimit(Resource::Nofile).current.map_or(f64::INFINITY, |limit| limit as f64);
    gauge("process_max_fds", "Most file descriptors that may be open", limit);

    // proc_pid_stat(5); the name, in parentheses, may contain anything. The fields behind it begin with the third.
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().collect())
        .unwrap_or_default();
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
    if let Some(bytes) = field(23) {
        gauge("process_virtual_memory_bytes", "Virtual memory", bytes);
    }
    if let Some(pages) = field(24) {
        let bytes = pages * rustix::param::page_size() as f64;
        gauge("process_resident_memory_bytes", "Resident memory", bytes);
    }
    if let Some(threads) = field(20) {
        gauge("process_threads", "Threads", threads);
    }
    if let (Some(ticks), Some(boot)) = (field(22), boot_time()) {
        let start = boot + ticks / ticks_per_second;
        gauge("process_start_time_seconds", "When the process began, in seconds since 1970", start);
    }
    if let (Some(user), Some(system)) = (field(14), field(15)) {
        let seconds = (user + system) / ticks_per_second;
        let help = "Processor time used, in user and in system mode";
        readings.push(("process_cpu_seconds", help, MetricType::Counter, seconds));
    }
    readings
}

/// Seconds since 1970, `btime` of `proc_stat(5)`.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn boot_time() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn readings() -> Vec<Reading> {
    Vec::new()
}
