//! What happens in a directory, as it happens.

#[cfg(target_os = "linux")]
#[cfg_attr(smolkit_portable, allow(dead_code))] // compiled, and not used
mod inotify;
mod polling;
mod snapshot;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use smolkit_runtime::unblock;

use crate::now::{self, TakeTurns};

/// How often is looked where the system does not tell.
#[cfg(not(all(target_os = "linux", not(smolkit_portable))))]
const INTERVAL_DEFAULT: Duration = Duration::from_secs(1);

/// Watches a directory, or one file: [`WatchOptions`] has more.
///
/// # Cancel safety
///
/// As [`WatchOptions::watch`].
///
/// # Errors
///
/// As [`WatchOptions::watch`].
///
/// # Examples
///
/// ```
/// use futures_lite::StreamExt;
/// use smolkit_fs::{self as fs, WatchEvent};
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let dir = fs::TempDir::new().await?;
///     let mut events = fs::watch(dir.path()).await?;
///     fs::write(dir.path().join("news"), "something").await?;
///     let event = events.next().await.expect("the directory is still there")?;
///     assert_eq!(event, WatchEvent::Created(dir.path().join("news")));
///     dir.close().await
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub async fn watch<P: AsRef<Path>>(path: P) -> io::Result<Watcher> {
    WatchOptions::new().watch(path).await
}

/// How to watch a directory.
#[derive(Clone, Debug, Default)]
pub struct WatchOptions {
    recursive: bool,
    interval: Option<Duration>,
}

impl WatchOptions {
    /// The directory alone, as the system tells it.
    pub fn new() -> WatchOptions {
        WatchOptions::default()
    }

    /// Whether all directories below are watched, too, those included that come later. Symbolic links are not followed.
    pub fn recursive(&mut self, recursive: bool) -> &mut Self {
        self.recursive = recursive;
        self
    }

    /// Looks every so often, instead of being told by the system: for network filesystems, whose servers do not tell what others do.
    ///
    /// Costs a look at every entry each time. What comes and goes in between is not seen, and a file that changes twice is told once.
    pub fn polling(&mut self, interval: Duration) -> &mut Self {
        self.interval = Some(interval);
        self
    }

    /// Begins to watch: what happens from its return on is told.
    ///
    /// If `path` is no directory, or not there, that one name in its directory is watched: a file that is replaced by another one (as editors and
    /// [`write_atomic`](crate::write_atomic) do) is still watched.
    ///
    /// # Cancel safety
    ///
    /// Nothing is watched for a future that is dropped.
    ///
    /// # Errors
    ///
    /// `NotFound` if the directory is not there; `StorageFull` (ENOSPC) and EMFILE if the system's limits of watches are reached, with their names; and the others of
    /// `inotify_add_watch(2)`.
    pub async fn watch<P: AsRef<Path>>(&self, path: P) -> io::Result<Watcher> {
        let (path, recursive) = (path.as_ref().to_owned(), self.recursive);
        let target = unblock(move || Target::of(path, recursive)).await?;
        let state = State::Idle(self.start(target).await?);
        Ok(Watcher { items: VecDeque::new(), state, turns: now::Turns::default() })
    }

    #[cfg(all(target_os = "linux", not(smolkit_portable)))]
    async fn start(&self, target: Target) -> io::Result<Backend> {
        match self.interval {
            None => Ok(Backend::Inotify(Box::new(inotify::Inotify::start(target).await?))),
            Some(interval) => polling::Polling::start(target, interval).await.map(Backend::Polling),
        }
    }

    /// Elsewhere nobody tells.
    #[cfg(not(all(target_os = "linux", not(smolkit_portable))))]
    async fn start(&self, target: Target) -> io::Result<Backend> {
        let interval = self.interval.unwrap_or(INTERVAL_DEFAULT);
        polling::Polling::start(target, interval).await.map(Backend::Polling)
    }
}

/// What has happened. Paths begin with the one that is watched, as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchEvent {
    /// An entry is there that was not, or another one in its place. What is found in a new directory may be told twice.
    Created(PathBuf),
    /// A file's contents have changed.
    Modified(PathBuf),
    /// Somebody who could write to a file has closed it: now it can be read. Not told when polling.
    Closed(PathBuf),
    /// Permissions, owner, times or number of names have changed.
    Attributes(PathBuf),
    /// An entry is not there any more, or was moved to where nobody watches.
    Removed(PathBuf),
    /// An entry has another name. What it replaced is not told.
    Renamed {
        /// The former name.
        from: PathBuf,
        /// The new one.
        to: PathBuf,
    },
    /// So much has happened that the system has forgotten some of it: look at everything again.
    Overflow,
    /// What was watched was removed, moved or unmounted: nothing comes any more.
    Gone,
}

