//! What is served where.

mod health;
mod hello;
mod notes;

use std::sync::Arc;

use axum::{Router, extract::DefaultBodyLimit};
use prometheus_client::registry::Registry;
use smolkit::metrics::{HttpMetrics, ProcessMetrics};

pub use self::health::Readiness;
use crate::{config::Config, notes::Notes, problem, telemetry};

/// The whole service. Probes and scrapes are neither logged nor counted.
pub fn router(config: &Config, ready: Readiness) -> Router {
    let mut registry = Registry::default();
    ProcessMetrics::register(&mut registry);
    let requests = HttpMetrics::register(&mut registry);
    let store = Arc::new(Notes::new(config.notes_max, &mut registry));

    let service = Router::new()
        .merge(hello::routes())
        .merge(notes::routes(store).layer(DefaultBodyLimit::max(config.body_max)))
        .method_not_allowed_fallback(problem::method_not_allowed)
        .fallback(problem::not_found)
        // One layer of two, the outermost first: axum wraps every route anew for each layer.
        .layer((requests.layer(), telemetry::Observe));
    let probes =
        health::routes(ready, registry).method_not_allowed_fallback(problem::method_not_allowed);
    service.merge(probes)
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, to_bytes},
        http::{Request, StatusCode, header},
        response::Response,
    };
    use clap::Parser;
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::*;

    fn service(arguments: &[&str]) -> Router {
        let config = Config::parse_from(["test"].iter().chain(arguments));
        router(&config, Readiness::default())
    }

    fn send(router: &Router, method: &str, path: &str, body: &str) -> Response {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_owned()))
            .unwrap();
        smolkit::block_on(router.clone().oneshot(request)).unwrap()
    }

    fn json(response: Response) -> Value {
        let body = smolkit::block_on(to_bytes(response.into_body(), usize::MAX)).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    #[test]
    fn greets() {
        let response = send(&service(&[]), "GET", "/hello/J%C3%BCrgen", "");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(json(response), json!({ "message": "Hello, Jürgen!" }));
    }

    #[test]
    fn a_note_lives_from_post_to_delete() {
        let router = service(&[]);
        let created = send(&router, "POST", "/notes", r#"{"text":"milk"}"#);
        assert_eq!(created.status(), StatusCode::CREATED);
        assert_eq!(created.headers()[header::LOCATION], "/notes/1");
        let note = json(created);
        assert_eq!(note, json!({ "id": 1, "text": "milk" }));

        assert_eq!(json(send(&router, "GET", "/notes/1", "")), note);
        assert_eq!(json(send(&router, "GET", "/notes", "")), json!([note]));
        let deleted = send(&router, "DELETE", "/notes/1", "");
        assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
        assert_eq!(
            send(&router, "GET", "/notes/1", "").status(),
            StatusCode::NOT_FOUND
        );
    }

    #[test]
    fn every_error_is_a_problem() {
        let router = service(&["--notes-max", "0", "--body-max", "2000"]);
        let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(1001));
        let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(2000));
        for (method, path, body, status) in [
            ("GET", "/nowhere", "", StatusCode::NOT_FOUND),
            ("GET", "/notes/7", "", StatusCode::NOT_FOUND),
            ("DELETE", "/notes/7", "", StatusCode::NOT_FOUND),
            ("GET", "/notes/seven", "", StatusCode::BAD_REQUEST),
            ("PUT", "/notes", "", StatusCode::METHOD_NOT_ALLOWED),
            ("POST", "/livez", "", StatusCode::METHOD_NOT_ALLOWED),
            ("POST", "/notes", "{", StatusCode::BAD_REQUEST),
            ("POST", "/notes", "{}", StatusCode::UNPROCESSABLE_ENTITY),
            (
                "POST",
                "/notes",
                r#"{"text":""}"#,
                StatusCode::UNPROCESSABLE_ENTITY,
            ),
            ("POST", "/notes", &long, StatusCode::UNPROCESSABLE_ENTITY),
            ("POST", "/notes", &large, StatusCode::PAYLOAD_TOO_LARGE),
            (
                "POST",
                "/notes",
                r#"{"text":"x"}"#,
                StatusCode::INSUFFICIENT_STORAGE,
            ),
        ] {
            let response = send(&router, method, path, body);
            assert_eq!(response.status(), status, "{method} {path} {body}");
            assert_eq!(
                response.headers()[header::CONTENT_TYPE],
                "application/problem+json"
            );
            assert_eq!(json(response)["status"], status.as_u16());
        }
    }

    #[test]
    fn a_405_says_what_is_allowed() {
        let response = send(&service(&[]), "PUT", "/notes/1", "");
        assert_eq!(response.headers()[header::ALLOW], "GET,HEAD,DELETE");
    }
}
