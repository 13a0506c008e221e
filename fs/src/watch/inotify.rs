//! Linux: `inotify(7)`.

mod add;
mod raw;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::future;
use rustix::fs::inotify::{CreateFlags, ReadFlags};
use smolkit_runtime::{Async, Timer, unblock};

use self::add::{Added, Start};
use self::raw::Raw;
use super::{Target, WatchEvent, cannot_watch};

/// The second half of a renaming is with the first one, but nothing keeps other events from coming in between, or a read from ending there.
const HALF_WAIT: Duration = Duration::from_millis(10);

pub(super) struct Inotify {
    target: Target,
    fd: Async<Arc<OwnedFd>>,
    /// The watched directories.
    dirs: HashMap<i32, PathBuf>,
    root: i32,
    /// To be told, in order.
    slots: VecDeque<Slot>,
    is_over: bool,
}

enum Slot {
    Item(io::Result<WatchEvent>),
    /// The first half of a renaming, or something that was moved away.
    Moving {
        cookie: u32,
        path: PathBuf,
        /// The watches that went with it; by now, others may be at that path.
        watches: Vec<i32>,
        until: Instant,
    },
}

impl Inotify {
    pub(super) async fn start(target: Target) -> io::Result<Inotify> {
        let flags = CreateFlags::CLOEXEC | CreateFlags::NONBLOCK;
        let fd = rustix::fs::inotify::init(flags)
            .map_err(|errno| cannot_watch(&target.dir, add::explain(errno)))?;
        let fd = Arc::new(fd);
        let mut this = Inotify {
            target,
            fd: Async::new_unregistered(fd),
            dirs: HashMap::new(),
            root: 0,
            slots: VecDeque::new(),
            is_over: false,
        };
        let (fd, target) = (this.fd.get_ref().clone(), this.target.clone());
        this.root = unblock(move || add::root(&fd, &target)).await?;
        this.dirs.insert(this.root, this.target.dir.clone());
        if this.target.recursive {
            let added = this.add(this.target.dir.clone(), Start::MayBeLink).await;
            // What is there is not news; what cannot be watched is an error.
            if let Some(error) = added.errors.into_iter().next() {
                return Err(error);
            }
        }
        Ok(this)
    }

