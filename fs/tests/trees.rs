//! Goal: a directory tree is walked and copied whole, in a known order, with each failure told in its place (FAULTS H16).
//! Method: trees with links in circles, with what may not be read, with what is no file; as another user, and cancelled half-way.

mod support;

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use futures_lite::{StreamExt, future};
use smolkit_fs::{self as fs, CopyOptions, EntryError, WalkEntry, WalkOptions};
use support::{TempDir, as_nobody, open_below, pattern, rounds, wait_until, within};

/// What stands below `root`, each with its depth, and the failures.
async fn walked(options: &WalkOptions, root: &Path) -> Vec<String> {
    let show = |item: Result<WalkEntry, EntryError>| match item {
        Ok(entry) => format!("{} {}", entry.depth(), shown(entry.path(), root)),
        Err(error) => format!("{} at {}", error.io_error(), shown(error.path(), root)),
    };
    options.walk(root).map(show).collect().await
}

fn shown(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap().display().to_string()
}

/// Directories in directories, `width` each, with as many files.
fn grow(at: &Path, width: usize, depth: usize) {
    for i in 0..width {
        std::fs::write(at.join(format!("f{i}")), format!("{i}")).unwrap();
        if depth > 1 {
            let dir = at.join(format!("d{i}"));
            std::fs::create_dir(&dir).unwrap();
            grow(&dir, width, depth - 1);
        }
    }
}

fn expected(at: &Path, root: &Path, depth: usize, list: &mut Vec<String>) {
    list.push(format!("{depth} {}", shown(at, root)));
    if !at.is_dir() {
        return;
    }
    let mut names: Vec<PathBuf> =
        std::fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    for path in names {
        expected(&path, root, depth + 1, list);
    }
}

#[test]
fn the_same_order_however_many_are_read_at_once() {
    let dir = TempDir::new();
    grow(&dir.join(""), 4, 4);
    std::fs::write(dir.join("d1.5"), "").unwrap();
    let mut list = Vec::new();
    expected(&dir.join(""), &dir.join(""), 0, &mut list);
    for concurrency in [1, 2, 3, 8, 1000] {
        let mut options = WalkOptions::new();
        options.concurrency(concurrency);
        assert_eq!(within(walked(&options, &dir.join(""))), list, "{concurrency} at once");
    }
}

#[test]
fn no_deeper_than_asked_for() {
    let dir = TempDir::new();
    grow(&dir.join(""), 2, 3);
    let mut list = Vec::new();
    expected(&dir.join(""), &dir.join(""), 0, &mut list);
    for depth in 0..4 {
        let list: Vec<_> = list.iter().filter(|line| line.as_bytes()[0] - b'0' <= depth).collect();
        let mut options = WalkOptions::new();
        options.depth_max(depth.into());
        assert_eq!(within(walked(&options, &dir.join(""))).iter().collect::<Vec<_>>(), list);
    }
}

#[test]
fn contents_are_skipped() {
    let dir = TempDir::new();
    grow(&dir.join(""), 3, 3);
    within(async {
        let mut walk = fs::walk(dir.join(""));
        walk.skip_contents();
        let mut names = Vec::new();
        while let Some(entry) = walk.next().await {
            let entry = entry.unwrap();
            if entry.file_name() == "d1" {
                // Whether or not it is being read already.
                walk.skip_contents();
                walk.skip_contents();
            }
            names.push(shown(entry.path(), &dir.join("")));
        }
        assert!(names.contains(&"d0/d2/f2".to_owned()) && names.contains(&"d2/d0/f0".to_owned()));
        assert!(names.contains(&"d1".to_owned()) && names.contains(&"d0/d1".to_owned()));
        assert!(!names.iter().any(|name| name.contains("d1/")), "{names:?}");
    });
}

#[test]
fn links_in_circles() {
    let dir = TempDir::new();
    std::fs::create_dir_all(dir.join("a/b")).unwrap();
    std::fs::write(dir.join("a/b/file"), "").unwrap();
    symlink("..", dir.join("a/b/up")).unwrap();
    symlink("a", dir.join("link")).unwrap();
    symlink("nowhere", dir.join("lost")).unwrap();
    symlink("self", dir.join("self")).unwrap();
    let root = dir.join("");
    let plain = ["0 ", "1 a", "2 a/b", "3 a/b/file", "3 a/b/up", "1 link", "1 lost", "1 self"];
    assert_eq!(within(walked(&WalkOptions::new(), &root)), plain);
    let mut options = WalkOptions::new();
    options.follow_links(true);
    let eloop = io::Error::from_raw_os_error(rustix::io::Errno::LOOP.raw_os_error());
    let eloop = |at: &str| format!("{eloop} at {at}");
    let mut followed = vec!["0 ".to_owned()];
    for name in ["a", "link"] {
        let lines = [format!("1 {name}"), format!("2 {name}/b"), format!("3 {name}/b/file")];
        followed.extend(lines);
        followed.extend([format!("3 {name}/b/up"), eloop(&format!("{name}/b/up"))]);
    }
    followed.extend(["1 lost".to_owned(), eloop("self")]);
    assert_eq!(within(walked(&options, &root)), followed);
    // The start is followed in any case; a file is its own tree; what is not there is told.
    let mut start = within(walked(&WalkOptions::new(), &dir.join("link")));
    assert_eq!(start.remove(0), "0 ");
    assert_eq!(start, ["1 b", "2 b/file", "2 b/up"]);
    assert_eq!(within(walked(&WalkOptions::new(), &dir.join("a/b/file"))), ["0 "]);
    assert_eq!(within(walked(&WalkOptions::new(), &dir.join("lost"))), ["0 "]);
    let missing = within(walked(&WalkOptions::new(), &dir.join("missing")));
    assert!(missing.len() == 1 && missing[0].ends_with(" at "), "{missing:?}");
}

