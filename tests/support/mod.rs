//! What several tests need: a deadline, and this program again as a child.

use std::env;
use std::process::Stdio;
use std::time::Duration;

use smolkit::process::Command;
use smolkit::{Timer, block_on, future};

/// Says to this program that it is the child, and which.
pub(crate) const ROLE: &str = "SMOLKIT_TEST_ROLE";

/// Fails if `f` takes longer than 300 s.
pub(crate) fn within<T>(f: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(Duration::from_secs(300)).await;
        panic!("not finished after 300 s")
    };
    block_on(future::or(f, late))
}

pub(crate) fn is_child(role: &str) -> bool {
    env::var(ROLE).is_ok_and(|own| own == role)
}

/// This program again, as a child that runs the test `test`.
pub(crate) fn child(test: &str, role: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(ROLE, role).stdout(Stdio::null());
    command
}
