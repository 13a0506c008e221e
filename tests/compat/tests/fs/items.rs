// Every item of async-fs 2.2, with its traits: it only has to compile.

#[allow(dead_code, unused_must_use, clippy::let_underscore_future)]
fn items() {
    use std::os::fd::{AsFd, AsRawFd, OwnedFd};
    use std::path::{Path, PathBuf};

    fn io_traits<T: futures_lite::AsyncRead + futures_lite::AsyncWrite + futures_lite::AsyncSeek>() {}
    fn auto<T: Send + Sync + Unpin + std::fmt::Debug + 'static>() {}
    fn stream<T: futures_lite::Stream<Item = std::io::Result<subject::DirEntry>>>() {}
    fn future<T>(_: impl Future<Output = std::io::Result<T>> + Send + 'static) {}
    fn borrowing<T>(_: impl Future<Output = std::io::Result<T>> + Send) {}

    io_traits::<subject::File>();
    auto::<subject::File>();
    auto::<subject::ReadDir>();
    auto::<subject::DirEntry>();
    auto::<subject::DirBuilder>();
    auto::<subject::OpenOptions>();
    stream::<subject::ReadDir>();

    let path = || PathBuf::new();
    future::<PathBuf>(subject::canonicalize(path()));
    future::<u64>(subject::copy(path(), path()));
    future::<()>(subject::create_dir(path()));
    future::<()>(subject::create_dir_all(path()));
    future::<()>(subject::hard_link(path(), path()));
    future::<subject::Metadata>(subject::metadata(path()));
    future::<Vec<u8>>(subject::read(path()));
    future::<subject::ReadDir>(subject::read_dir(path()));
    future::<PathBuf>(subject::read_link(path()));
    future::<String>(subject::read_to_string(path()));
    future::<()>(subject::remove_dir(path()));
    future::<()>(subject::remove_dir_all(path()));
    future::<()>(subject::remove_file(path()));
    future::<()>(subject::rename(path(), path()));
    let _ = |permissions: subject::Permissions| future::<()>(subject::set_permissions(path(), permissions));
    future::<subject::Metadata>(subject::symlink_metadata(path()));
    future::<()>(subject::write::<_, Vec<u8>>(path(), Vec::new()));
    future::<()>(subject::unix::symlink(path(), path()));
    borrowing::<Vec<u8>>(subject::read::<&str>(""));
    borrowing::<()>(subject::write::<&Path, &str>(Path::new(""), ""));

    let _: subject::DirBuilder = Default::default();
    let mut builder = subject::DirBuilder::new();
    let builder: &mut subject::DirBuilder = builder.recursive(true);
    let builder: &mut subject::DirBuilder = subject::unix::DirBuilderExt::mode(builder, 0o700);
    future::<()>(builder.create(path()));

    let options: subject::OpenOptions = Default::default();
    let mut options: subject::OpenOptions = options.clone();
    let options = options.read(true).write(true).append(true).truncate(true).create(true).create_new(true);
    let options: &mut subject::OpenOptions = subject::unix::OpenOptionsExt::mode(options, 0o600);
    let options: &mut subject::OpenOptions = subject::unix::OpenOptionsExt::custom_flags(options, 0);
    future::<subject::File>(options.open(path()));

    future::<subject::File>(subject::File::open(path()));
    future::<subject::File>(subject::File::create(path()));
    let _ = |file: subject::File, permissions: subject::Permissions| {
        borrowing::<()>(file.sync_all());
        borrowing::<()>(file.sync_data());
        borrowing::<()>(file.set_len(1));
        borrowing::<subject::Metadata>(file.metadata());
        borrowing::<()>(file.set_permissions(permissions));
        file.as_fd();
        file.as_raw_fd();
    };
    let _ = |file: std::fs::File, fd: OwnedFd| (subject::File::from(file), subject::File::from(fd));
    let _ = |entry: subject::DirEntry| {
        let _: PathBuf = entry.path();
        let _: std::ffi::OsString = entry.file_name();
        borrowing::<subject::Metadata>(entry.metadata());
        borrowing::<subject::FileType>(entry.file_type());
        let _: u64 = subject::unix::DirEntryExt::ino(&entry.clone());
    };
    let _ = |metadata: subject::Metadata| {
        subject::unix::MetadataExt::ino(&metadata);
        subject::unix::PermissionsExt::mode(&metadata.permissions());
        subject::unix::FileTypeExt::is_fifo(&metadata.file_type());
    };
}
