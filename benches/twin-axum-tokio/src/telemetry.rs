//! What is logged: lines of text on a terminal, JSON otherwise, on standard output.

use std::{
    io::{IsTerminal, stdout},
    time::Instant,
};

use axum::{extract::Request, middleware::Next, response::Response};
use tracing::{debug, error};
use tracing_subscriber::{fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Config, LogFormat};

pub fn init(config: &Config) {
    let json = match config.log_format {
        LogFormat::Auto => !stdout().is_terminal(),
        LogFormat::Human => false,
        LogFormat::Json => true,
    };
    let subscriber = tracing_subscriber::registry().with(config.log_level.clone());
    if json {
        subscriber.with(fmt::layer().json().flatten_event(true)).init();
    } else {
        subscriber.with(fmt::layer()).init();
    }
}

/// Middleware that logs each request, failures as errors.
pub async fn observe(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let uri = request.uri().clone();
    let started = Instant::now();

    let response = next.run(request).await;

    let status = response.status().as_u16();
    let (path, elapsed) = (uri.path(), started.elapsed());
    if response.status().is_server_error() {
        error!(%method, path, status, ?elapsed, "request failed");
    } else {
        debug!(%method, path, status, ?elapsed, "request");
    }
    response
}
