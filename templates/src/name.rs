//! Names that a project can have.

use std::{error::Error, fmt};

use crate::TEMPLATES;

/// The longest name that a package registry takes.
const NAME_MAX: usize = 64;

/// A project name that cargo, rustc and every file system accept.
///
/// It starts with a lower-case letter and goes on with lower-case letters, digits, `-` and `_`, up
/// to 64 of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// One variant of [`NameError`] for each rule that a name can break.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        let Some(first) = name.chars().next() else {
            return Err(NameError::Empty);
        };
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        if let Some(bad) = name.chars().find(|&c| !allowed(c)) {
            return Err(NameError::Character(bad));
        }
        if !first.is_ascii_lowercase() {
            return Err(NameError::Start(first));
        }
        if name.len() > NAME_MAX {
            return Err(NameError::Long(name.len()));
        }
        match reserved(name) {
            Some(by) => Err(NameError::Reserved(by)),
            None => Ok(Self(name.to_owned())),
        }
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// There is nothing in it.
    Empty,
    /// It does not start with a letter.
    Start(char),
    /// It holds something other than lower-case letters, digits, `-` and `_`.
    Character(char),
    /// It has this many characters.
    Long(usize),
    /// It already means something else, which the text says.
    Reserved(&'static str),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "it is empty"),
            Self::Start(first) => write!(f, "it starts with {first:?}, not with a letter"),
            Self::Character(bad) => {
                write!(f, "{bad:?} is not a lower-case letter, digit, '-' or '_'")
            }
            Self::Long(length) => write!(f, "it has {length} characters, more than {NAME_MAX}"),
            Self::Reserved(by) => write!(f, "it is {by}"),
        }
    }
}

impl Error for NameError {}

/// What a name already means, if anything. Packages are compared as rustc compares crates, where
/// `-` is `_`.
fn reserved(name: &str) -> Option<&'static str> {
    let crate_name = name.replace('-', "_");
    let is = |names: &[&str]| names.contains(&crate_name.as_str());
    let dependency = |package: &&str| package.replace('-', "_") == crate_name;

    if is(KEYWORDS) {
        Some("a Rust keyword")
    } else if is(&["alloc", "core", "proc_macro", "std", "test"]) {
        Some("a crate of the Rust distribution")
    } else if is(&["build", "deps", "examples", "incremental"]) {
        Some("a folder that cargo makes beside the binary")
    } else if crate_name == "smolkit" || crate_name.starts_with("smolkit_") {
        Some("kept for smolkit's own packages")
    } else if TEMPLATES.iter().flat_map(|template| template.dependencies).any(dependency) {
        Some("a package that the project depends on")
    } else if is_device(name) {
        Some("a device on Windows")
    } else {
        None
    }
}

/// *Source*: the Rust Reference, "Keywords" (strict and reserved, edition 2024).
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// *Source*: Microsoft's "Naming Files, Paths, and Namespaces".
fn is_device(name: &str) -> bool {
    let numbered = |prefix| {
        name.strip_prefix(prefix).is_some_and(|number| {
            number.len() == 1 && number.bytes().all(|digit| digit.is_ascii_digit())
        })
    };
    ["aux", "con", "nul", "prn"].contains(&name) || numbered("com") || numbered("lpt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_pass() {
        let longest = "a".repeat(NAME_MAX);
        for name in ["a", "hello", "hello-world", "note_store2", "r2d2", "com10", &longest] {
            assert_eq!(Name::parse(name).map(|name| name.to_string()), Ok(name.to_owned()));
        }
    }

    #[test]
    fn each_rule_refuses() {
        assert_eq!(Name::parse(""), Err(NameError::Empty));
        assert_eq!(Name::parse("1st"), Err(NameError::Start('1')));
        assert_eq!(Name::parse("-x"), Err(NameError::Start('-')));
        assert_eq!(Name::parse("Hello"), Err(NameError::Character('H')));
        assert_eq!(Name::parse("a/b"), Err(NameError::Character('/')));
        assert_eq!(Name::parse("grüße"), Err(NameError::Character('ü')));
        assert_eq!(Name::parse(&"a".repeat(65)), Err(NameError::Long(65)));
    }

    #[test]
    fn names_with_a_meaning_are_refused() {
        for name in [
            "fn",
            "gen",
            "async",
            "test",
            "std",
            "core",
            "alloc",
            "proc_macro",
            "proc-macro",
            "build",
            "smolkit",
            "smolkit-net",
            "axum",
            "serde",
            "serde-json",
            "tracing_subscriber",
            "con",
            "lpt1",
        ] {
            assert!(matches!(Name::parse(name), Err(NameError::Reserved(_))), "{name}");
        }
    }
}
