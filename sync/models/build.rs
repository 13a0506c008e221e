//! Lets the files of `smolkit-sync` know that they are compiled for loom, here alone.

#![allow(clippy::print_stdout)]

fn main() {
    println!("cargo:rustc-cfg=loom");
    println!("cargo:rerun-if-changed=build.rs");
}
