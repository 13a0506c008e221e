//! A directory and all below it, copied.

mod job;
mod report;

use std::collections::{HashSet, VecDeque};
use std::fs::Permissions;
use std::io;
use std::path::{Path, PathBuf};

use futures_lite::StreamExt;
use smolkit_runtime::{Task, unblock};

pub use self::report::{Copied, CopyError};

use crate::identity::Id;
use crate::{EntryError, WalkOptions};

/// So many files are copied at once.
const CONCURRENCY_DEFAULT: usize = 8;

/// Copies a directory and all below it: [`CopyOptions`] has more, and says how.
///
/// # Examples
///
/// ```
/// # use smolkit_runtime as smolkit;
/// # let to = std::env::temp_dir().join(format!("smolkit-fs-copy-{}", std::process::id()));
/// smolkit::block_on(async {
///     let copied = smolkit_fs::copy_dir("src", &to).await?;
///     assert!(copied.files > 10 && copied.bytes > 10_000);
/// #   smolkit_fs::remove_dir_all(&to).await?;
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Cancel safety
///
/// As [`CopyOptions::copy`].
///
/// # Errors
///
/// As [`CopyOptions::copy`].
pub async fn copy_dir<P: AsRef<Path>, Q: AsRef<Path>>(src: P, dst: Q) -> Result<Copied, CopyError> {
    CopyOptions::new().copy(src, dst).await
}

/// How to copy a directory.
#[derive(Clone, Debug)]
pub struct CopyOptions {
    overwrite: bool,
    follow_links: bool,
    concurrency: usize,
}

impl Default for CopyOptions {
    fn default() -> CopyOptions {
        CopyOptions { overwrite: true, follow_links: false, concurrency: CONCURRENCY_DEFAULT }
    }
}

impl CopyOptions {
    /// Files that are there are overwritten, links stay links, and up to 8 files are copied at once.
    pub fn new() -> CopyOptions {
        CopyOptions::default()
    }

    /// Whether a file that is there is overwritten; else it is an error of that entry (`AlreadyExists`).
    pub fn overwrite(&mut self, overwrite: bool) -> &mut Self {
        self.overwrite = overwrite;
        self
    }

    /// Whether links are followed, and what they lead to is copied; else they are made anew, as they are.
    pub fn follow_links(&mut self, follow: bool) -> &mut Self {
        self.follow_links = follow;
        self
    }

    /// How many files may be copied at once, and directories read at once; at least one.
    pub fn concurrency(&mut self, files: usize) -> &mut Self {
        self.concurrency = files.max(1);
        self
    }

    /// Copies the contents of `src` into `dst`, which is made if it is not there.
    ///
    /// Files are copied with their permissions, in the kernel where it can; directories get theirs when all is in them. What is in `dst`
    /// beside that stays; but nothing else than a regular file is ever overwritten, so that no link in `dst` leads out of it. A file with several
    /// names becomes as many files; owners and times are not copied.
    ///
    /// # Limits
    ///
    /// The first 100 failures are kept, the others are counted.
    ///
    /// # Cancel safety
    ///
    /// Files that were begun are finished; nothing else is begun. The permissions of directories may not be set yet.
    ///
    /// # Errors
    ///
    /// An entry that fails does not keep the others from being copied: [`CopyError`] has the failures, and what was copied all the same. The copy of a file that fails half-way may
    /// be there, incomplete. `Unsupported` for what is neither
    /// file, directory nor link; `AlreadyExists` for an entry in whose place there is something else; `InvalidInput` if `dst` is in `src`, and for a file that
    /// has its own name in `dst` already (a hard link); `NotADirectory` if `src` is
    /// none; and those of `open(2)`, `write(2)`, `mkdir(2)` and `symlink(2)`.
    pub async fn copy<P: AsRef<Path>, Q: AsRef<Path>>(
        &self,
        src: P,
        dst: Q,
    ) -> Result<Copied, CopyError> {
        let (src, dst) = (src.as_ref().to_owned(), dst.as_ref().to_owned());
        let (from, to) = (src.clone(), dst.clone());
        let mut report = CopyError::default();
        if let Err(error) = unblock(move || job::prepare(&from, &to)).await {
            report.add(EntryError::new("cannot copy the directory", src, error));
            return Err(report);
        }
        let mut copying = Copying {
            overwrite: self.overwrite,
            concurrency: self.concurrency,
            running: VecDeque::new(),
            follow_links: self.follow_links,
            copies: HashSet::new(),
            dirs: Vec::new(),
            report,
        };
        let mut options = WalkOptions::new();
        options.follow_links(self.follow_links).concurrency(self.concurrency);
        let mut walk = options.walk(&src);
        while let Some(entry) = walk.next().await {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    copying.report.add(error);
                    continue;
                }
            };
            // The start itself has no name of its own there.
            let to = match entry.path().strip_prefix(&src) {
                Ok(below) if !below.as_os_str().is_empty() => dst.join(below),
                _ => dst.clone(),
            };
            let (file_type, from) = (entry.file_type(), entry.into_path());
            if !file_type.is_dir() {
                let (overwrite, follow) = (copying.overwrite, copying.follow_links);
                let job = move || job::copy_entry(&from, &to, file_type, overwrite, follow);
                copying.start(unblock(job)).await;
            } else if !copying.make_dir(from, to).await {
                walk.skip_contents();
            }
        }
        copying.finish().await
    }
}

/// What one file's copy has come to.
type Outcome = Result<Copied, EntryError>;

struct Copying {
    overwrite: bool,
    concurrency: usize,
    /// In the order in which they were begun.
    running: VecDeque<Task<Outcome>>,
    follow_links: bool,
    /// The directory that is copied to; and where links may lead back into it, all below.
    copies: HashSet<Id>,
    /// The permissions that they shall have in the end.
    dirs: Vec<(PathBuf, Id, Permissions)>,
    report: CopyError,
}

impl Copying {
    async fn start(&mut self, job: Task<Outcome>) {
        self.running.push_back(job);
        while self.running.len() >= self.concurrency {
            self.wait_for_one().await;
        }
    }

    async fn wait_for_one(&mut self) {
        // Dropped while it waits, it stays in the queue; and with the queue what has not begun is cancelled.
        let Some(job) = self.running.front_mut() else { return };
        let outcome = job.await;
        self.running.pop_front();
        match outcome {
            Ok(copied) => self.report.copied.add(&copied),
            Err(error) => self.report.add(error),
        }
    }

    /// Whether there is a directory now.
    async fn make_dir(&mut self, from: PathBuf, to: PathBuf) -> bool {
        let (at, copies, follow) =
            (to.clone(), std::mem::take(&mut self.copies), self.follow_links);
        let make = move || (job::make_dir(&from, &to, &copies, follow), copies);
        let (made, copies) = unblock(make).await;
        self.copies = copies;
        match made {
            Ok(made) => {
                self.report.copied.dirs += 1;
                if self.follow_links || self.copies.is_empty() {
                    self.copies.insert(made.id);
                }
                let own = made.permissions.map(|permissions| (at, made.id, permissions));
                self.dirs.extend(own);
                true
            }
            Err(error) => {
                self.report.add(error);
                false
            }
        }
    }

    async fn finish(mut self) -> Result<Copied, CopyError> {
        while !self.running.is_empty() {
            self.wait_for_one().await;
        }
        let dirs = self.dirs;
        for error in unblock(move || job::set_permissions(dirs)).await {
            self.report.add(error);
        }
        self.report.into_result()
    }
}

/// For the checks before the start.
fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
