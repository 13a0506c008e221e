//! From hyper's service to the router, and what becomes of a panic.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::routing::RouterIntoService;
use axum::routing::future::RouteFuture;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::activity::{Activity, InFlight};
use super::body::{ResponseBody, request_body};
use super::hub::Stage;

/// The router of one connection. A cell, because hyper calls by shared reference: cheaper than a clone for each request, which
/// all cores would count in one place.
pub(super) struct Adapter {
    router: RefCell<RouterIntoService<Body>>,
    activity: Arc<Activity>,
}

impl Adapter {
    pub(super) fn new(router: RouterIntoService<Body>, activity: Arc<Activity>) -> Adapter {
        Adapter { router: RefCell::new(router), activity }
    }
}

impl hyper::service::Service<Request<Incoming>> for Adapter {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn call(&self, request: Request<Incoming>) -> ResponseFuture {
        let in_flight = self.activity.request_begins();
        let version = request.version();
        let request = request.map(|incoming| request_body(incoming, &self.activity));
        let called = catch_unwind(AssertUnwindSafe(|| self.router.borrow_mut().call(request)));
        ResponseFuture { route: called.ok(), in_flight: Some(in_flight), version }
    }
}

pin_project! {
    pub(super) struct ResponseFuture {
        // `None`: the call has panicked.
        #[pin]
        route: Option<RouteFuture<Infallible>>,
        in_flight: Option<InFlight>,
        version: Version,
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = match this.route.as_pin_mut() {
            Some(route) => catch_unwind(AssertUnwindSafe(|| route.poll(cx))).ok(),
            None => None,
        };
        let is_panic = polled.is_none();
        let mut response = match polled {
            Some(Poll::Pending) => return Poll::Pending,
            Some(Poll::Ready(Ok(response))) => response,
            None => panicked(),
        };
        let in_flight = this.in_flight.take().expect("hyper polls a finished future no more");
        if is_panic {
            in_flight.activity.hub().note_panic("a handler");
        }
        let version = *this.version;
        if version < Version::HTTP_2 && in_flight.activity.hub().stage() != Stage::Serving {
            // hyper ends the connection after it, and the client sends no further request into the drain.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(response.map(|body| ResponseBody::new(body, in_flight, version))))
    }
}

fn panicked() -> Response<Body> {
    let mut response = Response::new(Body::from("internal server error\n"));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
