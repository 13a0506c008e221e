//! Goal: requests are counted under labels that clients cannot multiply, and the text is what Prometheus reads.
//! Method: a served router and hostile requests; a registry with one metric of each kind, checked by promtool.
#![cfg(all(feature = "http", feature = "metrics"))]

mod support;

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use smolkit_service::metrics::{HttpMetrics, ProcessMetrics, text};

use self::support::Running;
use self::support::client::Client;

fn app(registry: &mut Registry) -> Router {
    let http = HttpMetrics::register(registry);
    let inner = Router::new().route("/deep/{name}", get(|| async { "deep" }));
    Router::new()
        .route("/notes/{id}", get(|| async { "a note" }))
        .route("/notes", post(|| async { StatusCode::CREATED }))
        .route("/broken", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .route("/panic", get(|| async { panic_on_purpose() }))
        .nest("/nested", inner)
        .layer(http.layer())
}

fn panic_on_purpose() -> &'static str {
    panic!("this handler panics on purpose")
}

fn has(text: &str, line: &str) {
    assert!(text.lines().any(|have| have == line), "no {line:?} in:\n{text}");
}

#[test]
fn requests_are_counted_by_method_route_and_status() {
    let mut registry = Registry::default();
    let app = app(&mut registry);
    let server = Running::start(app, |server| server);
    let mut client = Client::connect(server.addr);
    for number in 0..5 {
        assert_eq!(client.get(&format!("/notes/{number}")).status, 200);
        assert_eq!(client.get(&format!("/nested/deep/{number}")).status, 200);
        assert_eq!(client.get(&format!("/no/such/{number}")).status, 404);
        client.send(format!("BREW{number} /notes/1 HTTP/1.1\r\nhost: test\r\n\r\n"));
        assert_eq!(client.response().expect("a response").status, 405);
    }
    assert_eq!(client.get("/broken").status, 500);
    assert_eq!(client.get("/panic").status, 500);

    let text = text::encode(&registry);
    for (route, method, status, count) in [
        ("/notes/{id}", "GET", 200, 5),
        ("/notes/{id}", "other", 405, 5),
        ("/nested/deep/{name}", "GET", 200, 5),
        ("unmatched", "GET", 404, 5),
        ("/broken", "GET", 500, 1),
        ("/panic", "GET", 500, 1),
    ] {
        let labels = format!("method=\"{method}\",route=\"{route}\"");
        has(&text, &format!("http_requests_total{{{labels},status=\"{status}\"}} {count}"));
        has(&text, &format!("http_requests_in_flight{{{labels}}} 0"));
        let errors = if status == 500 { 1 } else { 0 };
        has(&text, &format!("http_request_errors_total{{{labels}}} {errors}"));
        let bucket = format!("{labels},status=\"{status}\",le=\"+Inf\"");
        let bucket_swapped = format!("le=\"+Inf\",{labels},status=\"{status}\"");
        let has_bucket = [bucket, bucket_swapped].iter().any(|labels| {
            let line = format!("http_request_duration_seconds_bucket{{{labels}}} {count}");
            text.lines().any(|have| have == line)
        });
        assert!(has_bucket, "{route}:\n{text}");
    }
}

#[test]
fn a_request_is_in_flight_until_it_is_answered_or_dropped() {
    use tower_service::Service;
    let mut registry = Registry::default();
    let http = HttpMetrics::register(&mut registry);
    let mut app: Router = Router::new()
        .route("/", get(|| async { std::future::pending::<()>().await }))
        .layer(http.layer());
    let request = axum::http::Request::new(axum::body::Body::empty());
    let mut response = Box::pin(app.call(request));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(response.as_mut().poll(&mut cx).is_pending());
    let line = |count| format!("http_requests_in_flight{{method=\"GET\",route=\"/\"}} {count}");
    has(&text::encode(&registry), &line(1));
    drop(response);
    let text = text::encode(&registry);
    has(&text, &line(0));
    assert!(!text.contains("http_requests_total{"), "a dropped request is not answered:\n{text}");
}

#[test]
fn promtool_accepts_every_kind_of_metric() {
    let mut registry = Registry::default();
    ProcessMetrics::register(&mut registry);
    let app = app(&mut registry);
    let counters = Family::<Vec<(String, String)>, Counter>::default();
    for value in ["plain", "quo\"te", "back\\slash", "new\nline", "} # {", "ünï"] {
        counters.get_or_create(&vec![("name".into(), value.into())]).inc();
    }
    registry.register("odd", "Values with \"quotes\", \\ and\na second line", counters);
    let gauge = Gauge::<f64, std::sync::atomic::AtomicU64>::default();
    gauge.set(f64::NEG_INFINITY);
    registry.register("temperature", "A gauge", gauge);
    let histogram = Histogram::new([0.1, 1.0]);
    histogram.observe(0.5);
    registry.register_with_unit("wait", "A histogram with a unit", Unit::Seconds, histogram);
    registry.register("build", "An info", Info::new(vec![("version", "1.0")]));
    for part in ["a", "b"] {
        let part = registry.sub_registry_with_label(("part".into(), part.into()));
        part.register("shared", "One name in two registries", Gauge::<i64>::default());
    }
    let server = Running::start(app, |server| server);
    assert_eq!(Client::connect(server.addr).get("/notes/1").status, 200);

    let text = Arc::new(text::encode(&registry));
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is needed: install the package `prometheus`");
    let mut input = promtool.stdin.take().expect("a pipe");
    input.write_all(text.as_bytes()).expect("a promtool that reads");
    drop(input);
    let output = promtool.wait_with_output().expect("promtool's output");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
    has(&text, "build_info{version=\"1.0\"} 1");
    #[cfg(target_os = "linux")]
    for name in ["process_cpu_seconds_total", "process_open_fds", "process_resident_memory_bytes"] {
        assert!(text.lines().any(|line| line.starts_with(&format!("{name} "))), "{name}:\n{text}");
    }
}
