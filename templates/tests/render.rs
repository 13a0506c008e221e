//! Goal: every template renders into a complete project, for every kind of answer.
//! Method: render each in memory and look at paths and bytes; nothing is built here.

use std::{collections::BTreeSet, fs, path::Path};

use smolkit_templates::{Answers, File, Name, RUST_VERSION, Source, TEMPLATES, Template, find};

fn answers(smolkit: Source) -> Answers {
    Answers { name: Name::parse("hello-world").unwrap(), smolkit }
}

fn every_project() -> Vec<(&'static Template, Vec<File>)> {
    let sources = [Source::Path("../up \"there\"".into()), Source::Version("0.1.0".into())];
    let mut projects = Vec::new();
    for template in TEMPLATES {
        for source in &sources {
            projects.push((template, template.render(&answers(source.clone())).unwrap()));
        }
    }
    projects
}

fn text<'a>(files: &'a [File], path: &str) -> &'a str {
    let file = files.iter().find(|file| file.path == path).expect(path);
    std::str::from_utf8(&file.contents).unwrap()
}

#[test]
fn templates_are_found_by_name_and_described_in_one_line() {
    for template in TEMPLATES {
        assert_eq!(find(template.name).unwrap().name, template.name);
        assert!(!template.description.is_empty() && !template.description.contains('\n'));
    }
    assert!(find("no-such-template").is_none());
}

#[test]
fn the_same_answers_give_the_same_bytes() {
    for ((_, first), (_, second)) in every_project().iter().zip(every_project()) {
        assert_eq!(*first, second);
    }
}

#[test]
fn files_are_sorted_relative_and_complete() {
    for (template, files) in every_project() {
        assert!(files.windows(2).all(|pair| pair[0].path < pair[1].path), "{}", template.name);
        for file in &files {
            let parts: Vec<_> = file.path.split('/').collect();
            assert!(parts.iter().all(|part| !["", ".", ".."].contains(part)), "{}", file.path);
            assert!(!file.path.ends_with(".tmpl"), "{}", file.path);
            let text = std::str::from_utf8(&file.contents).unwrap();
            assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "end of {}", file.path);
            assert!(text.lines().all(|line| line.trim_end() == line), "spaces in {}", file.path);
        }
        for path in ["Cargo.toml", "Dockerfile", "README.md", ".gitignore", "src/main.rs"] {
            text(&files, path);
        }
    }
}

#[test]
fn no_delimiter_of_ours_is_left() {
    for (_, files) in every_project() {
        for file in files {
            let text = std::str::from_utf8(&file.contents).unwrap();
            assert!(!text.contains("<%") && !text.contains("%>"), "{}", file.path);
        }
    }
}

#[test]
fn expressions_of_the_ci_survive() {
    for (_, files) in every_project() {
        let ci = text(&files, ".github/workflows/ci.yml");
        assert!(ci.contains("${{ matrix.rust }}") && ci.contains("${{ github.sha }}"), "{ci}");
    }
}

#[test]
fn one_rust_version_everywhere() {
    for (_, files) in every_project() {
        for (path, line) in [
            ("Cargo.toml", format!("rust-version = \"{RUST_VERSION}\"\n")),
            ("Dockerfile", format!("ARG RUST_VERSION={RUST_VERSION}\n")),
            (".github/workflows/ci.yml", format!("rust: [stable, \"{RUST_VERSION}\"]\n")),
        ] {
            assert!(text(&files, path).contains(&line), "{path}: {line}");
        }
    }
}

#[test]
fn the_manifest_names_the_project_its_source_and_the_listed_packages() {
    for (template, files) in every_project() {
        let manifest = text(&files, "Cargo.toml");
        assert!(manifest.contains("name = \"hello-world\"\n"));
        assert!(manifest.contains("[workspace]\n"));

        let mut packages = BTreeSet::new();
        let mut inside = false;
        for line in manifest.lines() {
            if let Some(table) = line.strip_prefix('[') {
                inside = table.ends_with("dependencies]");
            } else if let (true, Some((package, _))) = (inside, line.split_once(" = ")) {
                packages.insert(package);
            }
        }
        assert_eq!(packages, BTreeSet::from_iter(template.dependencies.iter().copied()));
    }
}

#[test]
fn the_source_of_smolkit_is_written_as_chosen() {
    for template in TEMPLATES {
        let path = template.render(&answers(Source::Path("../up \"there\"".into()))).unwrap();
        assert!(text(&path, "Cargo.toml").contains(r#"smolkit = { path = "../up \"there\"","#));
        assert!(text(&path, "README.md").contains("../up \"there\""));

        let version = template.render(&answers(Source::Version("1.2.3".into()))).unwrap();
        assert!(text(&version, "Cargo.toml").contains("smolkit = { version = \"1.2.3\","));
        assert!(!text(&version, "README.md").contains("checkout"));
    }
}

#[test]
fn every_stored_file_is_used() {
    for template in TEMPLATES {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(template.name);
        let files = template.render(&answers(Source::Version("0.1.0".into()))).unwrap();
        assert_eq!(count(&folder), files.len(), "{}", folder.display());
    }
}

fn count(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
}
