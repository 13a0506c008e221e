//! Requests, counted and timed.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::cells::{MethodCells, RouteCells, StatusCells};
use super::layer::MetricsLayer;

const ROUTES_MAX: usize = 1000;

/// The metrics of an HTTP service.
///
/// | metric | labels | |
/// |---|---|---|
/// | `http_requests_total` | `method`, `route`, `status` | requests answered |
/// | `http_request_errors_total` | `method`, `route` | those answered with 5xx; a panic counts as 500 |
/// | `http_requests_in_flight` | `method`, `route` | requests without an answer yet |
/// | `http_request_duration_seconds` | `method`, `route`, `status` | from the request's head to the response's head |
///
/// A request whose client goes away before the answer is in none of them but the second last, while it lasts. `route` is the pattern that axum
/// has matched, `unmatched` without one. Each request costs two looks at the clock and four atomic additions.
///
/// # Examples
///
/// See [the module](super).
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    routes: Arc<Routes>,
}

#[derive(Debug, Default)]
struct Routes {
    by_name: RwLock<HashMap<Box<str>, Arc<RouteCells>>>,
}

impl HttpMetrics {
    /// Adds the metrics to the registry. Once per registry: names must be unique.
    pub fn register(registry: &mut Registry) -> HttpMetrics {
        let metrics = HttpMetrics { routes: Arc::default() };
        registry.register_collector(Box::new(metrics.clone()));
        metrics
    }

    /// The layer that counts: for `Router::layer`, or `Router::route_layer` to leave out what matches no route.
    pub fn layer(&self) -> MetricsLayer {
        MetricsLayer::new(self.clone())
    }

    pub(super) fn route(&self, route: &str) -> Arc<RouteCells> {
        let routes = self.routes.by_name.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(cells) = routes.get(route) {
            return cells.clone();
        }
        drop(routes);
        let mut routes = self.routes.by_name.write().unwrap_or_else(PoisonError::into_inner);
        let route = if routes.len() < ROUTES_MAX { route } else { "other" };
        let cells = routes.entry(route.into()).or_insert_with(|| Arc::new(RouteCells::new(route)));
        cells.clone()
    }

    /// Sorted, so that the same counts give the same text.
    fn all(&self) -> Vec<Arc<RouteCells>> {
        let routes = self.routes.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = routes.values().cloned().collect();
        drop(routes);
        all.sort_by(|a, b| a.route.cmp(&b.route));
        all
    }
}

fn by_method(
    routes: &[Arc<RouteCells>],
    mut encode: impl FnMut(&[(&str, &str); 2], &MethodCells) -> fmt::Result,
) -> fmt::Result {
    for route in routes {
        for (method, cells) in route.methods() {
            encode(&[("method", method), ("route", &route.route)], cells)?;
        }
    }
    Ok(())
}

fn by_status(
    routes: &[Arc<RouteCells>],
    mut encode: impl FnMut(&[(&str, &str); 3], &StatusCells) -> fmt::Result,
) -> fmt::Result {
    by_method(routes, |[method, route], cells| {
        cells
            .statuses()
            .try_for_each(|cells| encode(&[*method, *route, ("status", cells.name())], cells))
    })
}

impl Collector for HttpMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let routes = self.all();

        let mut requests = encoder.encode_descriptor(
            "http_requests",
            "HTTP requests answered",
            None,
            MetricType::Counter,
        )?;
        by_status(&routes, |labels, cells| {
            let mut encoder = requests.encode_family(labels)?;
            encoder.encode_counter::<NoLabelSet, u64, f64>(&cells.count(), None)
        })?;

        let mut errors = encoder.encode_descriptor(
            "http_request_errors",
            "HTTP requests answered with a status of 5xx",
            None,
            MetricType::Counter,
        )?;
        by_method(&routes, |labels, cells| {
            let count: u64 = cells.statuses().map(StatusCells::errors).sum();
            let mut encoder = errors.encode_family(labels)?;
            encoder.encode_counter::<NoLabelSet, u64, f64>(&count, None)
        })?;

        let mut in_flight = encoder.encode_descriptor(
            "http_requests_in_flight",
            "HTTP requests without an answer yet",
            None,
            MetricType::Gauge,
        )?;
        by_method(&routes, |labels, cells| {
            let count = cells.in_flight.load(Ordering::Relaxed);
            in_flight.encode_family(labels)?.encode_gauge(&count)
        })?;

        let mut durations = encoder.encode_descriptor(
            "http_request_duration_seconds",
            "Time from the head of an HTTP request to the head of its response",
            None,
            MetricType::Histogram,
        )?;
        by_status(&routes, |labels, cells| {
            let buckets = cells.buckets();
            // The count is that of these buckets, not of a later moment.
            let count = buckets.iter().map(|(_, count)| count).sum();
            let mut encoder = durations.encode_family(labels)?;
            encoder.encode_histogram::<NoLabelSet>(cells.sum_seconds(), count, &buckets, None)
        })
    }
}
