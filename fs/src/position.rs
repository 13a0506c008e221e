//! Reading and writing at a position, without moving.

use std::io::Result;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use smolkit_runtime::unblock;

use crate::again::until_done;
use crate::{File, now};

impl File {
    /// Reads at `offset`, without moving; several may do so at once.
    ///
    /// Returns how many bytes there are, zero at the end of the file, 1 MiB at most. Writes that were not flushed may not be seen.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// Those of `pread(2)`.
    pub async fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let length = buffer.len().min(now::BYTES_MAX);
        let buffer = &mut buffer[..length];
        now::turn(length).await;
        // A position of -1 would mean the file's own.
        if i64::try_from(offset).is_ok() {
            if let Some(result) = now::read_at(&self.file, buffer, offset) {
                return result;
            }
        }
        let file = Arc::clone(&self.file);
        let (bytes, result) = unblock(move || {
            let mut bytes = vec![0; length];
            let result = until_done(|| file.read_at(&mut bytes, offset));
            (bytes, result)
        })
        .await;
        let count = result?;
        buffer[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// Waits for all writes, and writes at `offset`, without moving; several may do so at once. A file that was opened to append is appended to.
    ///
    /// Returns how many bytes were written, 1 MiB at most. Unlike those of [`AsyncWrite`](futures_io::AsyncWrite), these have been written when it returns.
    ///
    /// # Cancel safety
    ///
    /// What was begun is finished: the bytes may have been written.
    ///
    /// # Errors
    ///
    /// That of a write that failed before, and those of `pwrite(2)`.
    pub async fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize> {
        // What was written before would come over it otherwise.
        self.flushed().await?;
        let bytes = bytes[..bytes.len().min(now::BYTES_MAX)].to_owned();
        let behind = self.io.behind.clone();
        unblock(move || behind.beside(|file| until_done(|| file.write_at(&bytes, offset)))).await
    }
}
