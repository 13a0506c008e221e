//! What a template is, and what it is rendered from and to.

use crate::{Name, RenderError, http, render};

/// Every template, in the order in which `smolkit list` shows them.
pub const TEMPLATES: &[Template] = &[http::TEMPLATE];

/// The template of that name.
pub fn find(name: &str) -> Option<&'static Template> {
    TEMPLATES.iter().find(|template| template.name == name)
}

/// A kind of project that can be generated.
#[derive(Debug)]
pub struct Template {
    /// What `--template` takes.
    pub name: &'static str,
    /// One line on what the generated project is.
    pub description: &'static str,
    /// The packages that the generated manifest names, which a project cannot be called.
    pub dependencies: &'static [&'static str],
    /// Pairs of the path in the project and the template's text.
    pub(crate) files: &'static [(&'static str, &'static str)],
}

impl Template {
    /// The files of a project, sorted by path.
    ///
    /// # Errors
    ///
    /// A template that names something undefined, or whose syntax is broken: a bug of this crate.
    pub fn render(&self, answers: &Answers) -> Result<Vec<File>, RenderError> {
        let mut files = self
            .files
            .iter()
            .map(|&(path, text)| {
                let contents = render::text(path, text, answers)?.into_bytes();
                Ok(File { path, contents })
            })
            .collect::<Result<Vec<_>, _>>()?;
        files.sort_by_key(|file| file.path);
        Ok(files)
    }
}

/// What the user chose; together with the template it determines every byte of the project.
#[derive(Clone, Debug)]
pub struct Answers {
    /// The project's name: its package, its binary and its image are called so.
    pub name: Name,
    /// Where the project takes smolkit from.
    pub smolkit: Source,
}

/// Where a generated project takes smolkit from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A folder that holds the smolkit workspace, absolute or relative to the project.
    Path(String),
    /// A published version.
    Version(String),
}

impl Source {
    /// The part of a dependency line that names the source, such as `version = "0.1.0"`.
    pub fn toml(&self) -> String {
        match self {
            Self::Path(path) => format!("path = {}", toml_string(path)),
            Self::Version(version) => format!("version = {}", toml_string(version)),
        }
    }
}

/// A generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it goes, relative to the project's folder, with `/` between the parts.
    pub path: &'static str,
    /// What it holds.
    pub contents: Vec<u8>,
}

/// A TOML basic string.
fn toml_string(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(control)));
            }
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_toml() {
        let source = Source::Path("/a \"b\"/c\\d\n".into());
        assert_eq!(source.toml(), r#"path = "/a \"b\"/c\\d\u000A""#);
    }
}
