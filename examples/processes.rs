//! Subprocesses: output with a limit and a deadline, lines as they come, a pipeline.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::time::Duration;

use smolkit::prelude::*;
use smolkit::process::{Command, Line, OutputLimits, Pipeline, Stdio};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    smolkit::block_on(async {
        let limits = OutputLimits::new().stdout_bytes_max(1000).timeout(Duration::from_secs(60));
        let output = Command::new("uname").arg("-s").output_within(&limits).await?;
        println!("this is {}", String::from_utf8_lossy(&output.stdout).trim());

        let mut child = Command::new("sh")
            .args(["-c", "for i in 1 2 3; do echo $i; done; echo done >&2"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = child.lines();
        while let Some(line) = lines.next().await {
            match line? {
                Line::Stdout(line) => println!("it says {line}"),
                Line::Stderr(line) => println!("it complains: {line}"),
            }
        }
        println!("{}", child.status().await?);

        let mut echo = Command::new("echo");
        echo.arg("in capitals");
        let mut tr = Command::new("tr");
        tr.args(["a-z", "A-Z"]);
        let output = Pipeline::new(echo).pipe(tr).output().await?;
        print!("{}", String::from_utf8_lossy(&output.stdout));
        Ok(())
    })
}
