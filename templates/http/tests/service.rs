//! Goal: the built service works as its users meet it, over a socket and by signals.
//! Method: each test starts the binary on a free port, talks HTTP to it and stops it with SIGTERM.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

const BINARY: &str = env!(concat!("CARGO_BIN_EXE_", env!("CARGO_PKG_NAME")));
const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn serves_and_stops() {
    let mut service = Service::start(&[]);
    assert_eq!(
        service.get("/"),
        (200, json!({ "message": "Hello, world!" }).to_string())
    );
    assert_eq!(service.get("/livez"), (200, "ok\n".into()));
    assert_eq!(service.get("/readyz"), (200, "ready\n".into()));

    let note = json!({ "id": 1, "text": "milk" }).to_string();
    assert_eq!(
        service.post("/notes", r#"{"text":"milk"}"#),
        (201, note.clone())
    );
    assert_eq!(service.get("/notes/1"), (200, note));
    assert_eq!(service.get("/notes/2").0, 404);

    let (status, metrics) = service.get("/metrics");
    assert_eq!(status, 200);
    assert!(
        metrics.contains("/notes/{id}"),
        "counts by the route's pattern:\n{metrics}"
    );
    assert!(metrics.contains("notes_stored 1\n"), "{metrics}");

    service.terminate();
    assert_eq!(service.exit_code(), Some(0));
}

#[test]
fn is_not_ready_once_it_shuts_down() {
    let mut service = Service::start(&["--shutdown-delay", "5s"]);
    service.terminate();
    let asked = Instant::now();
    while service.get("/readyz").0 != 503 {
        assert!(asked.elapsed() < DEADLINE, "still ready after SIGTERM");
    }
    assert_eq!(service.exit_code(), Some(0));
}

#[test]
fn a_taken_port_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = Command::new(BINARY)
        .args(["--listen", &address])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(
        error.contains(&address) && error.contains("--listen"),
        "{error}"
    );
}

/// A running service; it is killed when the test ends.
struct Service {
    child: Child,
    agent: ureq::Agent,
    url: String,
}

impl Service {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(BINARY)
            .args(["--listen", "127.0.0.1:0", "--log-level", "info"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the service starts");

        // A thread reads the log to its end, so that the service never waits for its reader.
        let log = BufReader::new(child.stdout.take().expect("a piped stdout"));
        let (lines, logged) = mpsc::channel();
        thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        let url = loop {
            let line = logged
                .recv_timeout(DEADLINE)
                .expect("a line that says where it listens");
            if let Some((_, url)) = line.split_once("listening on ") {
                break url.split(['"', ' ']).next().unwrap_or(url).to_owned();
            }
        };

        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(DEADLINE))
            .build()
            .into();
        Self { child, agent, url }
    }

    fn get(&self, path: &str) -> (u16, String) {
        answer(self.agent.get(format!("{}{path}", self.url)).call())
    }

    fn post(&self, path: &str, json: &str) -> (u16, String) {
        let request = self.agent.post(format!("{}{path}", self.url));
        answer(request.content_type("application/json").send(json))
    }

    fn terminate(&self) {
        let kill = format!("kill -TERM {}", self.child.id());
        assert!(
            Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
    }

    fn exit_code(&mut self) -> Option<i32> {
        let asked = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(asked.elapsed() < DEADLINE, "still running");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The status and the body.
fn answer(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> (u16, String) {
    let mut response = response.expect("a response");
    let body = response.body_mut().read_to_string().expect("a body");
    (response.status().as_u16(), body)
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
