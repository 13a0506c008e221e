//! The `http` template: which files it has.

use crate::Template;

/// Pairs a path in the project with the file of `http/` that it is rendered from. Names that cargo
/// or git would act upon are stored under others.
macro_rules! files {
    ($($path:literal from $file:literal,)*) => {
        &[$(($path, include_str!(concat!("../http/", $file)))),*]
    };
}

pub(crate) const TEMPLATE: Template = Template {
    name: "http",
    description: "An HTTP microservice: JSON, problem+json errors, metrics, health, graceful shutdown",
    dependencies: &[
        "axum",
        "clap",
        "pin-project-lite",
        "prometheus-client",
        "serde",
        "serde_json",
        "smolkit",
        "tower",
        "tracing",
        "tracing-subscriber",
        "ureq",
    ],
    files: files! {
        ".dockerignore" from "dockerignore.tmpl",
        ".github/workflows/ci.yml" from "ci.yml.tmpl",
        ".gitignore" from "gitignore.tmpl",
        "Cargo.toml" from "Cargo.toml.tmpl",
        "Dockerfile" from "Dockerfile.tmpl",
        "README.md" from "README.md.tmpl",
        "src/config.rs" from "src/config.rs",
        "src/main.rs" from "src/main.rs",
        "src/notes.rs" from "src/notes.rs",
        "src/problem.rs" from "src/problem.rs",
        "src/routes/health.rs" from "src/routes/health.rs",
        "src/routes/hello.rs" from "src/routes/hello.rs",
        "src/routes/mod.rs" from "src/routes/mod.rs",
        "src/routes/notes.rs" from "src/routes/notes.rs",
        "src/telemetry.rs" from "src/telemetry.rs",
        "tests/service.rs" from "tests/service.rs",
    },
};
