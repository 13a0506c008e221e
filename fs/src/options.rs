//! How to open a file.

use std::future::Future;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use smolkit_runtime::unblock;

use crate::{File, now, unix};

/// How to open a file: `std::fs::OpenOptions`, for async programs.
///
/// # Examples
///
/// ```no_run
/// use smolkit_fs::OpenOptions;
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let log = OpenOptions::new().append(true).create(true).open("log").await?;
///     drop(log);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    inner: std::fs::OpenOptions,
    read: bool,
    /// Something that needs more than to open for reading what is there.
    more: bool,
}

impl OpenOptions {
    /// Nothing is set.
    pub fn new() -> OpenOptions {
        OpenOptions { inner: std::fs::OpenOptions::new(), read: false, more: false }
    }

    /// Whether it can be read from.
    pub fn read(&mut self, read: bool) -> &mut OpenOptions {
        self.inner.read(read);
        self.read = read;
        self
    }

    /// Whether it can be written to.
    pub fn write(&mut self, write: bool) -> &mut OpenOptions {
        self.inner.write(write);
        self.more |= write;
        self
    }

    /// Whether each write goes to the end.
    pub fn append(&mut self, append: bool) -> &mut OpenOptions {
        self.inner.append(append);
        self.more |= append;
        self
    }

    /// Whether it is emptied.
    pub fn truncate(&mut self, truncate: bool) -> &mut OpenOptions {
        self.inner.truncate(truncate);
        self.more |= truncate;
        self
    }

    /// Whether it is created if it is not there.
    pub fn create(&mut self, create: bool) -> &mut OpenOptions {
        self.inner.create(create);
        self.more |= create;
        self
    }

    /// Whether it must not be there, and is created.
    pub fn create_new(&mut self, create_new: bool) -> &mut OpenOptions {
        self.inner.create_new(create_new);
        self.more |= create_new;
        self
    }

    /// Opens the file.
    ///
    /// # Cancel safety
    ///
    /// A file that was opened for nobody is closed again; it may have been created or emptied.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied`, `AlreadyExists` and the others of `open(2)`; `InvalidInput` for options that contradict each other.
    pub fn open<P: AsRef<Path>>(&self, path: P) -> impl Future<Output = io::Result<File>> + use<P> {
        let path = path.as_ref().to_owned();
        let options = self.inner.clone();
        let is_simple = self.read && !self.more;
        async move {
            now::turn(0).await;
            if let Some(file) = is_simple.then(|| now::open(&path)).flatten() {
                return Ok(File::new(file));
            }
            Ok(File::new(unblock(move || options.open(path)).await?))
        }
    }
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions::new()
    }
}

impl unix::OpenOptionsExt for OpenOptions {
    fn mode(&mut self, mode: u32) -> &mut Self {
        self.inner.mode(mode);
        self
    }

    fn custom_flags(&mut self, flags: i32) -> &mut Self {
        self.inner.custom_flags(flags);
        self.more |= flags != 0;
        self
    }
}