    /// Waits until there is something to tell; and whether that is the end.
    pub(super) async fn turn(&mut self) -> (VecDeque<io::Result<WatchEvent>>, bool) {
        loop {
            if self.is_over {
                // Nothing else will be read.
                self.give_up_moving(|_| true);
            }
            let mut items = VecDeque::new();
            while let Some(Slot::Item(_)) = self.slots.front() {
                if let Some(Slot::Item(item)) = self.slots.pop_front() {
                    items.push_back(item);
                }
            }
            if !items.is_empty() || self.is_over {
                return (items, self.is_over);
            }
            let asked = Instant::now();
            let batch = match self.slots.front() {
                Some(Slot::Moving { until, .. }) => {
                    let until = *until;
                    let late = async {
                        Timer::at(until).await;
                        // The reactor may not have heard yet of what has come.
                        match raw::read(self.fd.get_ref()) {
                            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                                Ok(Vec::new())
                            }
                            batch => batch,
                        }
                    };
                    future::or(self.read(), late).await
                }
                _ => self.read().await,
            };
            match batch {
                Ok(batch) => {
                    for raw in batch {
                        self.take(raw).await;
                    }
                    // Also while other events never cease to come. Not before the kernel was asked once more, after the time: this thread may have been kept from running.
                    self.give_up_moving(|until| until <= asked);
                }
                Err(error) => {
                    self.slots.push_back(Slot::Item(Err(error)));
                    self.is_over = true;
                }
            }
        }
    }

    async fn read(&self) -> io::Result<Vec<Raw>> {
        self.fd.read_with(raw::read).await
    }

    /// Nobody has seen where it went: away.
    fn give_up_moving(&mut self, is_late: impl Fn(Instant) -> bool) {
        let is_lost = |slot: &Slot| matches!(slot, Slot::Moving { until, .. } if is_late(*until));
        while let Some(index) = self.slots.iter().position(is_lost) {
            let Slot::Moving { path, watches, .. } = &mut self.slots[index] else { return };
            let (path, watches) = (std::mem::take(path), std::mem::take(watches));
            self.forget(&path, &watches);
            self.slots[index] = Slot::Item(Ok(WatchEvent::Removed(path)));
        }
    }

    async fn take(&mut self, raw: Raw) {
        if raw.mask.contains(ReadFlags::QUEUE_OVERFLOW) {
            self.tell(WatchEvent::Overflow);
            return self.look_again().await;
        }
        let ends =
            ReadFlags::IGNORED | ReadFlags::UNMOUNT | ReadFlags::from_bits_retain(add::SELF.bits());
        if raw.mask.intersects(ends) {
            if raw.wd == self.root {
                self.end();
            }
            // Of those below, the directory that they are in tells it.
            if raw.mask.contains(ReadFlags::IGNORED) {
                self.dirs.remove(&raw.wd);
            }
            return;
        }
        let Some(dir) = self.dirs.get(&raw.wd) else { return };
        let path = match &raw.name {
            Some(name) if self.target.only.as_ref().is_some_and(|only| only != name) => return,
            Some(name) => dir.join(name),
            // Those below have been told by the directory that they are in.
            None if raw.wd == self.root && self.target.only.is_none() => dir.clone(),
            None => return,
        };
        self.take_named(&raw, path).await;
    }

    async fn take_named(&mut self, raw: &Raw, path: PathBuf) {
        let is_dir = raw.mask.contains(ReadFlags::ISDIR);
        if raw.mask.contains(ReadFlags::MOVED_FROM) {
            let until = Instant::now() + HALF_WAIT;
            let watches = self.watches_below(&path);
            self.slots.push_back(Slot::Moving { cookie: raw.cookie, path, watches, until });
        } else if raw.mask.contains(ReadFlags::MOVED_TO) {
            let half = self
                .slots
                .iter_mut()
                .find(|slot| matches!(slot, Slot::Moving { cookie, .. } if *cookie == raw.cookie));
            let Some(slot) = half else { return self.tell_new(path, is_dir).await };
            let Slot::Moving { path: from, watches, .. } = slot else { return };
            let (from, watches, to) = (std::mem::take(from), std::mem::take(watches), path);
            let event = WatchEvent::Renamed { from: from.clone(), to: to.clone() };
            *slot = Slot::Item(Ok(event));
            self.rename(&from, &watches, &to);
            if is_dir && self.target.recursive {
                self.add_moved(to).await;
            }
        } else if raw.mask.contains(ReadFlags::CREATE) {
            self.tell_new(path, is_dir).await;
        } else if raw.mask.contains(ReadFlags::DELETE) {
            self.tell(WatchEvent::Removed(path));
        } else if raw.mask.contains(ReadFlags::MODIFY) {
            self.tell(WatchEvent::Modified(path));
        } else if raw.mask.contains(ReadFlags::CLOSE_WRITE) {
            self.tell(WatchEvent::Closed(path));
        } else if raw.mask.contains(ReadFlags::ATTRIB) {
            self.tell(WatchEvent::Attributes(path));
        }
    }

    fn tell(&mut self, event: WatchEvent) {
        self.slots.push_back(Slot::Item(Ok(event)));
    }

    fn tell_errors(&mut self, errors: Vec<io::Error>) {
        self.slots.extend(errors.into_iter().map(|error| Slot::Item(Err(error))));
    }

    async fn tell_new(&mut self, path: PathBuf, is_dir: bool) {
        self.tell(WatchEvent::Created(path.clone()));
        if is_dir && self.target.recursive {
            self.add_and_tell(path).await;
        }
    }

    async fn add_and_tell(&mut self, path: PathBuf) {
        let added = self.add(path, Start::IsDirectory).await;
        // What came before the watch is told by nobody else.
        for found in added.found {
            self.tell(WatchEvent::Created(found));
        }
        self.tell_errors(added.errors);
    }

    /// A directory that has moved here. Mostly its watch has come with it; but it may have moved past a look for directories, from what that had yet to see to what it
    /// had seen, or another one was at its former place when that was looked at.
    async fn add_moved(&mut self, path: PathBuf) {
        let (fd, moved) = (self.fd.get_ref().clone(), path.clone());
        let watch = unblock(move || add::directory(&fd, &moved)).await;
        if !watch.is_ok_and(|wd| self.dirs.get(&wd) == Some(&path)) {
            self.add_and_tell(path).await;
        }
    }

    /// Some events were forgotten: the directory's end may have been among them, new directories, and some that are somewhere else now.
    async fn look_again(&mut self) {
        let (fd, target) = (self.fd.get_ref().clone(), self.target.clone());
        match unblock(move || add::root(&fd, &target)).await {
            Ok(wd) if wd == self.root => {}
            // Another one has taken its place, or none.
            Ok(_) => return self.end(),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => return self.end(),
                _ => return self.tell_errors(vec![error]),
            },
        }
        if !self.target.recursive {
            return;
        }
        let mut former = std::mem::take(&mut self.dirs);
        let added = self.add(self.target.dir.clone(), Start::MayBeLink).await;
        self.tell_errors(added.errors);
        former.retain(|wd, _| !self.dirs.contains_key(wd));
        for wd in former.into_keys() {
            // It may have ended already; then there is nothing to do.
            let _ = rustix::fs::inotify::remove_watch(self.fd.get_ref(), wd);
        }
    }

    fn end(&mut self) {
        if !self.is_over {
            self.tell(WatchEvent::Gone);
            self.is_over = true;
        }
    }

    /// Watches the directory and all below it.
    async fn add(&mut self, path: PathBuf, start: Start) -> Added {
        let fd = self.fd.get_ref().clone();
        let mut added = unblock(move || add::tree(&fd, path, start)).await;
        self.dirs.extend(added.dirs.drain(..));
        added
    }

    fn watches_below(&self, path: &Path) -> Vec<i32> {
        self.dirs.iter().filter(|(_, dir)| dir.starts_with(path)).map(|(&wd, _)| wd).collect()
    }

    fn rename(&mut self, from: &Path, watches: &[i32], to: &Path) {
        for wd in watches {
            let Some(path) = self.dirs.get_mut(wd) else { continue };
            if let Ok(below) = path.strip_prefix(from) {
                let is_itself = below.as_os_str().is_empty();
                *path = if is_itself { to.to_owned() } else { to.join(below) };
            }
        }
    }

    fn forget(&mut self, moved: &Path, watches: &[i32]) {
        for wd in watches {
            if self.dirs.get(wd).is_some_and(|path| path.starts_with(moved)) {
                self.dirs.remove(wd);
                // It may have ended already; then there is nothing to do.
                let _ = rustix::fs::inotify::remove_watch(self.fd.get_ref(), *wd);
            }
        }
    }
}
