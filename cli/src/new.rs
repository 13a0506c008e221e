//! `smolkit new`: everything is checked before anything is written.

use std::path::Path;

use smolkit_templates::{Answers, File, Name, TEMPLATES, Template};

use crate::{args::New, checkout, destination::Destination, failure::Failure, print, run};

pub(crate) fn run(args: &New) -> Result<(), Failure> {
    let name = name(args)?;
    let template = template(&args.template)?;
    let path = args.path.clone().unwrap_or_else(|| name.as_str().into());
    let destination = Destination::check(&path)?;
    let (smolkit, origin) = checkout::source(destination.absolute())?;
    let files = template
        .render(&Answers { name, smolkit })
        .map_err(|error| Failure::machine(format!("{error}; please report this")))?;

    if args.dry_run {
        return print(&listing(&path, &files));
    }
    let cargo = if args.run { Some(run::Cargo::check(args.listen)?) } else { None };
    destination.write(&files)?;

    let (count, shown) = (files.len(), path.display());
    print(&format!("Created {shown} from template {}: {count} files\n{origin}\n", template.name))?;
    match cargo {
        Some(cargo) => {
            print("Building and starting it in release mode; Ctrl-C stops it\n")?;
            cargo.run(destination.absolute(), args.listen)
        }
        None => print(&format!("Next: cd {} && cargo run\n", run::quoted(&path))),
    }
}

fn name(args: &New) -> Result<Name, Failure> {
    let shown = args.name.to_string_lossy();
    let name = args.name.to_str().ok_or_else(|| {
        Failure::usage(format!("cannot call a project {shown:?}: it is not UTF-8; try `hello`"))
    })?;
    Name::parse(name).map_err(|error| {
        let hint = "try a name such as `hello` or `note-store`";
        Failure::usage(format!("cannot call a project {shown:?}: {error}; {hint}"))
    })
}

fn template(name: &str) -> Result<&'static Template, Failure> {
    smolkit_templates::find(name).ok_or_else(|| {
        let nearest = TEMPLATES.iter().map(|t| t.name).min_by_key(|known| distance(name, known));
        let nearest = nearest.unwrap_or("none");
        Failure::usage(format!(
            "there is no template {name:?}: did you mean `{nearest}`? `smolkit list` shows them all"
        ))
    })
}

fn listing(path: &Path, files: &[File]) -> String {
    files.iter().map(|file| format!("{}\n", path.join(file.path).display())).collect()
}

/// How many characters must be added, removed or replaced to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "http", 4),
            ("htp", "http", 1),
            ("htpt", "http", 2),
            ("grpc", "http", 4),
        ] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
            assert_eq!(distance(to, from), expected, "{to} {from}");
        }
    }
}
