//! What is logged: lines of text on a terminal, JSON otherwise, on standard output.

use std::{
    io::{IsTerminal, stdout},
    panic::AssertUnwindSafe,
    time::Instant,
};

use axum::{
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use smolkit::future::FutureExt;
use tracing::{debug, error};
use tracing_subscriber::{fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    config::{Config, LogFormat},
    problem::Problem,
};

pub fn init(config: &Config) {
    let json = match config.log_format {
        LogFormat::Auto => !stdout().is_terminal(),
        LogFormat::Human => false,
        LogFormat::Json => true,
    };
    let subscriber = tracing_subscriber::registry().with(config.log_level.clone());
    if json {
        subscriber
            .with(fmt::layer().json().flatten_event(true))
            .init();
    } else {
        subscriber.with(fmt::layer()).init();
    }
}

/// Middleware that logs each request, failures as errors, and answers a panic with a 500.
pub async fn observe(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let uri = request.uri().clone();
    let started = Instant::now();

    let response = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let response = response.unwrap_or_else(|_panic| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The handler panicked.").into_response()
    });

    let status = response.status().as_u16();
    let (path, elapsed) = (uri.path(), started.elapsed());
    if response.status().is_server_error() {
        error!(%method, path, status, ?elapsed, "request failed");
    } else {
        debug!(%method, path, status, ?elapsed, "request");
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware, routing};
    use tower::ServiceExt;

    use super::*;

    #[test]
    fn a_panic_becomes_a_500() {
        async fn handler() {
            panic!("on purpose");
        }
        let router = Router::new()
            .route("/", routing::get(handler))
            .layer(middleware::from_fn(observe));
        let response = smolkit::block_on(router.oneshot(Request::new(Body::empty()))).unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
