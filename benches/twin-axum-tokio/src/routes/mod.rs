//! What is served where.

mod health;
mod hello;
mod notes;

use std::sync::Arc;

use axum::{Router, extract::DefaultBodyLimit, middleware, response::IntoResponse};
use prometheus_client::registry::Registry;
use tower_http::catch_panic::CatchPanicLayer;

pub use self::health::Readiness;
use crate::{
    config::Config,
    metrics::{self, HttpMetrics},
    notes::Notes,
    problem::{self, Problem},
    telemetry,
};

/// The whole service. Probes and scrapes are neither logged nor counted.
pub fn router(config: &Config, ready: Readiness) -> Router {
    let mut registry = Registry::default();
    let requests = HttpMetrics::register(&mut registry);
    let store = Arc::new(Notes::new(config.notes_max, &mut registry));

    let service = Router::new()
        .merge(hello::routes())
        .merge(notes::routes(store))
        .method_not_allowed_fallback(problem::method_not_allowed)
        .fallback(problem::not_found)
        .layer(DefaultBodyLimit::max(config.body_max))
        .layer(CatchPanicLayer::custom(|_panic| {
            Problem::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "The handler panicked.")
                .into_response()
        }))
        .layer(middleware::from_fn(telemetry::observe))
        .layer(middleware::from_fn_with_state(requests, metrics::observe));
    let probes =
        health::routes(ready, registry).method_not_allowed_fallback(problem::method_not_allowed);
    service.merge(probes)
}
