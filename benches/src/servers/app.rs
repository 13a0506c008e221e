//! The HTTP answers, the same ones on every system.

use std::convert::Infallible;

use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use serde::Serialize;

/// What `GET /hello/wrk` is answered with.
pub const ANSWER: &str = r#"{"message":"Hello, wrk!"}"#;

/// Without a router: whatever is asked.
pub async fn constant<B>(_: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(ANSWER.as_bytes())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

#[derive(Serialize)]
struct Greeting {
    message: String,
}

async fn hello(Path(name): Path<String>) -> Json<Greeting> {
    Json(Greeting { message: format!("Hello, {name}!") })
}

/// As bare as a router can be.
pub fn router() -> Router {
    Router::new().route("/hello/{name}", get(hello))
}