/// What happens in a directory: an endless stream, but for [`Gone`](WatchEvent::Gone).
///
/// # Limits
///
/// Of events that nobody takes, the system keeps `fs.inotify.max_queued_events` (16,384 by default); then it tells [`Overflow`](WatchEvent::Overflow). A process's user may have
/// `fs.inotify.max_user_instances` watchers, and `fs.inotify.max_user_watches` directories in them.
///
/// An entry that is moved out of what is watched is told as removed 10 ms later, because only then it is sure that it was not renamed.
///
/// # Cancel safety
///
/// `next` that is dropped loses no event.
///
/// # Errors
///
/// A directory that was made and cannot be watched is an item; the others are watched on.
///
/// # Platform
///
/// Linux: inotify, on the reactor, without a thread. Elsewhere the entries are looked at every second on the pool for blocking work, as
/// [`polling`](WatchOptions::polling) does.
pub struct Watcher {
    items: VecDeque<io::Result<WatchEvent>>,
    state: State,
    turns: now::Turns,
}

/// What is to be told, and what goes on; `None` at the end.
type Turn = (VecDeque<io::Result<WatchEvent>>, Option<Backend>);

enum State {
    Idle(Backend),
    Busy(Pin<Box<dyn Future<Output = Turn> + Send + Sync>>),
    Over,
}

enum Backend {
    #[cfg(target_os = "linux")]
    #[cfg_attr(smolkit_portable, allow(dead_code))] // compiled, and not used
    Inotify(Box<inotify::Inotify>),
    Polling(polling::Polling),
}

impl Backend {
    /// Waits until there is something to tell.
    async fn turn(mut self) -> Turn {
        let (items, is_over) = match &mut self {
            #[cfg(target_os = "linux")]
            Backend::Inotify(inotify) => inotify.turn().await,
            Backend::Polling(polling) => polling.turn().await,
        };
        (items, (!is_over).then_some(self))
    }
}

impl Stream for Watcher {
    type Item = io::Result<WatchEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_in_turn(cx, 0, Self::poll_next_now)
    }
}

impl TakeTurns for Watcher {
    fn turns(&mut self) -> &mut now::Turns {
        &mut self.turns
    }
}

impl Watcher {
    fn poll_next_now(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<WatchEvent>>> {
        loop {
            if let Some(item) = self.items.pop_front() {
                return Poll::Ready(Some(item));
            }
            self.state = match std::mem::replace(&mut self.state, State::Over) {
                State::Over => return Poll::Ready(None),
                State::Idle(backend) => State::Busy(Box::pin(backend.turn())),
                State::Busy(mut turn) => match turn.as_mut().poll(cx) {
                    Poll::Ready((items, backend)) => {
                        self.items = items;
                        backend.map_or(State::Over, State::Idle)
                    }
                    Poll::Pending => {
                        self.state = State::Busy(turn);
                        return Poll::Pending;
                    }
                },
            };
        }
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").finish_non_exhaustive()
    }
}

/// What is to be watched.
#[derive(Clone)]
struct Target {
    dir: PathBuf,
    /// This name in it alone.
    only: Option<OsString>,
    recursive: bool,
}

impl Target {
    fn of(path: PathBuf, recursive: bool) -> io::Result<Target> {
        if std::fs::metadata(&path).is_ok_and(|found| found.is_dir()) {
            return Ok(Target { dir: path, only: None, recursive });
        }
        let Some(name) = path.file_name() else {
            return Err(cannot_watch(&path, io::ErrorKind::NotFound.into()));
        };
        let dir = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Target { dir, only: Some(name.to_owned()), recursive: false })
    }

    /// The directory, for the system: an empty path means the current one.
    fn dir(&self) -> &Path {
        if self.dir.as_os_str().is_empty() { Path::new(".") } else { &self.dir }
    }
}

fn cannot_watch(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot watch {}: {error}", path.display()))
}
