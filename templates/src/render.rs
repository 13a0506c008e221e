//! From a template's text to a file's text.

use std::{error::Error, fmt};

use minijinja::{AutoEscape, Environment, UndefinedBehavior, context, syntax::SyntaxConfig};

use crate::{Answers, RUST_VERSION, Source};

/// A template that could not be rendered: a bug of this crate, never of the answers.
#[derive(Debug)]
pub struct RenderError {
    path: String,
    source: minijinja::Error,
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot render the template of {}: {}", self.path, self.source)
    }
}

impl Error for RenderError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

pub(crate) fn text(path: &str, text: &str, answers: &Answers) -> Result<String, RenderError> {
    let render = || {
        let mut environment = Environment::new();
        environment.set_syntax(
            SyntaxConfig::builder()
                .block_delimiters("<%", "%>")
                .variable_delimiters("<%=", "%>")
                .comment_delimiters("<%#", "%>")
                .trim_blocks(true)
                .lstrip_blocks(true)
                .keep_trailing_newline(true)
                .build()?,
        );
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // Nothing is escaped behind our back, whatever the file's name ends with.
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        let smolkit_path = match &answers.smolkit {
            Source::Path(path) => Some(path.as_str()),
            Source::Version(_) => None,
        };
        environment.render_str(
            text,
            context! {
                name => answers.name.as_str(),
                rust_version => RUST_VERSION,
                smolkit => answers.smolkit.toml(),
                smolkit_path => smolkit_path,
            },
        )
    };
    render().map_err(|source| RenderError { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Name;

    fn render(template: &str) -> Result<String, RenderError> {
        let name = Name::parse("hello").unwrap();
        let smolkit = Source::Version("0.1.0".into());
        text("file.yml", template, &Answers { name, smolkit })
    }

    #[test]
    fn an_undefined_name_is_an_error_that_names_the_file() {
        let error = render("<%= nmae %>").unwrap_err();
        assert!(error.to_string().contains("file.yml"), "{error}");
        assert!(render("<% if nmae %>x<% endif %>").is_err());
    }

    #[test]
    fn other_languages_pass_untouched() {
        for text in [
            "${{ github.ref }}\n",
            "{{ .Values }} {% x %} {# y #}",
            "1 << 3 >> 2; <<T as X>::Y>",
            "cat <<EOF",
            "[[bin]] <& \"quoted\" 5 % 3",
        ] {
            assert_eq!(render(text).unwrap(), text);
        }
    }

    #[test]
    fn a_block_on_its_own_line_leaves_no_line() {
        let text =
            "a\n<% if smolkit_path %>\npath\n<% else %>\nversion\n<% endif %>\n<%# note %>\nb\n";
        assert_eq!(render(text).unwrap(), "a\nversion\nb\n");
    }
}