#[test]
fn what_may_not_be_read_is_told_in_its_place() {
    as_nobody("what_may_not_be_read_is_told_in_its_place", || {
        let dir = TempDir::new();
        let (src, dst) = (dir.join("src"), dir.join("dst"));
        std::fs::create_dir(&src).unwrap();
        for name in ["a", "b", "c"] {
            std::fs::create_dir(src.join(name)).unwrap();
            std::fs::write(src.join(name).join("file"), "text").unwrap();
        }
        std::fs::write(src.join("secret"), "text").unwrap();
        for path in [src.join("b"), src.join("secret")] {
            std::fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
        }
        let denied = io::Error::from_raw_os_error(rustix::io::Errno::ACCESS.raw_os_error());
        within(async {
            let lines = walked(&WalkOptions::new(), &src).await;
            let expected = ["0 ", "1 a", "2 a/file", "1 b", &format!("{denied} at b"), "1 c"];
            assert_eq!(lines[..6], expected);
            assert_eq!(lines[6..], ["2 c/file", "1 secret"]);

            let error = fs::copy_dir(&src, &dst).await.unwrap_err();
            let mut paths: Vec<_> = error.errors().iter().map(EntryError::path).collect();
            paths.sort();
            assert_eq!(paths, [src.join("b"), src.join("secret")]);
            let kinds = error.errors().iter().map(EntryError::kind);
            assert!(kinds.into_iter().all(|kind| kind == io::ErrorKind::PermissionDenied));
            assert_eq!((error.copied().files, error.copied().dirs), (2, 4));
            let lines = walked(&WalkOptions::new(), &dst).await;
            assert_eq!(lines[..4], ["0 ", "1 a", "2 a/file", "1 b"]);
        });
        for path in [src.join("b"), dst.join("b")] {
            std::fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
        }
    });
}

#[test]
fn a_walk_that_is_dropped_leaves_nothing_open() {
    let dir = TempDir::new();
    grow(&dir.join(""), 5, 3);
    within(async {
        for taken in 0..rounds(50, 1000) {
            let mut walk = fs::walk(dir.join(""));
            for _ in 0..taken % 20 {
                // Nothing is lost by a `next` that is dropped.
                let _ = future::poll_once(walk.next()).await;
            }
        }
        // One of which each `next` is dropped at first gives everything all the same.
        let mut walk = fs::walk(dir.join(""));
        let mut names = Vec::new();
        loop {
            match future::poll_once(walk.next()).await {
                Some(Some(entry)) => names.push(entry.unwrap().into_path()),
                Some(None) => break,
                None => future::yield_now().await,
            }
        }
        assert_eq!(names.len(), 1 + 5 + 5 * (1 + 5) + 25 * 6);
    });
    wait_until("all directories are closed again", || open_below(&dir) == 0);
}

