//! Goal: temporary files and directories are gone when they shall be, whichever way they go, and are told of if they are not.
//! Method: closed, dropped, kept, persisted and cancelled ones; a directory that may not be emptied.

mod support;

use std::io::{self, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use futures_lite::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, future};
use smolkit_fs::{self as fs, TempFile, TempOptions};
use support::{TempDir, as_nobody, open_below, rounds, wait_until, within};

fn names(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

#[test]
fn closed_and_dropped_and_kept() {
    let dir = TempDir::new();
    let at = dir.join("");
    within(async {
        let inner = fs::TempDir::new_in(&at).await.unwrap();
        assert!(inner.path().starts_with(&at) && inner.path().is_dir());
        let mode = std::fs::metadata(&inner).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        fs::create_dir_all(inner.path().join("a/b")).await.unwrap();
        fs::write(inner.path().join("a/b/file"), "text").await.unwrap();
        inner.close().await.unwrap();
        assert_eq!(names(&at), 0);

        let inner = fs::TempDir::new_in(&at).await.unwrap();
        std::fs::write(inner.path().join("file"), "text").unwrap();
        drop(inner);
        drop(TempFile::new_in(&at).await.unwrap());
        wait_until("both are gone", || names(&at) == 0);

        let kept = fs::TempDir::new_in(&at).await.unwrap().keep();
        assert!(kept.is_dir());
        std::fs::remove_dir(kept).unwrap();
        // Somebody else was faster: for `close` that is an error, for a drop it is not.
        let file = TempFile::new_in(&at).await.unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(file.close().await.unwrap_err().kind(), io::ErrorKind::NotFound);
        wait_until("who has removed them has closed them", || open_below(&dir) == 0);
    });
}

#[test]
fn a_file_is_written_read_and_persisted() {
    let dir = TempDir::new();
    within(async {
        let mut options = TempOptions::new();
        options.within(dir.join("")).prefix("before-").suffix(".txt");
        let mut file = options.create_file().await.unwrap();
        let name = file.path().file_name().unwrap().to_str().unwrap().to_owned();
        assert!(name.starts_with("before-") && name.ends_with(".txt"), "{name}");
        file.write_all(b"one two").await.unwrap();
        file.seek(SeekFrom::Start(4)).await.unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "two");
        file.write_all(b" three").await.unwrap();
        // What was not flushed is in it all the same.
        std::fs::write(dir.join("kept"), "former").unwrap();
        let mut file = file.persist(dir.join("kept")).await.unwrap();
        assert_eq!(std::fs::read_to_string(dir.join("kept")).unwrap(), "one two three");
        assert_eq!(names(&dir.join("")), 1);
        file.write_all(b" four").await.unwrap();
        file.close().await.unwrap();
        assert_eq!(std::fs::read_to_string(dir.join("kept")).unwrap(), "one two three four");

        let file = options.create_file().await.unwrap();
        assert!(file.persist(dir.join("missing/dir")).await.is_err());
        wait_until("it was removed", || names(&dir.join("")) == 1);

        let error = options.within(dir.join("missing")).create_file().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("missing"), "{error}");

        let mut file = fs::temp_file().await.unwrap();
        file.write_all(b"nameless").await.unwrap();
        file.seek(SeekFrom::Start(0)).await.unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "nameless");
    });
}

#[test]
fn cancelled_ones_leave_nothing() {
    let dir = TempDir::new();
    let at = dir.join("");
    within(async {
        for turns in 0..rounds(200, 5_000) {
            let (mut file, mut folder) =
                (Box::pin(TempFile::new_in(&at)), Box::pin(fs::TempDir::new_in(&at)));
            if turns % 4 > 0 {
                // What is finished is dropped, too.
                let either = future::or(async { drop((&mut file).await) }, async {
                    drop((&mut folder).await);
                });
                let _ = future::poll_once(either).await;
            }
            drop((file, folder));
            let file = TempFile::new_in(&at).await.unwrap();
            // Half-way through its end.
            let _ = match turns % 2 {
                0 => future::poll_once(file.close()).await.is_some(),
                _ => future::poll_once(file.persist(at.join("new"))).await.is_some(),
            };
        }
    });
    let left = || {
        let names = std::fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name != "new").count()
    };
    wait_until("nothing is left", || left() == 0 && open_below(&dir) == 0);
}

#[test]
fn what_cannot_be_removed_is_told() {
    as_nobody("what_cannot_be_removed_is_told", || {
        let dir = TempDir::new();
        within(async {
            let inner = fs::TempDir::new_in(dir.join("")).await.unwrap();
            let path = inner.path().to_owned();
            std::fs::create_dir(path.join("sealed")).unwrap();
            std::fs::write(path.join("sealed/file"), "").unwrap();
            let sealed = |mode| {
                let permissions = std::fs::Permissions::from_mode(mode);
                std::fs::set_permissions(path.join("sealed"), permissions).unwrap();
            };
            sealed(0o500);
            let error = inner.close().await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
            sealed(0o700);
        });
    });
}
