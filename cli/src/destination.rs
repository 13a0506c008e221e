//! The folder that becomes the project: it gets every file or none.

use std::{
    ffi::OsStr,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    process,
};

use smolkit_templates::File;

use crate::failure::Failure;

/// A place where a project can be written: a name that is free, or an empty folder.
#[derive(Debug)]
pub(crate) struct Destination {
    /// As the user gave it, for messages.
    shown: String,
    absolute: PathBuf,
    exists: bool,
}

impl Destination {
    pub(crate) fn check(path: &Path) -> Result<Self, Failure> {
        let attempt = format!("cannot create a project at {}", path.display());
        let usage = |why: &str| Failure::usage(format!("{attempt}: {why}"));
        let machine = |error: io::Error| Failure::machine(format!("{attempt}: {error}"));

        let Some(shown) = path.to_str().map(str::to_owned) else {
            return Err(usage("cargo needs a path that is UTF-8; choose another with --path"));
        };
        match fs::metadata(path) {
            Ok(found) if !found.is_dir() => {
                Err(usage("that is not a folder; choose another name, or a folder with --path"))
            }
            Ok(_) if fs::read_dir(path).map_err(machine)?.next().is_some() => {
                Err(usage("the folder is not empty; choose another name, or a folder with --path"))
            }
            Ok(_) => {
                let absolute = path.canonicalize().map_err(machine)?;
                Ok(Self { shown, absolute, exists: true })
            }
            Err(_) if path.is_symlink() => {
                Err(usage("that is a symbolic link to nowhere; remove it, or choose another name"))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let name =
                    path.file_name().ok_or_else(|| usage("the path has no name at its end"))?;
                let parent = match path.parent() {
                    Some(parent) if parent != Path::new("") => parent,
                    _ => Path::new("."),
                };
                match parent.canonicalize() {
                    Ok(parent) => Ok(Self { shown, absolute: parent.join(name), exists: false }),
                    Err(error) if error.kind() == ErrorKind::NotFound => Err(usage(&format!(
                        "the folder {} does not exist; create it first",
                        parent.display()
                    ))),
                    Err(error) => Err(machine(error)),
                }
            }
            Err(error) => Err(machine(error)),
        }
    }

    pub(crate) fn absolute(&self) -> &Path {
        &self.absolute
    }

    /// Writes the files in a temporary folder on the same file system, and moves that into place.
    pub(crate) fn write(&self, files: &[File]) -> Result<(), Failure> {
        let written = if self.exists { self.fill(files) } else { self.create(files) };
        written.map_err(|error| {
            let hint = "nothing was written: put that right, or choose another folder with --path";
            Failure::machine(format!("cannot create {}: {error}; {hint}", self.shown))
        })
    }

    /// One rename makes the whole project appear; it fails if the name was taken meanwhile.
    fn create(&self, files: &[File]) -> io::Result<()> {
        let stage = Stage::new(self.absolute.parent().unwrap_or(&self.absolute), files)?;
        fs::rename(&stage.folder, &self.absolute)
    }

    /// An empty folder is kept, as it may be a mount point or somebody's working directory: the
    /// entries move into it, and out again if one of them fails.
    fn fill(&self, files: &[File]) -> io::Result<()> {
        let stage = Stage::new(&self.absolute, files)?;
        let mut moved = Vec::new();
        let result = top_level(files).try_for_each(|entry| {
            let target = self.absolute.join(entry);
            fs::rename(stage.folder.join(entry), &target)?;
            moved.push(target);
            Ok(())
        });
        if result.is_err() {
            moved.iter().for_each(|path| remove(path));
        }
        result
    }
}

/// A temporary folder, removed with what is left in it when dropped.
struct Stage {
    folder: PathBuf,
}

impl Stage {
    fn new(parent: &Path, files: &[File]) -> io::Result<Self> {
        let folder = parent.join(format!(".smolkit-{}", process::id()));
        fs::create_dir(&folder)?;
        let stage = Self { folder };
        for file in files {
            let path = stage.folder.join(file.path);
            fs::create_dir_all(path.parent().unwrap_or(&stage.folder))?;
            fs::write(path, &file.contents)?;
        }
        Ok(stage)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// Removes a file or a folder; one that is gone, or refuses to go, cannot be helped.
fn remove(path: &Path) {
    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

/// The first parts of the paths, each once. The manifest comes last: it makes the folder a project.
fn top_level(files: &[File]) -> impl Iterator<Item = &OsStr> {
    let mut entries: Vec<&OsStr> =
        files.iter().filter_map(|file| Path::new(file.path).iter().next()).collect();
    entries.sort_by_key(|&entry| (entry == "Cargo.toml", entry));
    entries.dedup();
    entries.into_iter()
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    const FILES: &[File] = &[
        File { path: "Cargo.toml", contents: Vec::new() },
        File { path: "a", contents: Vec::new() },
        File { path: "src/main.rs", contents: Vec::new() },
    ];

    /// A new empty folder; the test removes it.
    fn scratch(name: &str) -> PathBuf {
        let folder = env::temp_dir().join(format!("smolkit-{name}-{}", process::id()));
        fs::create_dir(&folder).unwrap();
        folder
    }

    fn count(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_name_that_is_taken_meanwhile_stays_as_it_is() {
        let folder = scratch("taken");
        let destination = Destination::check(&folder.join("project")).unwrap();
        fs::create_dir(folder.join("project")).unwrap();
        fs::write(folder.join("project/mine"), "").unwrap();
        assert!(destination.write(FILES).is_err());
        assert_eq!((count(&folder), count(&folder.join("project"))), (1, 1));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_folder_that_is_filled_meanwhile_gets_nothing() {
        let folder = scratch("filled");
        let destination = Destination::check(&folder).unwrap();
        fs::create_dir(folder.join("src")).unwrap();
        fs::write(folder.join("src/mine"), "").unwrap();
        assert!(destination.write(FILES).is_err());
        assert_eq!((count(&folder), count(&folder.join("src"))), (1, 1));
        fs::remove_dir_all(folder).unwrap();
    }
}
