//! Prometheus's text format 0.0.4.
//!
//! Every collector reads it, and it is what a scraper without an `Accept` header gets. prometheus-client writes OpenMetrics, which differs: there,
//! - a counter's family lacks the `_total` of its samples;
//! - types `info` and `unknown` exist, and `# UNIT`, `# EOF`, exemplars and `_created` samples;
//! - one name may not come twice; here neither, so that families of the same name in several sub-registries are merged.
//!
//! *Source*: <https://prometheus.io/docs/instrumenting/exposition_formats/>, OpenMetrics 1.0.

use std::collections::HashMap;

use prometheus_client::encoding::text as openmetrics;
use prometheus_client::registry::Registry;

/// For the response's `Content-Type`.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of the registry.
///
/// A metric of yours whose encoder fails ends the text before it.
///
/// # Examples
///
/// ```
/// use prometheus_client::metrics::counter::Counter;
/// use prometheus_client::registry::Registry;
/// use smolkit_service::metrics::text;
///
/// let notes = Counter::<u64>::default();
/// let mut registry = Registry::default();
/// registry.register("notes", "Notes written", notes.clone());
/// notes.inc();
/// let expected = "# HELP notes_total Notes written.\n# TYPE notes_total counter\nnotes_total 1\n";
/// assert_eq!(text::encode(&registry), expected);
/// ```
pub fn encode(registry: &Registry) -> String {
    let mut source = String::new();
    // What was written before an error is worth having.
    let _ = openmetrics::encode(&mut source, registry);
    convert(&source)
}

struct Family<'a> {
    name: String,
    help: &'a str,
    kind: &'static str,
    samples: Vec<&'a str>,
}

/// OpenMetrics, as prometheus-client writes it, in the older format.
fn convert(source: &str) -> String {
    let mut families: Vec<Family<'_>> = Vec::new();
    let mut by_name: HashMap<String, usize> = HashMap::new();
    let mut current = None;
    let mut created = String::new();
    let mut rest = source;
    while !rest.is_empty() {
        if let Some((family, after)) = family(rest) {
            rest = after;
            created = family.1;
            let family = family.0;
            let index = *by_name.entry(family.name.clone()).or_insert(families.len());
            if index == families.len() {
                families.push(family);
            }
            current = Some(index);
            continue;
        }
        // A line that has no end was cut off by an error.
        let Some((line, after)) = rest.split_once('\n') else { break };
        rest = after;
        let is_created = !created.is_empty()
            && line.strip_prefix(&*created).is_some_and(|rest| rest.starts_with(['{', ' ']));
        if line.starts_with('#') || line.is_empty() || is_created {
            continue;
        }
        if let Some(index) = current {
            families[index].samples.push(sample(line));
        }
    }
    write(&families, source.len())
}

/// The head of a family, the name of its `_created` samples (empty if its type has none), and what follows.
fn family(text: &str) -> Option<((Family<'_>, String), &str)> {
    let text = text.strip_prefix("# HELP ")?;
    let (name, text) = text.split_once(' ')?;
    // prometheus-client does not escape the help: it ends where the type begins.
    let end = format!("\n# TYPE {name} ");
    let (help, text) = text.split_once(&end)?;
    let (kind, text) = text.split_once('\n')?;
    let (kind, suffix) = match kind {
        "counter" => ("counter", "_total"),
        "info" => ("gauge", "_info"),
        "gauge" | "stateset" => ("gauge", ""),
        "histogram" => ("histogram", ""),
        "summary" => ("summary", ""),
        _ => ("untyped", ""),
    };
    let created = match kind {
        "counter" | "histogram" | "summary" => format!("{name}_created"),
        _ => String::new(),
    };
    let family = Family { name: format!("{name}{suffix}"), help, kind, samples: Vec::new() };
    Some(((family, created), text))
}

/// A sample without its exemplar. Label values may hold anything, also `# `.
fn sample(line: &str) -> &str {
    let labels = line.find(['{', ' ']).unwrap_or(0);
    let value = if line[labels..].starts_with('{') {
        labels + after_labels(&line[labels..])
    } else {
        labels
    };
    match line[value..].find(" # ") {
        Some(exemplar) => &line[..value + exemplar],
        None => line,
    }
}

/// How long `{...}` is, quotes and escapes considered.
fn after_labels(text: &str) -> usize {
    let mut is_quoted = false;
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'}' if !is_quoted => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn write(families: &[Family<'_>], size: usize) -> String {
    let mut text = String::with_capacity(size);
    for family in families {
        for part in ["# HELP ", &family.name, " "] {
            text.push_str(part);
        }
        for character in family.help.chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                _ => text.push(character),
            }
        }
        for part in ["\n# TYPE ", &family.name, " ", family.kind, "\n"] {
            text.push_str(part);
        }
        for sample in &family.samples {
            text.push_str(sample);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exemplars_are_cut_outside_of_quotes_only() {
        for (from, to) in [
            ("a_total 1 # {trace=\"x\"} 1.0", "a_total 1"),
            ("a_total{b=\"} # {\"} 1 # {trace=\"x\"} 1.0", "a_total{b=\"} # {\"} 1"),
            ("a{b=\"\\\"} # \"} 1", "a{b=\"\\\"} # \"} 1"),
            ("a 1", "a 1"),
        ] {
            assert_eq!(sample(from), to);
        }
    }

    #[test]
    fn types_units_and_ends_are_translated() {
        let source = "# HELP a_bytes Help.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\n\
            a_bytes_total 1\na_bytes_created 1.5\n\
            # HELP b Two\nlines \\.\n# TYPE b info\nb_info{x=\"y\"} 1\n\
            # HELP c C.\n# TYPE c unknown\nc 1\n# EOF\n";
        let expected = "# HELP a_bytes_total Help.\n# TYPE a_bytes_total counter\na_bytes_total 1\n\
            # HELP b_info Two\\nlines \\\\.\n# TYPE b_info gauge\nb_info{x=\"y\"} 1\n\
            # HELP c C.\n# TYPE c untyped\nc 1\n";
        assert_eq!(convert(source), expected);
    }

    #[test]
    fn a_name_comes_once() {
        let family = |label| format!("# HELP a A.\n# TYPE a gauge\na{{x=\"{label}\"}} 1\n");
        let source = format!("{}# HELP b B.\n# TYPE b gauge\nb 1\n{}# EOF\n", family(1), family(2));
        let expected = "# HELP a A.\n# TYPE a gauge\na{x=\"1\"} 1\na{x=\"2\"} 1\n# HELP b B.\n# TYPE b gauge\nb 1\n";
        assert_eq!(convert(&source), expected);
    }

    #[test]
    fn a_line_that_was_cut_off_is_left_out() {
        let source = "# HELP a A.\n# TYPE a gauge\na 1\na{x=\"";
        assert_eq!(convert(source), "# HELP a A.\n# TYPE a gauge\na 1\n");
    }
}
