//! Goal: `smolkit new` writes what it announced, where it was told to, and nothing else.
//! Method: run it in scratch folders, and compare the files, the dependency on smolkit and the messages.

mod common;

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use common::{Scratch, names, output, stderr, stdout};

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().canonicalize().unwrap()
}

/// Runs a command that must succeed silently on standard error, and returns what it printed.
fn printed(command: &mut Command) -> String {
    let output = output(command);
    assert!(output.status.success(), "{command:?}: {}", stderr(&output));
    assert_eq!(stderr(&output), "");
    stdout(&output).to_owned()
}

fn manifest(project: &Path) -> String {
    fs::read_to_string(project.join("Cargo.toml")).unwrap()
}

/// The paths of all files below a folder, each after `shown`.
fn files(folder: &Path, shown: &str) -> Vec<String> {
    let mut all = Vec::new();
    for name in names(folder) {
        let (path, shown) = (folder.join(&name), format!("{shown}/{name}"));
        if path.is_dir() { all.extend(files(&path, &shown)) } else { all.push(shown) }
    }
    all.sort();
    all
}

#[test]
fn a_dry_run_lists_what_a_run_writes_and_writes_nothing() {
    let scratch = Scratch::new();
    let announced = printed(&mut scratch.smolkit(["new", "hello", "--dry-run"]));
    assert_eq!(scratch.entries(), [""; 0]);

    printed(&mut scratch.smolkit(["new", "hello"]));
    assert_eq!(scratch.entries(), ["hello"]);
    let mut announced: Vec<_> = announced.lines().collect();
    announced.sort_unstable();
    assert_eq!(announced, files(&scratch.path().join("hello"), "hello"));
}

#[test]
fn a_second_run_leaves_the_first_project_alone() {
    let scratch = Scratch::new();
    printed(&mut scratch.smolkit(["new", "hello"]));
    let main = scratch.path().join("hello/src/main.rs");
    fs::write(&main, "mine").unwrap();
    assert_eq!(output(&mut scratch.smolkit(["new", "hello"])).status.code(), Some(2));
    assert_eq!(fs::read(&main).unwrap(), b"mine");
}

#[test]
fn path_names_the_folder_that_becomes_the_project() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path().join("services")).unwrap();
    let text = printed(&mut scratch.smolkit(["new", "hello", "--path", "services/it's"]));
    assert!(text.contains(r"Next: cd 'services/it'\''s' && cargo run"), "{text}");
    assert!(manifest(&scratch.path().join("services/it's")).contains("name = \"hello\"\n"));
    assert_eq!(scratch.entries(), ["services"]);
}

#[test]
fn an_empty_folder_is_filled_in_place() {
    let scratch = Scratch::new();
    let folder = scratch.path().join("empty");
    fs::create_dir(&folder).unwrap();
    symlink("empty", scratch.path().join("link")).unwrap();
    let inode = fs::metadata(&folder).unwrap().ino();

    let mut command = scratch.smolkit(["new", "hello", "--path", "."]);
    printed(command.current_dir(&folder));
    assert_eq!(fs::metadata(&folder).unwrap().ino(), inode, "the folder was replaced");
    let filled = files(&folder, "x");
    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir(&folder).unwrap();

    printed(&mut scratch.smolkit(["new", "hello", "--path", "link"]));
    assert!(fs::symlink_metadata(scratch.path().join("link")).unwrap().is_symlink());
    assert_eq!(files(&folder, "x"), filled);
    assert_eq!(filled.len(), files(&folder, "x").len());
    assert!(filled.contains(&"x/Cargo.toml".to_owned()));
}

#[test]
fn from_a_checkout_the_project_depends_on_its_path() {
    let scratch = Scratch::new();
    let checkout = checkout();
    let mut command = Command::new(scratch.installed());
    command.args(["new", "hello"]).current_dir(scratch.path());
    // As `cargo run` sets it.
    command.env("CARGO_MANIFEST_DIR", checkout.join("cli"));
    let text = printed(&mut command);
    assert!(text.contains(&format!("checkout of smolkit at {}\n", checkout.display())), "{text}");
    let line = format!("smolkit = {{ path = \"{}\",", checkout.display());
    let manifest = manifest(&scratch.path().join("hello"));
    assert!(manifest.contains(&line), "{manifest}");
}

#[test]
fn inside_of_a_checkout_the_path_is_relative() {
    // Only what tells a checkout from another folder, with the command in its target folder.
    let scratch = Scratch::new();
    let program = scratch.path().join("target/debug/smolkit");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::create_dir(scratch.path().join("cli")).unwrap();
    common::copy_program(&program);
    for path in ["Cargo.toml", "cli/Cargo.toml"] {
        fs::copy(checkout().join(path), scratch.path().join(path)).unwrap();
    }

    let mut command = Command::new(&program);
    command.args(["new", "hello"]).current_dir(scratch.path()).env_remove("CARGO_MANIFEST_DIR");
    printed(&mut command);
    assert!(manifest(&scratch.path().join("hello")).contains("smolkit = { path = \"..\","));
}

#[test]
fn elsewhere_the_project_depends_on_this_version() {
    let scratch = Scratch::new();
    let mut command = Command::new(scratch.installed());
    command.args(["new", "hello"]).current_dir(scratch.path());
    // Another package's `cargo run` is no checkout of smolkit.
    command.env("CARGO_MANIFEST_DIR", scratch.path());
    let text = printed(&mut command);
    let version = env!("CARGO_PKG_VERSION");
    assert!(text.contains(&format!("It depends on smolkit {version}\n")), "{text}");
    let line = format!("smolkit = {{ version = \"{version}\",");
    let manifest = manifest(&scratch.path().join("hello"));
    assert!(manifest.contains(&line), "{manifest}");
}
