//! The greeting.

use axum::{
    Json, Router,
    extract::{Path, rejection::PathRejection},
    routing::get,
};
use serde::Serialize;

use crate::problem::Problem;

#[derive(Serialize)]
struct Greeting {
    message: String,
}

pub fn routes() -> Router {
    Router::new().route("/", get(root)).route("/hello/{name}", get(hello))
}

async fn root() -> Json<Greeting> {
    Json(Greeting { message: "Hello, world!".into() })
}

async fn hello(name: Result<Path<String>, PathRejection>) -> Result<Json<Greeting>, Problem> {
    let Path(name) = name?;
    Ok(Json(Greeting { message: format!("Hello, {name}!") }))
}
