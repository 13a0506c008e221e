//! A directory and all below it.

mod listing;

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{FileType, Metadata};
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use smolkit_runtime::Task;

use self::listing::{Found, Listing};
use crate::identity::Id;
use crate::now::TakeTurns;
use crate::{EntryError, metadata, now, symlink_metadata};

/// So many directories are read at once.
const CONCURRENCY_DEFAULT: usize = 8;

/// Walks through a directory and all below it, links not followed: [`WalkOptions`] has more.
///
/// # Examples
///
/// ```
/// use futures_lite::StreamExt;
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let mut sources = 0;
///     let mut walk = smolkit_fs::walk("src");
///     while let Some(entry) = walk.next().await {
///         match entry {
///             Ok(entry) => sources += usize::from(entry.path().extension().is_some_and(|end| end == "rs")),
///             // One that cannot be read; the others follow.
///             Err(error) => eprintln!("{error}"),
///         }
///     }
///     assert!(sources > 10);
/// });
/// ```
pub fn walk<P: AsRef<Path>>(path: P) -> Walk {
    WalkOptions::new().walk(path)
}

/// How to walk through a directory.
///
/// # Examples
///
/// ```
/// use futures_lite::StreamExt;
/// # use smolkit_runtime as smolkit;
///
/// let mut walk = smolkit_fs::WalkOptions::new().depth_max(1).concurrency(2).walk(".");
/// let names: Vec<_> = smolkit::block_on(walk.map(|entry| Ok(entry?.path().to_owned())).try_collect())
///     .map_err(|error: smolkit_fs::EntryError| std::io::Error::from(error))?;
/// assert!(names.contains(&"./Cargo.toml".into()));
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct WalkOptions {
    follow_links: bool,
    depth_max: usize,
    concurrency: usize,
}

impl Default for WalkOptions {
    fn default() -> WalkOptions {
        WalkOptions { follow_links: false, depth_max: usize::MAX, concurrency: CONCURRENCY_DEFAULT }
    }
}

impl WalkOptions {
    /// Links are not followed, the depth has no limit, and up to 8 directories are read at once.
    pub fn new() -> WalkOptions {
        WalkOptions::default()
    }

    /// Whether symbolic links are followed. One that leads to a directory that it is in comes twice: as
    /// an entry, and as an error (`ELOOP`) in place of what would be below it.
    pub fn follow_links(&mut self, follow: bool) -> &mut Self {
        self.follow_links = follow;
        self
    }

    /// How deep to go: 0 is the directory itself, 1 what is in it.
    pub fn depth_max(&mut self, depth: usize) -> &mut Self {
        self.depth_max = depth;
        self
    }

    /// How many directories may be read at once; at least one.
    pub fn concurrency(&mut self, directories: usize) -> &mut Self {
        self.concurrency = directories.max(1);
        self
    }

    /// The walk. Nothing is read before the stream is asked.
    pub fn walk<P: AsRef<Path>>(&self, path: P) -> Walk {
        Walk {
            options: self.clone(),
            root: Root::New(path.as_ref().to_owned()),
            current: None,
            frames: Vec::new(),
            ahead: 0,
            turns: now::Turns::default(),
        }
    }
}

/// The entries of a directory tree: a stream.
///
/// # Order
///
/// The start itself comes first, also if it is a file; a directory comes before what is in it, and that before its next neighbour (depth first). Within a directory
/// the names are sorted, byte by byte. So two walks through the same tree give the same order, whatever is read first.
///
/// # Limits
///
/// One directory's names are in memory for each level of the current path, and those of the directories that are read ahead: with the one that is waited for,
/// [`concurrency`](WalkOptions::concurrency) at most.
///
/// # Cancel safety
///
/// `next` that is dropped loses no entry. When the walk is dropped, reads that have begun are finished, and nothing else is begun.
///
/// # Errors
///
/// Each directory that cannot be read, and each entry that cannot be looked at, is an item of its own, in its place; the walk goes on. The kinds are those of `open(2)`,
/// `readdir(3)` and `stat(2)`. What was removed between being listed and being looked at is an error, too (`NotFound`).
pub struct Walk {
    options: WalkOptions,
    root: Root,
    /// The directory that was handed out last: what is in it comes next.
    current: Option<Below>,
    /// The directories between the root and what comes next.
    frames: Vec<Frame>,
    /// Directories that were read ahead, or are being read.
    ahead: usize,
    turns: now::Turns,
}

enum Root {
    New(PathBuf),
    Asked(Pin<Box<dyn Future<Output = (PathBuf, io::Result<Metadata>)> + Send + Sync>>),
    Known,
}

/// The contents of a directory that was handed out.
struct Below {
    path: PathBuf,
    depth: usize,
    task: Option<Task<Listing>>,
}

struct Frame {
    /// What stands in it, from the next one on.
    found: VecDeque<Place>,
    /// So many of the first ones need not be looked at again by `read_ahead`.
    looked_at: usize,
    depth: usize,
    /// Which directory it is; known if links are followed.
    id: Option<Id>,
}

struct Place {
    found: Found,
    task: Option<Task<Listing>>,
}

impl Walk {
    /// Leaves out what is in the directory that came last.
    ///
    /// Does nothing if the last item was none.
    pub fn skip_contents(&mut self) {
        if let Some(Below { task: Some(_), .. }) = self.current.take() {
            self.ahead -= 1;
        }
    }

