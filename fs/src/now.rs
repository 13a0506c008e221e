//! What the kernel can do without waiting.
//!
//! `None` means: it would have to wait, or does not say; ask again on a thread that may block.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) use self::linux::{file_metadata, metadata, open, open_briefly, read, read_at};

#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
pub(crate) use self::other::{file_metadata, metadata, open, open_briefly, read, read_at};

/// More than this is not copied at once: a worker has other things to do.
pub(crate) const BYTES_MAX: usize = 1 << 20;
