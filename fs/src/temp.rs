//! Files and directories that are gone when they are not needed any more.

mod dir;
mod file;

use std::ffi::OsString;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use smolkit_runtime::unblock;

pub use self::dir::TempDir;
pub use self::file::{TempFile, temp_file};

/// How to make a temporary file or directory.
///
/// Nothing that exists is ever opened or followed, so it is safe in a directory that others can write to. Only the owner may read and write a file (0600), and enter a
/// directory (0700).
///
/// # Examples
///
/// ```
/// # use smolkit_runtime as smolkit;
/// smolkit::block_on(async {
///     let file = smolkit_fs::TempOptions::new().prefix("report-").suffix(".csv").create_file().await?;
///     assert!(file.path().extension().is_some_and(|end| end == "csv"));
///     file.close().await
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TempOptions {
    dir: Option<PathBuf>,
    prefix: Option<OsString>,
    suffix: OsString,
}

impl TempOptions {
    /// In [`std::env::temp_dir`], with a name that begins with `.tmp`.
    pub fn new() -> TempOptions {
        TempOptions::default()
    }

    /// The directory that it is made in.
    pub fn within<P: AsRef<Path>>(&mut self, dir: P) -> &mut Self {
        self.dir = Some(dir.as_ref().to_owned());
        self
    }

    /// What the name begins with.
    pub fn prefix<S: Into<OsString>>(&mut self, prefix: S) -> &mut Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// What the name ends with.
    pub fn suffix<S: Into<OsString>>(&mut self, suffix: S) -> &mut Self {
        self.suffix = suffix.into();
        self
    }

    /// Makes a directory.
    ///
    /// # Cancel safety
    ///
    /// One that was made for nobody is removed again.
    ///
    /// # Errors
    ///
    /// Those of `mkdir(2)`, with the directory in which it was to be made.
    pub async fn create_dir(&self) -> io::Result<TempDir> {
        let options = self.clone();
        let dir =
            unblock(move || options.make(0o700, |make, within| make.tempdir_in(within))).await?;
        Ok(TempDir::wrap(dir))
    }

    /// Makes a file, open for reading and writing.
    ///
    /// # Cancel safety
    ///
    /// One that was made for nobody is removed again.
    ///
    /// # Errors
    ///
    /// Those of `open(2)`, with the directory in which it was to be made.
    pub async fn create_file(&self) -> io::Result<TempFile> {
        let options = self.clone();
        let file =
            unblock(move || options.make(0o600, |make, within| make.tempfile_in(within))).await?;
        Ok(TempFile::wrap(file))
    }

    fn make<T>(
        &self,
        mode: u32,
        make: impl Fn(&tempfile::Builder<'_, '_>, &Path) -> io::Result<T>,
    ) -> io::Result<T> {
        let dir = self.dir.clone().unwrap_or_else(std::env::temp_dir);
        let mut builder = tempfile::Builder::new();
        builder.suffix(&self.suffix).permissions(Permissions::from_mode(mode));
        if let Some(prefix) = &self.prefix {
            builder.prefix(prefix);
        }
        make(&builder, &dir)
    }
}

/// Removes what a dropped value leaves, where that may block; a failure is logged, because nobody is left to be told.
///
/// If the job is dropped before it has begun, because the pool was shut down, what it was given removes itself.
fn remove_later(
    what: &'static str,
    path: PathBuf,
    remove: impl FnOnce() -> io::Result<()> + Send + 'static,
) {
    let job = move || match remove() {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::error!(%error, path = %path.display(), "a temporary {what} could not be removed");
        }
        _ => {}
    };
    unblock(job).detach();
}
