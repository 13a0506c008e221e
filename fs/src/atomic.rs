//! A file's contents replaced at once.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use smolkit_runtime::unblock;

/// Writes a whole file so that everybody, also after a crash, sees either what was there before or all of `contents`.
///
/// The contents go to a temporary file in the same directory, which is given the owner and the permissions of what it replaces, synced, and renamed; then the
/// directory is synced. The owner is kept only by root; else the file is ours, and its group is kept if we are in it. Other attributes, such as access
/// lists, are not kept, nor are other names of the former file. A symbolic link at `path` is replaced, not followed.
///
/// A program that is killed on the way leaves the temporary file, `.NAME.PID.NUMBER.tmp`.
///
/// # Cancel safety
///
/// A write that was begun is finished.
///
/// # Errors
///
/// Those of `open(2)`, `write(2)`, `fsync(2)` and `rename(2)`. The file is as it was then, and the temporary one is removed; only if the directory cannot be synced, the
/// new contents are there, but may not outlive a crash.
///
/// # Examples
///
/// ```
/// # let path = std::env::temp_dir().join(format!("smolkit-fs-atomic-{}", std::process::id()));
/// # smolkit_runtime::block_on(async {
/// smolkit_fs::write_atomic(&path, "all or nothing").await?;
/// assert_eq!(smolkit_fs::read_to_string(&path).await?, "all or nothing");
/// smolkit_fs::remove_file(&path).await
/// # })?;
/// # std::io::Result::Ok(())
/// ```
pub async fn write_atomic<P: AsRef<Path>, C: AsRef<[u8]>>(path: P, contents: C) -> io::Result<()> {
    let (path, contents) = (path.as_ref().to_owned(), contents.as_ref().to_owned());
    unblock(move || replace(&path, &contents)).await
}

fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let Some(name) = path.file_name() else {
        let message =
            format!("cannot write {}: a path that ends in a file name is needed", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    };
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let former = std::fs::symlink_metadata(path).ok().filter(Metadata::is_file);
    // What replaces a file is nobody else's before it has that file's permissions: who has opened it once can read all that comes.
    let mode = if former.is_some() { 0o600 } else { 0o666 };
    let mut temporary = Temporary::create(dir, name, mode)?;
    if let Some(former) = former {
        become_alike(&temporary.file, &former)?;
    }
    temporary.file.write_all(contents)?;
    temporary.file.sync_all()?;
    std::fs::rename(&temporary.path, path)?;
    temporary.is_renamed = true;
    File::open(dir)?.sync_all()
}

/// Owner first: to change it takes away the bits that let others run a file as its owner or group.
fn become_alike(file: &File, former: &Metadata) -> io::Result<()> {
    let (uid, gid) = (former.uid(), former.gid());
    let found = file.metadata()?;
    let mut mode = former.mode() & 0o7777;
    if (found.uid(), found.gid()) != (uid, gid) {
        let give = |uid| match fchown(file, uid, Some(gid)) {
            Ok(()) => Ok(true),
            Err(error) => match error.kind() {
                // Not root, or one with users of its own, among whom this one is not.
                io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput => Ok(false),
                _ => Err(error),
            },
        };
        if !give(Some(uid))? {
            give(None)?;
            // They would let it run as us.
            mode &= 0o777;
        }
    }
    file.set_permissions(Permissions::from_mode(mode))
}

/// A file that is removed again, unless it was renamed.
struct Temporary {
    file: File,
    path: PathBuf,
    is_renamed: bool,
}

impl Temporary {
    fn create(dir: &Path, name: &std::ffi::OsStr, mode: u32) -> io::Result<Temporary> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let mut unique = std::ffi::OsString::from(".");
            // A long name is cut: with the numbers it could be longer than a name may be.
            unique.push(name.to_string_lossy().chars().take(32).collect::<String>());
            unique.push(format!(".{}.{number}.tmp", std::process::id()));
            let path = dir.join(unique);
            match OpenOptions::new().write(true).create_new(true).mode(mode).open(&path) {
                Ok(file) => return Ok(Temporary { file, path, is_renamed: false }),
                // Left by a process of the same number that was killed.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_renamed {
            // What has failed before is told; this is only to tidy up.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
