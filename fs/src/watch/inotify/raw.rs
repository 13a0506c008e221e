//! Events as the kernel has them.

use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use rustix::fs::inotify::{ReadFlags, Reader};

/// So much is read at once: a hundred events and more, as names are short.
const BATCH_BYTES: usize = 8 << 10;

pub(super) struct Raw {
    pub(super) wd: i32,
    pub(super) mask: ReadFlags,
    /// The same for both halves of a renaming.
    pub(super) cookie: u32,
    /// `None`: the directory itself.
    pub(super) name: Option<OsString>,
}

/// What one read gives, at least one event; `WouldBlock` if there is none.
pub(super) fn read(fd: &Arc<OwnedFd>) -> io::Result<Vec<Raw>> {
    let mut buffer = [MaybeUninit::uninit(); BATCH_BYTES];
    let mut reader = Reader::new(fd, &mut buffer);
    let mut events = Vec::new();
    loop {
        let event = reader.next()?;
        events.push(Raw {
            wd: event.wd(),
            mask: event.events(),
            cookie: event.cookie(),
            name: event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()).to_owned()),
        });
        if reader.is_buffer_empty() {
            return Ok(events);
        }
    }
}
