//! The cells that requests count in: found without a lock, changed without one, and never removed.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};

/// Upper bounds of the buckets in nanoseconds: Prometheus's own, and two below for services that answer in less than 5 ms.
pub(super) const BOUNDS_NS: [u64; 13] = [
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

const METHODS: [&str; 10] =
    ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "other"];

const STATUSES_MAX: usize = 16;

/// What one route counts.
#[derive(Debug)]
pub(super) struct RouteCells {
    pub(super) route: Box<str>,
    methods: [OnceLock<Box<MethodCells>>; METHODS.len()],
}

impl RouteCells {
    pub(super) fn new(route: &str) -> RouteCells {
        RouteCells { route: route.into(), methods: Default::default() }
    }

    pub(super) fn method(&self, method: &Method) -> &MethodCells {
        let index = match *method {
            Method::GET => 0,
            Method::POST => 1,
            Method::PUT => 2,
            Method::DELETE => 3,
            Method::PATCH => 4,
            Method::HEAD => 5,
            Method::OPTIONS => 6,
            Method::CONNECT => 7,
            Method::TRACE => 8,
            _ => 9,
        };
        self.methods[index].get_or_init(Box::default)
    }

    pub(super) fn methods(&self) -> impl Iterator<Item = (&'static str, &MethodCells)> {
        let named = METHODS.iter().zip(&self.methods);
        named.filter_map(|(name, cells)| cells.get().map(|cells| (*name, &**cells)))
    }
}

#[derive(Debug, Default)]
pub(super) struct MethodCells {
    pub(super) in_flight: AtomicI64,
    statuses: [OnceLock<Box<StatusCells>>; STATUSES_MAX],
    others: OnceLock<Box<StatusCells>>,
}

impl MethodCells {
    pub(super) fn status(&self, status: StatusCode) -> &StatusCells {
        for slot in &self.statuses {
            // An empty slot is ours, unless somebody is faster with another status.
            let cells = slot.get_or_init(|| StatusCells::new(Some(status)));
            if cells.status == Some(status) {
                return cells;
            }
        }
        self.others.get_or_init(|| StatusCells::new(None))
    }

    pub(super) fn statuses(&self) -> impl Iterator<Item = &StatusCells> {
        self.statuses
            .iter()
            .chain([&self.others])
            .filter_map(|slot| slot.get().map(|cells| &**cells))
    }
}

/// The requests of one method, route and status: a histogram of their durations.
#[derive(Debug)]
pub(super) struct StatusCells {
    /// `None`: one of those for which there was no room.
    status: Option<StatusCode>,
    /// The last one is for what exceeds all bounds.
    buckets: [AtomicU64; BOUNDS_NS.len() + 1],
    sum_ns: AtomicU64,
    errors: AtomicU64,
}

impl StatusCells {
    fn new(status: Option<StatusCode>) -> Box<StatusCells> {
        Box::new(StatusCells {
            status,
            buckets: Default::default(),
            sum_ns: AtomicU64::new(0),
            errors: AtomicU64::new(0),
        })
    }

    pub(super) fn name(&self) -> &str {
        self.status.as_ref().map_or("other", StatusCode::as_str)
    }

    pub(super) fn observe(&self, status: StatusCode, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_NS.iter().position(|bound| ns <= *bound).unwrap_or(BOUNDS_NS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
        if status.is_server_error() {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// Upper bounds in seconds, with the count of each bucket alone.
    pub(super) fn buckets(&self) -> [(f64, u64); BOUNDS_NS.len() + 1] {
        std::array::from_fn(|index| {
            let bound = BOUNDS_NS.get(index).map_or(f64::INFINITY, |ns| *ns as f64 / 1e9);
            (bound, self.buckets[index].load(Ordering::Relaxed))
        })
    }

    pub(super) fn sum_seconds(&self) -> f64 {
        self.sum_ns.load(Ordering::Relaxed) as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_bounded() {
        let cells = MethodCells::default();
        for code in 200..300 {
            let status = StatusCode::from_u16(code).expect("a status");
            cells.status(status).observe(status, Duration::ZERO);
        }
        let counts: Vec<_> = cells.statuses().map(|cells| (cells.name(), cells.count())).collect();
        assert_eq!(counts.len(), STATUSES_MAX + 1);
        assert_eq!(counts[0], ("200", 1));
        assert_eq!(counts[STATUSES_MAX], ("other", 100 - STATUSES_MAX as u64));
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let cells = StatusCells::new(None);
        for ns in [0, BOUNDS_NS[0], BOUNDS_NS[0] + 1, u64::MAX / 2] {
            cells.observe(StatusCode::OK, Duration::from_nanos(ns));
        }
        let counts = cells.buckets().map(|(_, count)| count);
        assert_eq!((counts[0], counts[1], counts[BOUNDS_NS.len()], cells.count()), (2, 1, 1, 4));
    }
}
