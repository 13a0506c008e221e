//! The file's position: reads with read-ahead, writes on their way, seeks.
//!
//! The position is the kernel's, because others may share the descriptor; what was read ahead is between it and the caller's.

use std::fs::File;
use std::future::Future;
use std::io::{Read, Result, Seek, SeekFrom};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use smolkit_runtime::{Task, unblock};

use crate::again::until_done;
use crate::behind::Behind;
use crate::now::{self, TakeTurns};

/// The second read in a row reads so much ahead, each further one twice as much, up to the maximum.
const AHEAD_BYTES_MIN: usize = 16 << 10;
const AHEAD_BYTES_MAX: usize = 128 << 10;
/// Reads as large as this one gain nothing from it: the call costs less than the copy.
const LARGE_BYTES: usize = 32 << 10;

pub(crate) struct Io {
    file: Arc<File>,
    pub(crate) behind: Arc<Behind>,
    /// Read and not handed out: from `start` on.
    ahead: Vec<u8>,
    start: usize,
    /// How much the next read reads ahead.
    ahead_bytes: usize,
    /// What is under way on a thread that may block.
    job: Option<Job>,
    turns: now::Turns,
}

enum Job {
    Read(Task<(Vec<u8>, Result<usize>)>),
    /// To so far from the end.
    Seek(i64, Task<Result<u64>>),
}

impl Io {
    pub(crate) fn new(file: Arc<File>) -> Io {
        let behind = Behind::new(file.clone());
        Io {
            file,
            behind,
            ahead: Vec::new(),
            start: 0,
            ahead_bytes: 0,
            job: None,
            turns: now::Turns::default(),
        }
    }

    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize>> {
        self.poll_in_turn(cx, buffer.len(), |io, cx| io.poll_read_now(cx, buffer))
    }

    fn poll_read_now(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        if self.behind.is_stale() {
            ready!(self.poll_job(cx));
            // What changes from here on is told anew.
            self.behind.renew();
            self.give_back()?;
        }
        loop {
            if self.unread() > 0 || buffer.is_empty() {
                return Poll::Ready(Ok(self.hand_out(buffer)));
            }
            match &mut self.job {
                Some(Job::Read(task)) => {
                    let (bytes, result) = ready!(Pin::new(task).poll(cx));
                    self.job = None;
                    let count = result?;
                    self.keep(bytes, count);
                    if count == 0 {
                        return Poll::Ready(Ok(0));
                    }
                    continue;
                }
                Some(Job::Seek(..)) => {
                    ready!(self.poll_job(cx));
                    continue;
                }
                None => {}
            }
            // Who writes and then reads gets what was written.
            ready!(self.behind.poll_flush(cx))?;
            let ahead_bytes = self.ahead_bytes;
            self.ahead_bytes = (ahead_bytes * 2).clamp(AHEAD_BYTES_MIN, AHEAD_BYTES_MAX);
            if buffer.len() >= ahead_bytes.min(LARGE_BYTES) {
                let length = buffer.len().min(now::BYTES_MAX);
                if let Some(result) = now::read(&self.file, &mut buffer[..length]) {
                    return Poll::Ready(result);
                }
            } else {
                let mut bytes = std::mem::take(&mut self.ahead);
                bytes.resize(ahead_bytes, 0);
                let result = now::read(&self.file, &mut bytes);
                self.keep(
                    bytes,
                    result.as_ref().map_or(0, |result| *result.as_ref().unwrap_or(&0)),
                );
                match result {
                    Some(Ok(0)) => return Poll::Ready(Ok(0)),
                    Some(Ok(_)) => continue,
                    Some(Err(error)) => return Poll::Ready(Err(error)),
                    None => {}
                }
            }
            self.read_elsewhere(buffer.len().min(now::BYTES_MAX).max(ahead_bytes));
        }
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.poll_in_turn(cx, bytes.len(), |io, cx| {
            ready!(io.poll_settle(cx))?;
            io.behind.poll_write(cx, bytes)
        })
    }

    pub(crate) fn poll_seek(&mut self, cx: &mut Context<'_>, to: SeekFrom) -> Poll<Result<u64>> {
        self.poll_in_turn(cx, 0, |io, cx| io.poll_seek_now(cx, to))
    }

    fn poll_seek_now(&mut self, cx: &mut Context<'_>, to: SeekFrom) -> Poll<Result<u64>> {
        if let (Some(Job::Seek(by, task)), SeekFrom::End(wanted)) = (&mut self.job, to) {
            let is_ours = *by == wanted;
            let result = ready!(Pin::new(task).poll(cx));
            self.job = None;
            if is_ours {
                return Poll::Ready(result);
            }
        }
        ready!(self.poll_job(cx));
        ready!(self.behind.poll_flush(cx))?;
        self.give_back()?;
        // The next reads may be anywhere.
        self.ahead_bytes = 0;
        let SeekFrom::End(by) = to else {
            // Nothing has to be looked up for it.
            return Poll::Ready((&*self.file).seek(to));
        };
        let file = self.file.clone();
        let mut task = unblock(move || (&*file).seek(to));
        match Pin::new(&mut task).poll(cx) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => {
                self.job = Some(Job::Seek(by, task));
                Poll::Pending
            }
        }
    }

    /// Waits for what is under way, and moves the kernel's position to the caller's.
    pub(crate) fn poll_settle(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.poll_job(cx).is_pending() {
            // Whoever has no position keeps nobody waiting: a terminal may be written to while a read that nobody wants any more waits for the keyboard.
            return if now::is_stream(&self.file) { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        Poll::Ready(self.give_back())
    }

    /// Waits for what is under way. What was read is kept; what a cancelled seek found is of no use to anybody, and a failed read will fail again.
    fn poll_job(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.job {
            Some(Job::Read(task)) => {
                let (bytes, result) = ready!(Pin::new(task).poll(cx));
                self.job = None;
                self.keep(bytes, result.unwrap_or(0));
            }
            Some(Job::Seek(_, task)) => {
                let _ = ready!(Pin::new(task).poll(cx));
                self.job = None;
            }
            None => {}
        }
        Poll::Ready(())
    }

    fn read_elsewhere(&mut self, length: usize) {
        let file = self.file.clone();
        let mut bytes = std::mem::take(&mut self.ahead);
        self.start = 0;
        self.job = Some(Job::Read(unblock(move || {
            bytes.resize(length, 0);
            let result = until_done(|| (&*file).read(&mut bytes));
            (bytes, result)
        })));
    }

    fn keep(&mut self, mut bytes: Vec<u8>, count: usize) {
        bytes.truncate(count);
        self.ahead = bytes;
        self.start = 0;
    }

    fn unread(&self) -> usize {
        self.ahead.len() - self.start
    }

    fn hand_out(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.unread().min(buffer.len());
        buffer[..count].copy_from_slice(&self.ahead[self.start..self.start + count]);
        self.start += count;
        count
    }

    /// Moves the kernel's position to the caller's.
    fn give_back(&mut self) -> Result<()> {
        let unread = self.unread();
        if unread == 0 {
            return Ok(());
        }
        let by = i64::try_from(unread).expect("it is at most BYTES_MAX");
        match (&*self.file).seek(SeekFrom::Current(-by)) {
            Ok(_) => {
                self.ahead.clear();
                self.start = 0;
                Ok(())
            }
            // A pipe or a terminal has no position; what was read from it is still to be handed out.
            Err(error) if error.kind() == std::io::ErrorKind::NotSeekable => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl TakeTurns for Io {
    fn turns(&mut self) -> &mut now::Turns {
        &mut self.turns
    }
}
