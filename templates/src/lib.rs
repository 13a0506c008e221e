//! The project templates of `smolkit new`, and the pure function that renders them.
//!
//! ```
//! use smolkit_templates::{Answers, Name, Source, find};
//!
//! let answers = Answers {
//!     name: Name::parse("hello")?,
//!     smolkit: Source::Version("0.1.0".into()),
//! };
//! let files = find("http").expect("a template of this crate").render(&answers)?;
//! assert!(files.iter().any(|file| file.path == "src/main.rs"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | item | what it is |
//! |---|---|
//! | [`TEMPLATES`], [`find`] | what there is to choose from |
//! | [`Name`] | a project name that cargo, rustc and every file system accept |
//! | [`Answers`], [`Source`] | what the user chose |
//! | [`Template::render`] | from answers to files, without any I/O: the same answers give the same bytes |
//!
//! The templates are embedded, so an installed command needs nothing but itself. They are written
//! with the delimiters `<%= name %>`, `<% if … %>` and `<%# comment %>`, which mean nothing in Rust,
//! TOML, YAML, shell or Dockerfiles: the `${{ … }}` of a CI file needs no escaping.
#![forbid(unsafe_code)]

mod http;
mod name;
mod render;
mod template;

pub use name::{Name, NameError};
pub use render::RenderError;
pub use template::{Answers, File, Source, TEMPLATES, Template, find};

/// The Rust version that generated projects ask for: in their manifest, Dockerfile and CI.
///
/// It is the minimum of smolkit itself, so a generated Dockerfile can never be older.
pub const RUST_VERSION: &str = env!("CARGO_PKG_RUST_VERSION");