    fn poll_root(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<WalkEntry, EntryError>>> {
        if let Root::New(path) = &mut self.root {
            let path = std::mem::take(path);
            self.root = Root::Asked(Box::pin(async move {
                let found = match metadata(&path).await {
                    // A link that leads nowhere is still an entry.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        symlink_metadata(&path).await
                    }
                    found => found,
                };
                (path, found)
            }));
        }
        let Root::Asked(future) = &mut self.root else { return Poll::Ready(None) };
        let (path, found) = ready!(future.as_mut().poll(cx));
        self.root = Root::Known;
        Poll::Ready(Some(match found {
            Ok(found) => Ok(self.hand_out(path, found.file_type(), 0, None)),
            Err(error) => Err(EntryError::new("cannot look at", path, error)),
        }))
    }

    fn hand_out(
        &mut self,
        path: PathBuf,
        file_type: FileType,
        depth: usize,
        task: Option<Task<Listing>>,
    ) -> WalkEntry {
        if file_type.is_dir() && depth < self.options.depth_max {
            self.current = Some(Below { path: path.clone(), depth: depth + 1, task });
        }
        WalkEntry { path, file_type, depth }
    }

    /// Goes into the directory that was handed out last.
    fn poll_descend(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), EntryError>> {
        let Some(below) = &mut self.current else { return Poll::Ready(Ok(())) };
        let is_new = below.task.is_none();
        let task = below
            .task
            .get_or_insert_with(|| listing::start(below.path.clone(), self.options.follow_links));
        self.ahead += usize::from(is_new);
        let listing = ready!(Pin::new(task).poll(cx));
        self.ahead -= 1;
        let Some(Below { path, depth, .. }) = self.current.take() else {
            return Poll::Ready(Ok(()));
        };
        let found = listing
            .map_err(|error| EntryError::new("cannot read the directory", path.clone(), error))?;
        let (id, found) = found;
        if id.is_some() && self.frames.iter().any(|frame| frame.id == id) {
            let error = rustix::io::Errno::LOOP.into();
            let what = "cannot follow a link to a directory that it is in:";
            return Poll::Ready(Err(EntryError::new(what, path, error)));
        }
        let found = found.into_iter().map(|found| Place { found, task: None }).collect();
        self.frames.push(Frame { found, looked_at: 0, depth, id });
        Poll::Ready(Ok(()))
    }

    /// Starts to read directories that come soon, as many as may be read at once.
    fn read_ahead(&mut self) {
        let WalkOptions { follow_links, depth_max, concurrency } = self.options;
        for frame in self.frames.iter_mut().rev() {
            if frame.depth >= depth_max {
                continue;
            }
            // One of them is for the directory that has to be waited for.
            while self.ahead + 1 < concurrency && frame.looked_at < frame.found.len() {
                let place = &mut frame.found[frame.looked_at];
                frame.looked_at += 1;
                if place.found.is_dir() {
                    place.task = Some(listing::start(place.found.path.clone(), follow_links));
                    self.ahead += 1;
                }
            }
        }
    }
}

impl Stream for Walk {
    type Item = Result<WalkEntry, EntryError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_in_turn(cx, 0, Self::poll_next_now)
    }
}

impl TakeTurns for Walk {
    fn turns(&mut self) -> &mut now::Turns {
        &mut self.turns
    }
}

impl Walk {
    fn poll_next_now(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<WalkEntry, EntryError>>> {
        if !matches!(self.root, Root::Known) {
            return self.poll_root(cx);
        }
        if let Err(error) = ready!(self.poll_descend(cx)) {
            return Poll::Ready(Some(Err(error)));
        }
        self.read_ahead();
        while let Some(frame) = self.frames.last_mut() {
            let depth = frame.depth;
            let Some(Place { found, task }) = frame.found.pop_front() else {
                self.frames.pop();
                continue;
            };
            frame.looked_at = frame.looked_at.saturating_sub(1);
            return Poll::Ready(Some(match found.file_type {
                Ok(file_type) => Ok(self.hand_out(found.path, file_type, depth, task)),
                Err(error) => Err(EntryError::new("cannot look at", found.path, error)),
            }));
        }
        Poll::Ready(None)
    }
}

impl fmt::Debug for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walk").field("options", &self.options).finish_non_exhaustive()
    }
}

/// What a walk came by.
#[derive(Clone, Debug)]
pub struct WalkEntry {
    path: PathBuf,
    file_type: FileType,
    depth: usize,
}

impl WalkEntry {
    /// The path: that of the start, as it was given, and the names from there.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path, for keeps.
    pub fn into_path(self) -> PathBuf {
        self.path
    }

    /// The last name; of a start without one (`..`), the path.
    pub fn file_name(&self) -> &OsStr {
        self.path.file_name().unwrap_or(self.path.as_os_str())
    }

    /// What it is; if links are followed, what they lead to.
    pub fn file_type(&self) -> FileType {
        self.file_type
    }

    /// How far from the start, which has 0.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The metadata; if it was a link that was not followed, its own.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// Those of `lstat(2)`.
    pub async fn metadata(&self) -> io::Result<Metadata> {
        match self.file_type.is_symlink() {
            true => symlink_metadata(&self.path).await,
            false => metadata(&self.path).await,
        }
    }
}
