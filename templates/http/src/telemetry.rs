//! What is logged: lines of text on a terminal, JSON otherwise, on standard output.

use std::{
    io::{IsTerminal, stdout},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use axum::{
    extract::Request,
    http::{Method, StatusCode, uri::PathAndQuery},
    response::{IntoResponse, Response},
};
use pin_project_lite::pin_project;
use tower::{Layer, Service};
use tracing::{Level, debug, enabled, error};
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

/// The layer that logs each request, failures as errors, and answers a panic with a 500.
///
/// By hand, because `axum::middleware::from_fn` would cost each request four allocations.
#[derive(Clone, Copy, Debug)]
pub struct Observe;

impl<S> Layer<S> for Observe {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        Observed { inner }
    }
}

#[derive(Clone, Debug)]
pub struct Observed<S> {
    inner: S,
}

impl<S> Service<Request> for Observed<S>
where
    S: Service<Request, Response = Response>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = ObservedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        ObservedFuture {
            method: request.method().clone(),
            target: request.uri().path_and_query().cloned(),
            started: enabled!(Level::DEBUG).then(Instant::now),
            inner: self.inner.call(request),
        }
    }
}

pin_project! {
    pub struct ObservedFuture<F> {
        method: Method,
        target: Option<PathAndQuery>,
        started: Option<Instant>,
        #[pin]
        inner: F,
    }
}

impl<F, E> Future for ObservedFuture<F>
where
    F: Future<Output = Result<Response, E>>,
{
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = catch_unwind(AssertUnwindSafe(|| this.inner.poll(cx)));
        let response = match polled {
            Ok(response) => ready!(response)?,
            Err(_panic) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The handler panicked.")
                .into_response(),
        };
        let path = this.target.as_ref().map_or("", PathAndQuery::path);
        let (method, status) = (&*this.method, response.status().as_u16());
        if response.status().is_server_error() {
            error!(%method, path, status, "request failed");
        } else if let Some(started) = this.started {
            debug!(%method, path, status, elapsed = ?started.elapsed(), "request");
        }
        Poll::Ready(Ok(response))
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, routing};
    use tower::ServiceExt;

    use super::*;

    #[test]
    fn a_panic_becomes_a_500() {
        async fn handler() {
            panic!("on purpose");
        }
        let router = Router::new()
            .route("/", routing::get(handler))
            .layer(Observe);
        let response = smolkit::block_on(router.oneshot(Request::new(Body::empty()))).unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
