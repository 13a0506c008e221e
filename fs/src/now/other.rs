//! No such promises here.

use std::fs::{File, Metadata};
use std::io::{self, IsTerminal};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

pub(crate) fn open(_: &Path) -> Option<File> {
    None
}

pub(crate) fn open_briefly(_: &Path) -> Option<(File, u64)> {
    None
}

pub(crate) fn metadata(_: &Path, _: bool) -> Option<io::Result<Metadata>> {
    None
}

pub(crate) fn file_metadata(_: &File) -> Option<io::Result<Metadata>> {
    None
}

/// Whether the file has no position: pipes, sockets and terminals.
pub(crate) fn is_stream(file: &File) -> bool {
    let Ok(found) = file.metadata() else { return false };
    let file_type = found.file_type();
    file_type.is_fifo()
        || file_type.is_socket()
        || (file_type.is_char_device() && file.is_terminal())
}

pub(crate) fn read(_: &File, _: &mut [u8]) -> Option<io::Result<usize>> {
    None
}

pub(crate) fn read_at(_: &File, _: &mut [u8], _: u64) -> Option<io::Result<usize>> {
    None
}
