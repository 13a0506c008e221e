//! Advisory locks.

use std::io::{self, Result};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use smolkit_runtime::{Timer, unblock};

use crate::File;
use crate::again::until_done;

/// How soon, and how late at most, a lock that another one holds is asked for again.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(50);

impl File {
    /// Waits for the file's advisory lock, to hold it alone.
    ///
    /// The kernel cannot tell when it becomes free without a thread that blocks, so it is asked again and again, every 50 ms at last: whoever asks first then gets it.
    ///
    /// # Cancel safety
    ///
    /// Nothing is locked for a future that is dropped.
    ///
    /// # Errors
    ///
    /// Those of `flock(2)`.
    pub async fn lock(&self) -> Result<FileLock> {
        self.wait_for(FlockOperation::NonBlockingLockExclusive).await
    }

    /// Waits for the file's advisory lock, to hold it together with others who only share it.
    ///
    /// # Cancel safety
    ///
    /// As [`lock`](File::lock).
    ///
    /// # Errors
    ///
    /// As [`lock`](File::lock).
    pub async fn lock_shared(&self) -> Result<FileLock> {
        self.wait_for(FlockOperation::NonBlockingLockShared).await
    }

    /// The file's advisory lock, to hold it alone, if nobody has it.
    ///
    /// # Cancel safety
    ///
    /// As [`lock`](File::lock).
    ///
    /// # Errors
    ///
    /// `WouldBlock` if somebody has it, and the others of `flock(2)`.
    pub async fn try_lock(&self) -> Result<FileLock> {
        self.ask_for(FlockOperation::NonBlockingLockExclusive).await
    }

    /// The file's advisory lock, to share it, if nobody has it alone.
    ///
    /// # Cancel safety
    ///
    /// As [`lock`](File::lock).
    ///
    /// # Errors
    ///
    /// As [`try_lock`](File::try_lock).
    pub async fn try_lock_shared(&self) -> Result<FileLock> {
        self.ask_for(FlockOperation::NonBlockingLockShared).await
    }

    async fn wait_for(&self, operation: FlockOperation) -> Result<FileLock> {
        let mut pause = PAUSE_MIN;
        loop {
            match self.ask_for(operation).await {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    Timer::after(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                result => return result,
            }
        }
    }

    async fn ask_for(&self, operation: FlockOperation) -> Result<FileLock> {
        let file = Arc::clone(&self.file);
        // Elsewhere, because a network filesystem asks its server. If nobody waits any more, the lock is dropped, and so given back.
        unblock(move || {
            until_done(|| Ok(flock(&file, operation)?))?;
            Ok(FileLock { file })
        })
        .await
    }
}

/// An advisory lock of a file. Dropped, it is given back.
///
/// It belongs to the open file: who has it and asks again, through the same [`File`] or a copy of its descriptor, gets it at once, and the first of
/// these guards that is dropped gives it back for all. So open the file once for each who shall be kept out, other tasks of this program
/// included. Others are kept out only if they ask for the lock themselves.
#[must_use = "the lock is given back when this is dropped"]
#[derive(Debug)]
pub struct FileLock {
    file: Arc<std::fs::File>,
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // It can only fail for a descriptor that is not open, and ours is.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}
