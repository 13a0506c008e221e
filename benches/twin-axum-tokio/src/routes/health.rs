//! What operators and balancers ask: is it alive, is it ready, how is it doing.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use prometheus_client::registry::Registry;

use crate::metrics;

const CONTENT_TYPE_OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether new requests are welcome: until shutdown begins.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    off: Arc<AtomicBool>,
}

impl Readiness {
    pub fn turn_off(&self) {
        self.off.store(true, Ordering::Relaxed);
    }

    fn is_on(&self) -> bool {
        !self.off.load(Ordering::Relaxed)
    }
}

pub fn routes(ready: Readiness, registry: Registry) -> Router {
    Router::new()
        .route("/livez", get("ok\n"))
        .route("/readyz", get(readyz).with_state(ready))
        .route("/metrics", get(scrape).with_state(Arc::new(registry)))
}

async fn readyz(State(ready): State<Readiness>) -> (StatusCode, &'static str) {
    if ready.is_on() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n")
    }
}

async fn scrape(State(registry): State<Arc<Registry>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, CONTENT_TYPE_OPENMETRICS)], metrics::encode(&registry))
}
