//! The tower layer that counts and times.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::extract::MatchedPath;
use http::{Method, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::cells::RouteCells;
use super::http::HttpMetrics;

/// Counts the requests of the services that it wraps. From [`HttpMetrics::layer`].
#[derive(Clone, Debug)]
pub struct MetricsLayer {
    metrics: HttpMetrics,
}

impl MetricsLayer {
    pub(super) fn new(metrics: HttpMetrics) -> MetricsLayer {
        MetricsLayer { metrics }
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = MetricsService<S>;

    fn layer(&self, inner: S) -> MetricsService<S> {
        let place = Place { metrics: self.metrics.clone(), first: OnceLock::new() };
        MetricsService { inner, place: Arc::new(place) }
    }
}

/// A service whose requests are counted.
#[derive(Clone, Debug)]
pub struct MetricsService<S> {
    inner: S,
    place: Arc<Place>,
}

/// axum wraps each route on its own: the first route that is seen is nearly always the only one.
#[derive(Debug)]
struct Place {
    metrics: HttpMetrics,
    first: OnceLock<Arc<RouteCells>>,
}

impl Place {
    fn route(&self, route: &str) -> Arc<RouteCells> {
        let first = self.first.get_or_init(|| self.metrics.route(route));
        if *first.route == *route { first.clone() } else { self.metrics.route(route) }
    }
}

impl<S, B, R> Service<Request<B>> for MetricsService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let matched = request.extensions().get::<MatchedPath>();
        let cells = self.place.route(matched.map_or("unmatched", MatchedPath::as_str));
        let mut visit = Visit::begin(cells, request.method().clone());
        let panicking = Panicking::watch(&mut visit);
        let inner = self.inner.call(request);
        panicking.disarm();
        ResponseFuture { inner, visit }
    }
}

pin_project! {
    /// The future of [`MetricsService`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        visit: Visit,
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let panicking = Panicking::watch(this.visit);
        let polled = this.inner.poll(cx);
        panicking.disarm();
        let result = ready!(polled);
        this.visit.end(match &result {
            Ok(response) => response.status(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
        });
        Poll::Ready(result)
    }
}

/// One request, in flight until it ends or is dropped.
#[derive(Debug)]
struct Visit {
    cells: Arc<RouteCells>,
    method: Method,
    start: Instant,
    is_over: bool,
}

impl Visit {
    fn begin(cells: Arc<RouteCells>, method: Method) -> Visit {
        cells.method(&method).in_flight.fetch_add(1, Ordering::Relaxed);
        Visit { cells, method, start: Instant::now(), is_over: false }
    }

    fn end(&mut self, status: StatusCode) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let cells = self.cells.method(&self.method);
        cells.in_flight.fetch_sub(1, Ordering::Relaxed);
        cells.status(status).observe(status, self.start.elapsed());
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if !self.is_over {
            self.cells.method(&self.method).in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Ends the visit when the service panics, which the server answers with 500.
struct Panicking<'a> {
    visit: Option<&'a mut Visit>,
}

impl<'a> Panicking<'a> {
    fn watch(visit: &'a mut Visit) -> Panicking<'a> {
        Panicking { visit: Some(visit) }
    }

    fn disarm(mut self) {
        self.visit = None;
    }
}

impl Drop for Panicking<'_> {
    fn drop(&mut self) {
        if let Some(visit) = &mut self.visit {
            visit.end(StatusCode::INTERNAL_SERVER_ERROR);
        }
    }
}
