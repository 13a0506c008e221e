//! What is in a directory at one time, and what has changed since.

use std::collections::{BTreeMap, HashMap};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Target, WatchEvent, cannot_watch};

#[derive(Default)]
pub(super) struct Snapshot {
    root: Option<Id>,
    entries: BTreeMap<PathBuf, Entry>,
}

/// A number is used again for another file: the time of birth, where it is known, tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Id {
    device: u64,
    inode: u64,
    born: Option<SystemTime>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry {
    id: Id,
    is_dir: bool,
    contents: (u64, i64, i64),
    attributes: (u32, u32, u32, u64),
}

impl Entry {
    fn of(found: &Metadata) -> Entry {
        let id = Id { device: found.dev(), inode: found.ino(), born: found.created().ok() };
        let is_dir = found.is_dir();
        // A directory changes with its entries, which are told.
        let contents =
            if is_dir { (0, 0, 0) } else { (found.len(), found.mtime(), found.mtime_nsec()) };
        let links = if is_dir { 0 } else { found.nlink() };
        Entry { id, is_dir, contents, attributes: (found.mode(), found.uid(), found.gid(), links) }
    }
}

impl Snapshot {
    /// Looks at everything. `NotFound` if what is watched is not there any more, or is another one.
    pub(super) fn take(target: &Target) -> io::Result<(Snapshot, Vec<io::Error>)> {
        let root = std::fs::metadata(target.dir())?;
        if !root.is_dir() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut snapshot = Snapshot { root: Some(Entry::of(&root).id), ..Snapshot::default() };
        let mut errors = Vec::new();
        if let Some(only) = &target.only {
            snapshot.add(target.dir.join(only), &mut errors);
            return Ok((snapshot, errors));
        }
        let mut dirs = vec![target.dir.clone()];
        while let Some(dir) = dirs.pop() {
            let entries = match std::fs::read_dir(&dir) {
                Ok(entries) => entries,
                Err(error) if dir == target.dir => return Err(error),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    errors.push(cannot_watch(&dir, error));
                    continue;
                }
            };
            for entry in entries {
                let path = entry?.path();
                if snapshot.add(path.clone(), &mut errors) && target.recursive {
                    dirs.push(path);
                }
            }
        }
        Ok((snapshot, errors))
    }

    /// Whether it is a directory.
    fn add(&mut self, path: PathBuf, errors: &mut Vec<io::Error>) -> bool {
        match std::fs::symlink_metadata(&path) {
            Ok(found) => {
                self.entries.insert(path, Entry::of(&found));
                found.is_dir()
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    errors.push(cannot_watch(&path, error));
                }
                false
            }
        }
    }

    /// What has happened from this one to the next: removals, renamings, what is new, what has changed.
    pub(super) fn compare(&self, next: &Snapshot) -> Vec<WatchEvent> {
        if self.root != next.root {
            // Another directory has taken its place.
            return vec![WatchEvent::Overflow];
        }
        let is_same = |path: &Path, entry: &Entry, there: &Snapshot| {
            there.entries.get(path).is_some_and(|other| other.id == entry.id)
        };
        let mut news = HashMap::new();
        for (path, entry) in &next.entries {
            if !is_same(path, entry, self) {
                news.insert(entry.id, path);
            }
        }
        let (mut removed, mut renamed) = (Vec::new(), Vec::new());
        // A directory comes before what is in it.
        let mut moved: HashMap<&Path, &Path> = HashMap::new();
        // What was under another name before.
        let mut origins: HashMap<&Path, &Entry> = HashMap::new();
        for (from, entry) in &self.entries {
            if is_same(from, entry, next) {
                continue;
            }
            // The other names of a file are no renaming of this one.
            let to = news.get(&entry.id).filter(|to| {
                next.entries.get(**to).is_some_and(|found| found.is_dir == entry.is_dir)
            });
            match to {
                Some(&to) => {
                    moved.insert(from, to);
                    origins.insert(to, entry);
                    // What has moved with its directory needs no mention.
                    let parents = from.parent().zip(to.parent());
                    let is_along = from.file_name() == to.file_name()
                        && parents.is_some_and(|(from, to)| moved.get(from) == Some(&to));
                    if !is_along {
                        renamed.push(WatchEvent::Renamed { from: from.clone(), to: to.clone() });
                    }
                }
                None if !next.entries.contains_key(from) => {
                    removed.push(WatchEvent::Removed(from.clone()));
                }
                None => {}
            }
        }
        // What is in a directory goes before it.
        removed.reverse();
        let mut events = removed;
        events.extend(renamed);
        for (path, entry) in &next.entries {
            if !is_same(path, entry, self) && !origins.contains_key(path.as_path()) {
                events.push(WatchEvent::Created(path.clone()));
            }
        }
        for (path, entry) in &next.entries {
            let former = self.entries.get(path).filter(|former| former.id == entry.id);
            let Some(former) = former.or_else(|| origins.get(path.as_path()).copied()) else {
                continue;
            };
            if former.contents != entry.contents {
                events.push(WatchEvent::Modified(path.clone()));
            }
            if former.attributes != entry.attributes {
                events.push(WatchEvent::Attributes(path.clone()));
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// `dir` with so many entries in it.
    fn snapshot(dir: &str, entries: u64) -> Snapshot {
        let entry = |inode, is_dir| Entry {
            id: Id { device: 1, inode, born: None },
            is_dir,
            contents: (0, 0, 0),
            attributes: (0, 0, 0, 0),
        };
        let mut snapshot = Snapshot::default();
        snapshot.entries.insert(dir.into(), entry(0, true));
        for i in 1..=entries {
            snapshot.entries.insert(format!("{dir}/{i}").into(), entry(i, false));
        }
        snapshot
    }

    /// What was renamed and changed between two looks has done both.
    #[test]
    fn renamed_and_changed() {
        let (former, mut present) = (snapshot("old", 3), snapshot("new", 3));
        present.entries.get_mut(Path::new("new/1")).unwrap().contents.0 = 7;
        present.entries.get_mut(Path::new("new/3")).unwrap().attributes.0 = 0o600;
        let expected = [
            WatchEvent::Renamed { from: "old".into(), to: "new".into() },
            WatchEvent::Modified("new/1".into()),
            WatchEvent::Attributes("new/3".into()),
        ];
        assert_eq!(former.compare(&present), expected);
    }

    /// What has moved along is found by a look each; to compare all pairs would take minutes.
    #[test]
    fn a_large_directory_is_renamed() {
        let (send, told) = mpsc::channel();
        thread::spawn(move || {
            let (former, present) = (snapshot("old", 50_000), snapshot("new", 50_000));
            let _ = send.send(former.compare(&present));
        });
        let told = told.recv_timeout(Duration::from_secs(60)).expect("it takes a moment");
        assert_eq!(told, [WatchEvent::Renamed { from: "old".into(), to: "new".into() }]);
    }
}
