//! Goal: what `smolkit new` writes builds, passes its own checks, serves, and stops when told to.
//! Method: generate the project from this checkout, then do with cargo, curl and signals what its README says.
//!
//! It compiles the project's dependencies several times over, so it only runs in CI, or with `SMOLKIT_E2E=1`.

#![allow(clippy::print_stderr, reason = "a skipped test says so")]

mod common;

use std::{
    env,
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use common::{DEADLINE, Scratch, output, output_within, signal, stderr, stdout};
use smolkit_templates::RUST_VERSION;

/// A build from nothing, with other work on the machine.
const BUILD_DEADLINE: Duration = Duration::from_secs(900);

#[test]
fn a_generated_project_keeps_its_promises() {
    if env::var_os("SMOLKIT_E2E").is_none() && env::var_os("CI").is_none() {
        eprintln!("skipped: set SMOLKIT_E2E=1 to generate, build and run a project");
        return;
    }
    let scratch = Scratch::new();
    let project = Project::generate(&scratch);

    project.passes(&["fmt", "--check"]);
    project.passes(&["clippy", "--quiet", "--all-targets", "--", "-D", "warnings"]);
    project.passes(&["test", "--quiet"]);
    project.stays_off_tokio_s_runtime();
    project.builds_with_the_rust_version_it_names();

    let mut service = Service::start(Command::new(project.binary()).env("LISTEN", "127.0.0.1:0"));
    service.answers();
    service.counts();
    signal("TERM", &service.child.id().to_string());
    assert_eq!(service.exit_code(), Some(0));

    run_builds_starts_and_stops(&scratch, "INT");
    run_builds_starts_and_stops(&scratch, "TERM");
}

/// `smolkit new … --run`, stopped as a terminal does it: by a signal to the process group.
fn run_builds_starts_and_stops(scratch: &Scratch, by: &str) {
    let name = format!("run-{}", by.to_lowercase());
    let mut command = scratch.smolkit(["new", &name, "--run", "--listen", "127.0.0.1:0"]);
    let mut service = Service::start(command.env("CARGO_TARGET_DIR", target()).process_group(0));
    let (status, _, body) = service.curl("/hello/there", &[]);
    assert_eq!((status, body.as_str()), (200, r#"{"message":"Hello, there!"}"#));
    signal(by, &format!("-{}", service.child.id()));
    assert_eq!(service.exit_code(), Some(0), "after SIG{by}");
}

/// A folder beside this build's own artifacts, so that dependencies are compiled once for all runs.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target folder").join("generated")
}

struct Project {
    folder: PathBuf,
}

impl Project {
    fn generate(scratch: &Scratch) -> Self {
        let output = output(&mut scratch.smolkit(["new", "hello-world"]));
        assert!(output.status.success(), "{}", stderr(&output));
        Self { folder: scratch.path().join("hello-world") }
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO"));
        command.args(arguments).current_dir(&self.folder).env("CARGO_TARGET_DIR", target());
        command
    }

    /// Runs a cargo command that must succeed, and returns what it printed.
    fn passes(&self, arguments: &[&str]) -> String {
        let output = output_within(&mut self.cargo(arguments), BUILD_DEADLINE);
        let (out, err) = (stdout(&output), stderr(&output));
        assert!(output.status.success(), "cargo {arguments:?}\n{out}\n{err}");
        out.to_owned()
    }

    /// The binary that `cargo test` built.
    fn binary(&self) -> PathBuf {
        target().join("debug/hello-world")
    }

    /// Tokio may be there for its locks and I/O traits, never as a runtime.
    fn stays_off_tokio_s_runtime(&self) {
        let tree = self.passes(&["tree", "--edges", "features", "--target", "all"]);
        assert!(tree.contains("smolkit feature \"http\""), "not the tree that was meant:\n{tree}");
        for part in ["fs", "net", "process", "rt", "rt-multi-thread", "signal", "time", "full"] {
            assert!(
                !tree.contains(&format!("tokio feature \"{part}\"")),
                "tokio's {part}:\n{tree}"
            );
        }
        for runtime in ["mio", "async-io", "async-executor", "hyper-util"] {
            assert!(!tree.contains(&format!("{runtime} v")), "{runtime}:\n{tree}");
        }
    }

    /// A Dockerfile whose compiler is too old for a dependency fails only at the user's.
    fn builds_with_the_rust_version_it_names(&self) {
        let metadata = self.passes(&["metadata", "--format-version", "1"]);
        let mut packages = metadata.split(r#""rust_version":""#).skip(1).peekable();
        assert!(packages.peek().is_some(), "no package says what Rust it needs");
        for package in packages {
            let needed = package.split('"').next().unwrap_or_default();
            assert!(version(needed) <= version(RUST_VERSION), "a dependency needs Rust {needed}");
        }
    }
}

fn version(text: &str) -> Vec<u32> {
    let mut numbers: Vec<u32> = text.split('.').map(|number| number.parse().unwrap()).collect();
    numbers.resize(3, 0);
    numbers
}

/// A running service; it is killed when the test ends.
struct Service {
    child: Child,
    url: String,
}

impl Service {
    /// Starts a command that becomes the service, and waits until it says where it listens.
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stdout.take().expect("a piped stdout"));
        let mut service = Self { child, url: String::new() };

        let (lines, logged) = mpsc::channel();
        thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        let asked = Instant::now();
        while service.url.is_empty() {
            let left = BUILD_DEADLINE.saturating_sub(asked.elapsed());
            let line = logged.recv_timeout(left).expect("a line that says where it listens");
            if let Some((_, url)) = line.split_once("listening on ") {
                service.url = url.split(['"', ' ']).next().unwrap_or(url).to_owned();
            }
        }
        service
    }

    /// A request with curl: status, content type, body.
    fn curl(&self, path: &str, arguments: &[&str]) -> (u16, String, String) {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "60"])
            .args(["--write-out", "\n%{http_code} %{content_type}"])
            .args(arguments)
            .arg(format!("{}{path}", self.url));
        let output = output(&mut curl);
        assert!(output.status.success(), "{curl:?}: {}", stderr(&output));
        let (body, last) = stdout(&output).rsplit_once('\n').expect("a last line");
        let (status, kind) = last.split_once(' ').expect("status and content type");
        (status.parse().unwrap(), kind.to_owned(), body.to_owned())
    }

    fn answers(&self) {
        let json = ["--header", "content-type: application/json"];
        let post = |data| [&json[..], &["--data", data]].concat();
        let milk = r#"{"id":1,"text":"milk"}"#;
        let list = format!("[{milk}]");
        for (arguments, path, status, body) in [
            (vec![], "/", 200, r#"{"message":"Hello, world!"}"#),
            (vec![], "/hello/you", 200, r#"{"message":"Hello, you!"}"#),
            (vec![], "/livez", 200, "ok\n"),
            (vec![], "/readyz", 200, "ready\n"),
            (post(r#"{"text":"milk"}"#), "/notes", 201, milk),
            (vec![], "/notes/1", 200, milk),
            (vec![], "/notes", 200, list.as_str()),
            (vec!["--request", "DELETE"], "/notes/1", 204, ""),
            (vec!["--http2-prior-knowledge"], "/notes", 200, "[]"),
        ] {
            let (got, _, text) = self.curl(path, &arguments);
            assert_eq!((got, text.as_str()), (status, body), "{path} {arguments:?}");
        }
        for (arguments, path, status) in [
            (vec![], "/nowhere", 404),
            (vec![], "/notes/1", 404),
            (vec!["--request", "PATCH"], "/notes", 405),
            (post("{"), "/notes", 400),
            (post(&format!(r#"{{"text":"{}"}}"#, "x".repeat(20_000))), "/notes", 413),
        ] {
            let (got, kind, text) = self.curl(path, &arguments);
            assert_eq!((got, kind.as_str()), (status, "application/problem+json"), "{path}");
            assert!(text.contains(&format!(r#""status":{status}"#)), "{text}");
        }
    }

    /// What was asked above is counted by route, in a text that Prometheus takes.
    fn counts(&self) {
        let (status, kind, text) = self.curl("/metrics", &[]);
        assert_eq!(status, 200);
        assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
        for expected in ["/hello/{name}", "/notes/{id}", "unmatched", "notes_stored 0\n"] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        assert!(!text.contains("/notes/1") && !text.contains("/nowhere"), "raw paths in\n{text}");
        check_with_promtool(&text);
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

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn check_with_promtool(text: &str) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if env::var_os("CI").is_none() => {
            return eprintln!("skipped the check of the metrics: promtool: {error}");
        }
        Err(error) => panic!("promtool must be installed in CI: {error}"),
    };
    child.stdin.take().expect("a piped stdin").write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}{}\n{text}", stdout(&output), stderr(&output));
}
