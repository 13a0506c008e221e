//! Where a project takes smolkit from: the checkout that this command runs from, or its version.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use smolkit_templates::Source;

use crate::failure::Failure;

/// The source for a project at that absolute path, and a line that tells the user.
pub(crate) fn source(project: &Path) -> Result<(Source, String), Failure> {
    let Some(checkout) = find() else {
        let version = env!("CARGO_PKG_VERSION");
        return Ok((Source::Version(version.into()), format!("It depends on smolkit {version}")));
    };
    let origin = format!("It depends on the checkout of smolkit at {}", checkout.display());
    let path = path_from(project, &checkout);
    let path = path.to_str().ok_or_else(|| {
        Failure::machine(format!(
            "cannot depend on the checkout at {}: its path is not UTF-8; move it",
            checkout.display()
        ))
    })?;
    Ok((Source::Path(path.into()), origin))
}

/// `cargo run` tells where the package's manifest is; a command started directly may lie in the
/// checkout's target folder.
fn find() -> Option<PathBuf> {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let executable = env::current_exe().ok();
    [manifest, executable]
        .into_iter()
        .flatten()
        .filter_map(|start| start.canonicalize().ok())
        .find_map(|start| {
            start.ancestors().find(|folder| holds_smolkit(folder)).map(Path::to_owned)
        })
}

/// Whether the folder is the root of smolkit's workspace, and not just one of that name.
fn holds_smolkit(folder: &Path) -> bool {
    let manifest_has = |path: &str, line: &str| {
        fs::read_to_string(folder.join(path))
            .is_ok_and(|text| text.lines().any(|l| l.trim() == line))
    };
    manifest_has("Cargo.toml", "[workspace]")
        && manifest_has("Cargo.toml", "name = \"smolkit\"")
        && manifest_has("cli/Cargo.toml", "name = \"smolkit-cli\"")
}

/// Relative inside of the checkout, so that both can move together; absolute elsewhere.
fn path_from(project: &Path, checkout: &Path) -> PathBuf {
    match project.strip_prefix(checkout) {
        Ok(below) => below.iter().map(|_| "..").collect(),
        Err(_) => checkout.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_inside_absolute_outside() {
        let path = |project: &str| path_from(Path::new(project), Path::new("/src/smolkit"));
        assert_eq!(path("/src/smolkit/hello"), Path::new(".."));
        assert_eq!(path("/src/smolkit/a/b"), Path::new("../.."));
        assert_eq!(path("/src/smolkit-hello"), Path::new("/src/smolkit"));
    }

    #[test]
    fn only_this_workspace_is_a_checkout() {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(!holds_smolkit(package));
        assert!(package.parent().is_some_and(holds_smolkit));
    }
}
