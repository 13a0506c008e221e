//! `smolkit list`.

use smolkit_templates::TEMPLATES;

/// One line per template: its name, then what it is.
pub(crate) fn text() -> String {
    let width = TEMPLATES.iter().map(|template| template.name.len()).max().unwrap_or(0);
    TEMPLATES
        .iter()
        .map(|template| format!("{:width$}  {}\n", template.name, template.description))
        .collect()
}
