//! Metrics of an HTTP service and of its process, on prometheus-client's [`Registry`](prometheus_client::registry::Registry).
//!
//! ```
//! use axum::{Router, routing::get};
//! use prometheus_client::registry::Registry;
//! use smolkit_service::metrics::{HttpMetrics, ProcessMetrics, text};
//!
//! let mut registry = Registry::default();
//! ProcessMetrics::register(&mut registry);
//! let http = HttpMetrics::register(&mut registry);
//! let app: Router = Router::new().route("/notes/{id}", get(|| async { "a note" })).layer(http.layer());
//! assert!(text::encode(&registry).contains("# TYPE http_requests_total counter\n"));
//! # let _ = app;
//! ```
//!
//! - [`HttpMetrics`]: requests counted and timed by method, route and status.
//! - [`ProcessMetrics`]: processor time, memory, descriptors, threads.
//! - [`text`]: Prometheus's text format 0.0.4, which every collector reads; prometheus-client itself writes OpenMetrics only.
//!
//! # Limits
//!
//! Labels are bounded, whatever clients send:
//!
//! | label | values |
//! |---|---|
//! | `method` | the nine of RFC 9110 and 5789, else `other` |
//! | `route` | the router's patterns, `unmatched`; beyond 1,000 `other` |
//! | `status` | 16 of each method and route, beyond `other` |

mod cells;
mod http;
mod layer;
mod process;
pub mod text;

pub use self::http::HttpMetrics;
pub use self::layer::{MetricsLayer, MetricsService, ResponseFuture};
pub use self::process::ProcessMetrics;
