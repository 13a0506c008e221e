//! Directories.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::fs::{FileType, Metadata};
use std::future::Future;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, DirEntryExt as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use smolkit_runtime::{Task, unblock};

use crate::now::TakeTurns;
use crate::{now, unix};

/// So many entries are read at once.
const BATCH_MAX: usize = 128;

/// Reads a directory's entries.
///
/// # Cancel safety
///
/// Nothing is lost.
///
/// # Errors
///
/// `NotFound`, `NotADirectory`, `PermissionDenied` and the others of `open(2)`. Later ones come from the stream.
pub async fn read_dir<P: AsRef<Path>>(path: P) -> io::Result<ReadDir> {
    let path = path.as_ref().to_owned();
    let batch = unblock(move || io::Result::Ok(Batch::read(std::fs::read_dir(path)?))).await?;
    Ok(ReadDir {
        entries: batch.entries,
        state: State::from(batch.rest),
        turns: now::Turns::default(),
    })
}

/// The entries of a directory, in no particular order, without `.` and `..`: a stream.
///
/// # Cancel safety
///
/// `next` that is dropped loses no entry.
pub struct ReadDir {
    entries: VecDeque<io::Result<DirEntry>>,
    state: State,
    turns: now::Turns,
}

enum State {
    Idle(std::fs::ReadDir),
    Busy(Task<Batch>),
    Over,
}

impl From<Option<std::fs::ReadDir>> for State {
    fn from(rest: Option<std::fs::ReadDir>) -> State {
        rest.map_or(State::Over, State::Idle)
    }
}

struct Batch {
    entries: VecDeque<io::Result<DirEntry>>,
    /// `None` at the end.
    rest: Option<std::fs::ReadDir>,
}

impl Batch {
    fn read(mut dir: std::fs::ReadDir) -> Batch {
        let entries: VecDeque<_> =
            dir.by_ref().take(BATCH_MAX).map(|entry| entry.map(DirEntry::new)).collect();
        let rest = (entries.len() == BATCH_MAX).then_some(dir);
        Batch { entries, rest }
    }
}

impl Stream for ReadDir {
    type Item = io::Result<DirEntry>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_in_turn(cx, 0, Self::poll_next_now)
    }
}

impl TakeTurns for ReadDir {
    fn turns(&mut self) -> &mut now::Turns {
        &mut self.turns
    }
}

impl ReadDir {
    fn poll_next_now(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<DirEntry>>> {
        loop {
            if let Some(entry) = self.entries.pop_front() {
                return Poll::Ready(Some(entry));
            }
            self.state = match std::mem::replace(&mut self.state, State::Over) {
                State::Over => return Poll::Ready(None),
                State::Idle(dir) => State::Busy(unblock(move || Batch::read(dir))),
                State::Busy(mut task) => match Pin::new(&mut task).poll(cx) {
                    Poll::Ready(batch) => {
                        self.entries = batch.entries;
                        batch.rest.into()
                    }
                    Poll::Pending => {
                        self.state = State::Busy(task);
                        return Poll::Pending;
                    }
                },
            };
        }
    }
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadDir").finish_non_exhaustive()
    }
}

/// An entry of a directory.
#[derive(Clone)]
pub struct DirEntry {
    inner: Arc<std::fs::DirEntry>,
    /// As it was when the directory was read; most filesystems say it there.
    file_type: Option<FileType>,
}

impl DirEntry {
    fn new(inner: std::fs::DirEntry) -> DirEntry {
        DirEntry { file_type: inner.file_type().ok(), inner: Arc::new(inner) }
    }

    /// The path: that of the directory, as it was given, and the name.
    pub fn path(&self) -> PathBuf {
        self.inner.path()
    }

    /// The metadata; of a symbolic link, its own.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// `NotFound` if it is not there any more, and the others of `lstat(2)`.
    pub async fn metadata(&self) -> io::Result<Metadata> {
        now::turn(0).await;
        if let Some(metadata) = now::metadata(&self.path(), false) {
            return metadata;
        }
        let inner = self.inner.clone();
        unblock(move || inner.metadata()).await
    }

    /// What it is; a symbolic link is one.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// As [`metadata`](DirEntry::metadata), where the directory does not say it.
    pub async fn file_type(&self) -> io::Result<FileType> {
        if let Some(file_type) = self.file_type {
            return Ok(file_type);
        }
        let inner = self.inner.clone();
        unblock(move || inner.file_type()).await
    }

    /// The name.
    pub fn file_name(&self) -> OsString {
        self.inner.file_name()
    }
}

impl fmt::Debug for DirEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DirEntry").field(&self.path()).finish()
    }
}

impl unix::DirEntryExt for DirEntry {
    fn ino(&self) -> u64 {
        self.inner.ino()
    }
}

/// How to make a directory.
#[derive(Debug, Default)]
pub struct DirBuilder {
    recursive: bool,
    mode: Option<u32>,
}

impl DirBuilder {
    /// One directory, with the default permissions.
    pub fn new() -> DirBuilder {
        DirBuilder::default()
    }

    /// Whether those above it are made, too, and those that are there are no error.
    pub fn recursive(&mut self, recursive: bool) -> &mut Self {
        self.recursive = recursive;
        self
    }

    /// Makes the directory.
    ///
    /// # Cancel safety
    ///
    /// Begun, it is finished; before that, it is given up with the future.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`, `NotFound`, `PermissionDenied` and the others of `mkdir(2)`.
    pub fn create<P: AsRef<Path>>(&self, path: P) -> impl Future<Output = io::Result<()>> + use<P> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(self.recursive);
        if let Some(mode) = self.mode {
            builder.mode(mode);
        }
        let path = path.as_ref().to_owned();
        unblock(move || builder.create(path))
    }
}

impl unix::DirBuilderExt for DirBuilder {
    fn mode(&mut self, mode: u32) -> &mut Self {
        self.mode = Some(mode);
        self
    }
}
