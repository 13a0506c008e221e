//! Goal: whatever is wrong, the user gets one line that helps, and the disk stays as it was.
//! Method: run the command with each kind of bad input, and look at its exit code, its line and the folder.

mod common;

use std::{
    ffi::OsStr,
    fs,
    net::TcpListener,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, symlink},
    },
    process::Command,
};

use common::{Scratch, output, stderr, stdout};

const MACHINE: i32 = 1;
const USAGE: i32 = 2;

/// Runs a command that must fail with one line which holds all of `hints`.
fn refused(command: &mut Command, code: i32, hints: &[&str]) {
    let output = output(command);
    let line = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{command:?}: {line}");
    assert_eq!(stdout(&output), "", "{command:?}");
    assert_eq!(line.lines().count(), 1, "{command:?}: {line}");
    assert!(line.starts_with("smolkit: ") && line.ends_with('\n'), "{line}");
    for hint in hints {
        assert!(line.contains(hint), "{hint:?} is not in {line}");
    }
}

/// The same in an empty folder, which must stay empty.
fn refused_and_nothing_written(arguments: &[&str], code: i32, hints: &[&str]) {
    let scratch = Scratch::new();
    refused(&mut scratch.smolkit(arguments), code, hints);
    assert_eq!(scratch.entries(), [""; 0], "{arguments:?}");
}

#[test]
fn bad_names() {
    for (name, hint) in [
        ("", "it is empty"),
        ("1st", "starts with '1'"),
        ("Hello", "'H'"),
        ("a b", "' '"),
        ("../up", "'.'"),
        ("a\nb", r"'\n'"),
        ("fn", "Rust keyword"),
        ("test", "Rust distribution"),
        ("std", "Rust distribution"),
        ("core", "Rust distribution"),
        ("alloc", "Rust distribution"),
        ("proc_macro", "Rust distribution"),
        ("deps", "cargo"),
        ("smolkit", "smolkit's own"),
        ("axum", "depends on"),
        ("serde-json", "depends on"),
        ("con", "Windows"),
        (&"a".repeat(65), "65 characters"),
    ] {
        refused_and_nothing_written(&["new", name], USAGE, &["cannot call a project", hint, "try"]);
    }
}

#[test]
fn bad_command_lines() {
    for (arguments, hint) in [
        (&[][..], "smolkit new NAME"),
        (&["new"], "<NAME>"),
        (&["nwe"], "nwe"),
        (&["new", "hello", "--rnu"], "--rnu"),
        (&["new", "hello", "--template", "htpp"], "did you mean `http`?"),
        (&["new", "hello", "--run", "--listen", "8080"], "127.0.0.1:8080"),
        (&["new", "hello", "--run", "--listen", "127.0.0.1:65536"], "127.0.0.1:8080"),
        (&["new", "hello", "--listen", "127.0.0.1:0"], "--run"),
        (&["new", "hello", "--run", "--dry-run"], "--run"),
        (&["new", "hello", "--path", ""], "--path"),
        (&["new", "hello", "--path", "missing/hello"], "missing does not exist; create it first"),
        (&["new", "hello", "--path", "a\nb/c"], r"a\nb does not exist"),
    ] {
        refused_and_nothing_written(arguments, USAGE, &[hint]);
    }
}

#[test]
fn names_and_paths_that_are_not_utf8() {
    let scratch = Scratch::new();
    let strange = OsStr::from_bytes(b"a\xffb");
    refused(scratch.smolkit(["new"]).arg(strange), USAGE, &["UTF-8"]);
    refused(scratch.smolkit(["new", "hello", "--path"]).arg(strange), USAGE, &["UTF-8"]);
    assert_eq!(scratch.entries(), [""; 0]);
}

#[test]
fn places_that_are_taken() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path().join("full")).unwrap();
    fs::write(scratch.path().join("full/.hidden"), "mine").unwrap();
    fs::write(scratch.path().join("file"), "mine").unwrap();
    symlink("nowhere", scratch.path().join("link")).unwrap();

    refused(&mut scratch.smolkit(["new", "full"]), USAGE, &["full", "not empty", "--path"]);
    refused(&mut scratch.smolkit(["new", "full", "--dry-run"]), USAGE, &["not empty"]);
    refused(&mut scratch.smolkit(["new", "a", "--path", "."]), USAGE, &["not empty"]);
    refused(&mut scratch.smolkit(["new", "file"]), USAGE, &["file", "not a folder"]);
    refused(&mut scratch.smolkit(["new", "link"]), USAGE, &["symbolic link"]);
    refused(&mut scratch.smolkit(["new", "a", "--path", "file/a"]), MACHINE, &["file/a"]);

    assert_eq!(scratch.entries(), ["file", "full", "link"]);
    assert_eq!(common::names(&scratch.path().join("full")), [".hidden"]);
    assert_eq!(fs::read(scratch.path().join("full/.hidden")).unwrap(), b"mine");
}

#[test]
fn a_folder_without_permission() {
    let scratch = Scratch::new();
    let program = scratch.installed();
    let folder = scratch.path().join("locked");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();

    // Root may write anywhere: give it up.
    let mut command = if fs::metadata(&folder).unwrap().uid() == 0 {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
        command
    } else {
        Command::new(&program)
    };
    command.args(["new", "hello"]).current_dir(&folder);
    refused(&mut command, MACHINE, &["cannot create hello", "Permission denied", "--path"]);
    command.args(["--path", "."]);
    refused(&mut command, MACHINE, &["Permission denied"]);
    assert_eq!(common::names(&folder), [""; 0]);
}

#[test]
fn a_write_that_fails_half_way() {
    let scratch = Scratch::new();
    for into in ["hello", "."] {
        // A limit on the size of files stands in for a full disk: the first files fit, others do not.
        let mut command = Command::new("sh");
        command.args(["-c", r#"trap "" XFSZ; ulimit -f 1; exec "$0" "$@""#, common::SMOLKIT]);
        command.args(["new", "hello", "--path", into]).current_dir(scratch.path());
        refused(&mut command, MACHINE, &["cannot create", "File too large", "nothing was written"]);
        assert_eq!(scratch.entries(), [""; 0]);
    }
}

#[test]
fn run_without_cargo() {
    let scratch = Scratch::new();
    let mut command = scratch.smolkit(["new", "hello", "--run", "--listen", "127.0.0.1:0"]);
    command.env_remove("CARGO").env("PATH", scratch.path());
    refused(&mut command, MACHINE, &["cargo", "install Rust 1.", "--run"]);
    // Such as rustup's, when it has no toolchain.
    command.env("CARGO", "/bin/false");
    refused(&mut command, MACHINE, &["/bin/false", "exit status: 1"]);
    assert_eq!(scratch.entries(), [""; 0]);
}

#[test]
fn run_on_a_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let arguments = ["new", "hello", "--run", "--listen", &address];
    refused_and_nothing_written(&arguments, MACHINE, &[&address, "in use", "--listen"]);
}

#[test]
fn run_on_an_address_of_another_machine() {
    let arguments = ["new", "hello", "--run", "--listen", "192.0.2.1:0"];
    refused_and_nothing_written(&arguments, MACHINE, &["192.0.2.1:0", "choose another address"]);
}
