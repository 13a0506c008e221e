//! Goal: the global runtime has as many workers as the environment says, whatever else stands in it.
//! Method: a process for each environment, with a task that asks its runtime.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process::Command;
use std::thread;

use smolkit_runtime::{Handle, block_on, spawn};

const CHILD: &str = "SMOLKIT_TEST_GLOBAL";
const VARIABLES: [&str; 2] = ["SMOLKIT_THREADS", "SMOL_THREADS"];

/// Not a test of its own: what the processes below do.
#[test]
#[allow(clippy::print_stdout)]
fn child() {
    if std::env::var_os(CHILD).is_some() {
        let workers = block_on(spawn(async { Handle::current().metrics().workers() }));
        println!("workers: {workers}.");
    }
}

fn workers_with(ours: Option<OsString>, smols: Option<OsString>) -> usize {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "child", "--nocapture", "--test-threads=1"]).env(CHILD, "1");
    for (name, value) in VARIABLES.into_iter().zip([ours, smols]) {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.output().expect("this program again");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    let (_, count) = text.split_once("workers: ").expect("it says how many");
    count.split_once('.').expect("and then no more").0.parse().expect("a number")
}

#[test]
fn workers_of_the_environment() {
    let default = || thread::available_parallelism().map_or(1, usize::from);
    let text = |text: &str| Some(OsString::from(text));
    assert_eq!(workers_with(text("3"), text("5")), 3);
    assert_eq!(workers_with(text(" 3 "), None), 3);
    assert_eq!(workers_with(None, text("5")), 5);
    assert_eq!(workers_with(text("0"), text("5")), 1, "out of range: the nearest that is not");
    // What is no number says nothing.
    for odd in ["", "many", "-1", "3.5", "99999999999999999999999999"] {
        assert_eq!(workers_with(text(odd), text("5")), 5, "{odd:?}");
    }
    assert_eq!(workers_with(Some(OsString::from_vec(vec![0xff])), text("5")), 5);
    assert_eq!(workers_with(text("many"), text("")), default());
}
