//! `--run`: builds the project and becomes the service.

use std::{
    env,
    ffi::OsString,
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
};

use smolkit_templates::RUST_VERSION;

use crate::failure::Failure;

/// A cargo that answers.
#[derive(Debug)]
pub(crate) struct Cargo {
    program: OsString,
}

impl Cargo {
    /// Finds out what would only fail after the project was written: no cargo, or no free port.
    pub(crate) fn check(listen: SocketAddr) -> Result<Self, Failure> {
        // Set by the cargo that runs us.
        let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let asked = Command::new(&program)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let refused = match asked {
            Ok(status) if status.success() => None,
            Ok(status) => Some(status.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = refused {
            return Err(Failure::machine(format!(
                "cannot run `{} --version`: {why}; install Rust {RUST_VERSION} or newer, or leave out \
                 --run",
                program.to_string_lossy()
            )));
        }

        if let Err(error) = TcpListener::bind(listen) {
            let hint = match error.kind() {
                ErrorKind::AddrInUse => "stop what listens there, or choose another port",
                _ => "choose another address",
            };
            return Err(Failure::machine(format!(
                "cannot listen on {listen}: {error}; {hint} with --listen"
            )));
        }
        Ok(Self { program })
    }

    /// Replaces this process by `cargo run`, which in turn becomes the service: signals and the exit
    /// status need no passing on. Returns only if that fails.
    pub(crate) fn run(&self, project: &Path, listen: SocketAddr) -> Result<(), Failure> {
        let error = Command::new(&self.program)
            .args(["run", "--release", "--", "--listen", &listen.to_string()])
            .current_dir(project)
            .exec();
        let (program, project) = (self.program.to_string_lossy(), project.display());
        Err(Failure::machine(format!("cannot run `{program} run` in {project}: {error}")))
    }
}

/// A path as a shell takes it.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+,@%".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_for_the_shell_when_it_must_be() {
        assert_eq!(quoted(Path::new("../a-b/c_d")), "../a-b/c_d");
        assert_eq!(quoted(Path::new("it's here")), r"'it'\''s here'");
    }
}
