//! The steps that block.

use std::collections::HashSet;
use std::fs::{self, FileType, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::{Copied, Outcome, invalid};
use crate::EntryError;
use crate::identity::{Id, id, refuse_same};

/// Whether `from` can be copied to `to` at all.
pub(super) fn prepare(from: &Path, to: &Path) -> io::Result<()> {
    if !fs::metadata(from)?.is_dir() {
        return Err(io::Error::new(ErrorKind::NotADirectory, "it is no directory: use `copy`"));
    }
    let from = fs::canonicalize(from)?;
    if absolute(to)?.starts_with(from) {
        let message = format!("{} is in it, and would be copied into itself", to.display());
        return Err(invalid(message));
    }
    Ok(())
}

/// The path of what may not be there yet.
fn absolute(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        result => return result,
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(invalid(format!("{} has no name", path.display())));
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    Ok(fs::canonicalize(parent)?.join(name))
}

pub(super) struct Made {
    /// What it shall have when all is in it. One that was there keeps its own.
    pub(super) permissions: Option<Permissions>,
    pub(super) id: Id,
}

/// Makes a directory. `copies`: those that the copy has so far, none at its start.
pub(super) fn make_dir(
    from: &Path,
    to: &Path,
    copies: &HashSet<Id>,
    follow: bool,
) -> Result<Made, EntryError> {
    let is_start = copies.is_empty();
    let make = || {
        let found =
            if is_start || follow { fs::metadata(from)? } else { fs::symlink_metadata(from)? };
        if !found.is_dir() {
            return Err(changed());
        }
        if copies.contains(&id(&found)) {
            let message = "a link leads to the copy, which would be copied into itself";
            return Err(invalid(message.to_owned()));
        }
        // The start may be a link, those below it may not.
        let look = |path| if is_start { fs::metadata(path) } else { fs::symlink_metadata(path) };
        let permissions = found.permissions();
        // Nobody else looks into it before it has its permissions.
        match fs::DirBuilder::new().mode(0o700).create(to) {
            Ok(()) => Ok(Made { permissions: Some(permissions), id: id(&look(to)?) }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => match look(to) {
                Ok(there) if there.is_dir() => Ok(Made { permissions: None, id: id(&there) }),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    };
    make().map_err(|error| EntryError::new("cannot make the directory", to.to_owned(), error))
}

/// Those of the innermost directories first: who may not search one cannot reach what is in it.
pub(super) fn set_permissions(dirs: Vec<(PathBuf, Id, Permissions)>) -> Vec<EntryError> {
    let mut errors = Vec::new();
    for (path, made, permissions) in dirs.into_iter().rev() {
        let set = || {
            // What was put in its place meanwhile, a link above all, is not ours to change.
            let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
            let dir = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(&path);
            let dir = dir.map_err(unless_link)?;
            if id(&dir.metadata()?) != made {
                return Err(changed());
            }
            dir.set_permissions(permissions)
        };
        if let Err(error) = set() {
            errors.push(EntryError::new("cannot set the permissions of", path, error));
        }
    }
    errors
}

/// `follow`: whether `from` may be a link to the file.
pub(super) fn copy_entry(
    from: &Path,
    to: &Path,
    file_type: FileType,
    overwrite: bool,
    follow: bool,
) -> Outcome {
    let mut copied = Copied::default();
    let result = if file_type.is_file() {
        copied.files = 1;
        copy_file(from, to, overwrite, follow).map(|bytes| copied.bytes = bytes)
    } else if file_type.is_symlink() {
        copied.links = 1;
        fs::read_link(from).and_then(|target| symlink(target, to))
    } else {
        let message = "it is neither file, directory nor link";
        Err(io::Error::new(ErrorKind::Unsupported, message))
    };
    let to_error = |error| EntryError::new("cannot copy", from.to_owned(), error);
    result.map(|()| copied).map_err(to_error)
}

/// What was something else when the directory was listed.
fn changed() -> io::Error {
    io::Error::new(ErrorKind::AlreadyExists, "something else stands in its place")
}

/// With `O_NOFOLLOW`, a link is something else.
fn unless_link(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => changed(),
        _ => error,
    }
}

fn copy_file(from: &Path, to: &Path, overwrite: bool, follow: bool) -> io::Result<u64> {
    // Not waiting: a FIFO may have taken the file's place.
    let nonblocking = OFlags::NONBLOCK.bits() as i32;
    let no_follow = OFlags::NOFOLLOW.bits() as i32;
    let source_flags = if follow { nonblocking } else { nonblocking | no_follow };
    let source = OpenOptions::new().read(true).custom_flags(source_flags).open(from);
    let mut source = if follow { source? } else { source.map_err(unless_link)? };
    let found = source.metadata()?;
    if !found.is_file() {
        return Err(changed());
    }
    let mut options = OpenOptions::new();
    options.write(true).mode(found.permissions().mode());
    let mut target = match options.clone().create_new(true).open(to) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && overwrite => {
            // The last name is not followed, so that a link cannot lead elsewhere.
            let target = options.custom_flags(nonblocking | no_follow).open(to);
            let target = target.map_err(unless_link)?;
            let former = target.metadata()?;
            if !former.is_file() {
                return Err(changed());
            }
            refuse_same(&found, &former)?;
            target.set_len(0)?;
            target
        }
        target => target?,
    };
    // What the process's mask took off, or the former file did not have.
    target.set_permissions(found.permissions())?;
    io::copy(&mut source, &mut target)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Others have taken the place of what was made.
    #[test]
    fn permissions_are_for_what_was_made() {
        let dir = std::env::temp_dir().join(format!("smolkit-fs-modes-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let at = |name: &str| dir.join(name);
        let make = |name: &str| {
            fs::DirBuilder::new().mode(0o700).create(at(name)).unwrap();
            id(&fs::metadata(at(name)).unwrap())
        };
        let wanted = || Permissions::from_mode(0o755);
        let list = |name: &str, made| vec![(at(name), made, wanted())];
        let mode = |name: &str| fs::metadata(at(name)).unwrap().permissions().mode() & 0o7777;
        let (made, other) = (make("made"), make("other"));
        assert!(set_permissions(list("made", made)).is_empty());
        assert_eq!(mode("made"), 0o755);
        // A link, also one to the right place, and another directory.
        symlink(at("other"), at("link")).unwrap();
        assert_eq!(set_permissions(list("link", other)).len(), 1);
        assert_eq!(set_permissions(list("other", made)).len(), 1);
        assert_eq!(mode("other"), 0o700);
        fs::remove_dir_all(&dir).unwrap();
    }

    /// A link has taken the place of what was listed.
    #[test]
    fn links_that_came_later() {
        let dir = std::env::temp_dir().join(format!("smolkit-fs-links-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let at = |name: &str| dir.join(name);
        fs::write(at("secret"), "not to be copied").unwrap();
        fs::create_dir(at("secrets")).unwrap();
        let file_type = fs::metadata(at("secret")).unwrap().file_type();
        symlink(at("secret"), at("file")).unwrap();
        symlink(at("secrets"), at("dir")).unwrap();
        let error = copy_entry(&at("file"), &at("copy"), file_type, true, false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert!(!at("copy").exists());
        let copies = HashSet::from([(0, 0)]);
        assert!(make_dir(&at("dir"), &at("copies"), &copies, false).is_err());
        assert!(!at("copies").exists());
        // Where links are followed, they are.
        copy_entry(&at("file"), &at("copy"), file_type, true, true).unwrap();
        make_dir(&at("dir"), &at("copies"), &copies, true).unwrap();
        fs::remove_dir_all(&dir).unwrap();
    }
}
