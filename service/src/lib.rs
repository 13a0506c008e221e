//! The service layer of smolkit: what a program needs to be a well-behaved server.
//!
//! - `http` (feature `http`): a server for HTTP/1 and HTTP/2 that takes an axum router; limits and deadlines are on by default.
//! - `metrics` (feature `metrics`): requests counted and timed by route, process metrics, and Prometheus's text format.

#![forbid(unsafe_code)]

#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "metrics")]
pub mod metrics;