#[test]
fn a_tree_is_copied_whole() {
    let dir = TempDir::new();
    let (src, dst) = (dir.join("src"), dir.join("dst"));
    std::fs::create_dir(&src).unwrap();
    grow(&src, 4, 3);
    std::fs::write(src.join("large"), pattern(3 << 20)).unwrap();
    std::fs::set_permissions(src.join("large"), Permissions::from_mode(0o640)).unwrap();
    symlink("nowhere/at all", src.join("link")).unwrap();
    // In one that may not be written to, something has to be made all the same.
    std::fs::set_permissions(src.join("d1/d2"), Permissions::from_mode(0o555)).unwrap();
    within(async {
        let copied = fs::copy_dir(&src, &dst).await.unwrap();
        assert_eq!((copied.files, copied.dirs, copied.links), (85, 21, 1));
        assert_eq!(copied.bytes, (3 << 20) + 84);
        let (ours, theirs) =
            (walked(&WalkOptions::new(), &src).await, walked(&WalkOptions::new(), &dst).await);
        assert_eq!(ours, theirs);
        assert!(std::fs::read(dst.join("large")).unwrap() == pattern(3 << 20));
        let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(dst.join("large")), mode(dst.join("d1/d2"))), (0o640, 0o555));
        assert_eq!(std::fs::read_link(dst.join("link")).unwrap(), Path::new("nowhere/at all"));

        // Once more: files are overwritten, links are not.
        std::fs::write(dst.join("f0"), "something longer").unwrap();
        let error = fs::copy_dir(&src, &dst).await.unwrap_err();
        assert_eq!((error.count(), error.errors()[0].kind()), (1, io::ErrorKind::AlreadyExists));
        assert_eq!(error.copied().files, 85);
        assert_eq!(std::fs::read_to_string(dst.join("f0")).unwrap(), "0");
        let error = CopyOptions::new().overwrite(false).copy(&src, &dst).await.unwrap_err();
        assert_eq!((error.count(), error.errors().len(), error.copied().files), (86, 86, 0));
        let error = io::Error::from(error);
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert!(error.to_string().contains("85 more failures"), "{error}");
    });
    for dir in [&src, &dst] {
        std::fs::set_permissions(dir.join("d1/d2"), Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn a_copy_stays_where_it_belongs() {
    let dir = TempDir::new();
    let (src, dst, outside) = (dir.join("src"), dir.join("dst"), dir.join("outside"));
    for dir in [&src, &dst, &outside] {
        std::fs::create_dir(dir).unwrap();
    }
    std::fs::write(src.join("a"), "new").unwrap();
    std::fs::create_dir(src.join("b")).unwrap();
    std::fs::write(src.join("b/file"), "new").unwrap();
    std::fs::write(outside.join("a"), "old").unwrap();
    // What is there leads elsewhere.
    symlink("../outside/a", dst.join("a")).unwrap();
    symlink("../outside", dst.join("b")).unwrap();
    within(async {
        let error = fs::copy_dir(&src, &dst).await.unwrap_err();
        let paths: Vec<_> = error.errors().iter().map(|error| error.path().to_owned()).collect();
        assert_eq!(error.count(), 2, "{error:?}");
        assert!(paths.contains(&src.join("a")) && paths.contains(&dst.join("b")), "{paths:?}");
        assert_eq!(std::fs::read_to_string(outside.join("a")).unwrap(), "old");
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);

        // The start itself may be a link.
        symlink("outside", dir.join("link")).unwrap();
        fs::copy_dir(&src, dir.join("link")).await.unwrap();
        assert_eq!(std::fs::read_to_string(outside.join("b/file")).unwrap(), "new");

        // Not into itself, neither straight nor through a link.
        for into in ["new", "b/new", "b", ""] {
            let error = fs::copy_dir(&src, src.join(into)).await.unwrap_err();
            assert_eq!(error.errors()[0].kind(), io::ErrorKind::InvalidInput, "{into:?}");
        }
        let copy = dir.join("copy");
        symlink("../copy", src.join("round")).unwrap();
        let error = CopyOptions::new().follow_links(true).copy(&src, &copy).await.unwrap_err();
        assert_eq!((error.count(), error.errors()[0].kind()), (1, io::ErrorKind::InvalidInput));
        std::fs::remove_file(src.join("round")).unwrap();
        // The same one level deeper, where the link is found again in the copy.
        std::fs::create_dir(src.join("z")).unwrap();
        symlink(dir.join("deeper/z"), src.join("z/again")).unwrap();
        std::fs::create_dir_all(dir.join("deeper/z")).unwrap();
        let mut options = CopyOptions::new();
        let copied = options.follow_links(true).concurrency(1).copy(&src, dir.join("deeper")).await;
        let error = copied.unwrap_err();
        assert_eq!((error.count(), error.errors()[0].kind()), (1, io::ErrorKind::InvalidInput));
        assert!(!dir.join("deeper/z/again/again").exists());
        std::fs::remove_dir_all(src.join("z")).unwrap();

        for no_dir in [src.join("a"), src.join("missing")] {
            assert_eq!(fs::copy_dir(no_dir, &copy).await.unwrap_err().count(), 1);
        }
        // The same file by two names: it keeps what is in it.
        std::fs::remove_file(copy.join("a")).unwrap();
        std::fs::hard_link(src.join("a"), copy.join("a")).unwrap();
        let error = fs::copy_dir(&src, &copy).await.unwrap_err();
        assert_eq!((error.count(), error.errors()[0].kind()), (1, io::ErrorKind::InvalidInput));
        assert_eq!(std::fs::read_to_string(src.join("a")).unwrap(), "new");
        std::fs::remove_file(copy.join("a")).unwrap();
        // Neither file nor directory, and nothing that would be waited for.
        let mode = rustix::fs::Mode::from(0o600);
        let fifo = src.join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let error = fs::copy_dir(&src, &copy).await.unwrap_err();
        assert_eq!((error.count(), error.errors()[0].kind()), (1, io::ErrorKind::Unsupported));
    });
}

#[test]
fn a_copy_that_is_dropped_begins_nothing_more() {
    let dir = TempDir::new();
    let src = dir.join("src");
    std::fs::create_dir(&src).unwrap();
    grow(&src, 5, 3);
    for i in 0..rounds(10, 200) {
        let dst = dir.join(format!("dst{i}"));
        within(async {
            let mut copy = Box::pin(fs::copy_dir(&src, &dst));
            for _ in 0..i {
                if future::poll_once(&mut copy).await.is_some() {
                    break;
                }
                future::yield_now().await;
            }
        });
    }
    wait_until("all files are closed again", || open_below(&dir) == 0);
}
