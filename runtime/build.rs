//! Finds out what the compiler's standard library has.

// A build script talks to cargo on its standard output.
#![allow(clippy::print_stdout)]

use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(smolkit_std_pipe)");
    // `std::io::{PipeReader, PipeWriter}`, newer than the oldest compiler that this crate takes.
    if minor_version().is_some_and(|minor| minor >= 87) {
        println!("cargo:rustc-cfg=smolkit_std_pipe");
    }
}

/// The 85 of "rustc 1.85.0 (...)".
fn minor_version() -> Option<u32> {
    let output = Command::new(env::var_os("RUSTC")?).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.strip_prefix("rustc 1.")?.split('.').next()?.parse().ok()
}
