// What each operation returns, as text.

pub(crate) async fn run(dir: &std::path::Path) -> Vec<String> {
    use futures_lite::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, StreamExt};
    use std::io::SeekFrom;

    let mut log = Vec::new();
    macro_rules! log {
        ($what:expr) => {{
            let result = $what.await;
            let shown = result.map_err(|error| (error.kind(), error.raw_os_error()));
            log.push(format!("{}: {shown:?}", stringify!($what)));
        }};
    }
    let at = |name: &str| dir.join(name);
    // Twice: the second time what is cached is known.
    for _ in 0..2 {
        log!(subject::read(at("missing")));
        log!(subject::read(dir));
        log!(subject::read("nul\0byte"));
        log!(subject::read_to_string(""));
        log!(subject::File::open(at("missing")));
        log!(async { subject::metadata(at("missing/deeper")).await.map(|found| found.len()) });
        log!(subject::write(at("file"), "hello"));
        log!(subject::read_to_string(at("file")));
        log!(subject::read(at("file/deeper")));
        log!(async { subject::metadata(at("file")).await.map(|found| (found.len(), found.is_file())) });
        log!(subject::unix::symlink("file", at("link")));
        log!(subject::unix::symlink("loop", at("loop")));
        log!(subject::read(at("loop")));
        log!(subject::read_to_string(at("link")));
        log!(subject::read_link(at("link")));
        log!(subject::read_link(at("file")));
        log!(async { subject::symlink_metadata(at("link")).await.map(|found| found.is_symlink()) });
        log!(subject::canonicalize(at("link")));
        log!(subject::hard_link(at("file"), at("hard")));
        log!(subject::copy(at("file"), at("copy")));
        log!(subject::copy(at("missing"), at("copy")));
        log!(subject::rename(at("copy"), at("renamed")));
        log!(subject::write(at("bytes"), b"\xff"));
        log!(subject::read_to_string(at("bytes")));
        log!(subject::create_dir(at("a")));
        log!(subject::create_dir_all(at("a/b/c")));
        log!(subject::DirBuilder::new().create(at("x/y")));
        log!(subject::remove_dir(at("a")));
        log!(subject::remove_file(at("a/b")));
        log!(subject::OpenOptions::new().open(at("file")));
        log!(subject::OpenOptions::new().read(true).truncate(true).open(at("file")));
        log!(subject::OpenOptions::new().write(true).create_new(true).open(at("file")));
        log!(async {
            let mut names = Vec::new();
            let mut entries = subject::read_dir(dir).await?;
            while let Some(entry) = entries.next().await {
                let entry = entry?;
                names.push((entry.file_name(), entry.file_type().await?, entry.metadata().await?.len()));
            }
            names.sort_by(|a, b| a.0.cmp(&b.0));
            std::io::Result::Ok(names.into_iter().map(|(name, kind, _)| (name, kind.is_dir())).collect::<Vec<_>>())
        });
        let mut options = subject::OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(true);
        let mut file = options.open(at("file")).await.unwrap();
        let mut buffer = [0; 4];
        log!(file.write(b"0123456789"));
        log!(file.read(&mut buffer));
        log!(file.seek(SeekFrom::Start(2)));
        log!(file.read(&mut buffer));
        log.push(format!("{buffer:?}"));
        log!(file.write(b"xy"));
        log!(file.seek(SeekFrom::Current(-1)));
        log!(file.read(&mut buffer));
        log.push(format!("{buffer:?}"));
        log!(file.seek(SeekFrom::End(-3)));
        log!(file.seek(SeekFrom::Current(-100)));
        log!(file.set_len(4));
        log!(file.seek(SeekFrom::End(0)));
        log!(file.flush());
        log!(file.sync_all());
        log!(file.close());
        log!(subject::read_to_string(at("file")));
        let mut read_only = subject::File::open(at("file")).await.unwrap();
        log!(read_only.write(b"lost"));
        log!(read_only.flush());
        log!(read_only.close());
        log!(read_only.set_len(1));
        log!(read_only.sync_data());
        log!(async { read_only.metadata().await.map(|found| found.len()) });
        log!(read_only.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o640)));
        log!(async { subject::metadata(at("file")).await.map(|found| subject::unix::PermissionsExt::mode(&found.permissions())) });
        log!(subject::set_permissions(at("file"), std::os::unix::fs::PermissionsExt::from_mode(0o600)));
        log!(subject::set_permissions(at("missing"), std::os::unix::fs::PermissionsExt::from_mode(0o600)));
        let mut options = subject::OpenOptions::new();
        subject::unix::OpenOptionsExt::mode(&mut options, 0o604);
        let mut appending = options.append(true).create(true).read(true).open(at("appended")).await.unwrap();
        log!(appending.write_all(b"one"));
        log!(appending.seek(SeekFrom::Start(0)));
        log!(appending.write_all(b"two"));
        log!(appending.seek(SeekFrom::Start(1)));
        log!(appending.read_exact(&mut buffer));
        log.push(format!("{buffer:?}"));
        log!(appending.seek(SeekFrom::Start(100)));
        log!(appending.read(&mut buffer));
        log!(appending.close());
        log!(async {
            let found = subject::metadata(at("appended")).await?;
            std::io::Result::Ok((found.len(), subject::unix::PermissionsExt::mode(&found.permissions())))
        });
        let mut builder = subject::DirBuilder::new();
        subject::unix::DirBuilderExt::mode(&mut builder, 0o710);
        log!(builder.create(at("a/private")));
        log!(builder.create(at("a/private")));
        log!(async { subject::metadata(at("a/private")).await.map(|found| subject::unix::PermissionsExt::mode(&found.permissions())) });
        log!(subject::create_dir_all(at("file/deeper")));
        log!(async { subject::read_dir(at("missing")).await.map(drop) });
        log!(async { subject::read_dir(at("file")).await.map(drop) });
        log!(async {
            let mut entries = subject::read_dir(at("a/b")).await?;
            let entry = entries.next().await.expect("there is one")?;
            let found = entry.metadata().await?;
            assert!(entries.next().await.is_none() && entries.next().await.is_none());
            std::io::Result::Ok((entry.path(), found.is_dir(), subject::unix::DirEntryExt::ino(&entry) == subject::unix::MetadataExt::ino(&found)))
        });
        log!(subject::copy(at("a"), at("copy")));
        log!(subject::copy(at("file"), at("a")));
        log!(subject::write(at("a"), "text"));
        log!(subject::rename(at("a"), at("file")));
        log!(subject::hard_link(at("file"), at("hard")));
        log!(subject::remove_dir(at("file")));
        log!(subject::remove_dir_all(at("missing")));
        for name in ["link", "loop", "hard", "renamed", "bytes", "file", "appended"] {
            log!(subject::remove_file(at(name)));
        }
        log!(subject::remove_dir_all(at("a")));
    }
    log
}
