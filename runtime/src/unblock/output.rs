//! Bytes that have been accepted and are on their way to a writer.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::task::{Context, Poll, Waker};

use crate::sync::{Mutex, lock};

/// Small writes are put together to chunks of so many bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// Shared by the task that fills it and a job that empties it.
#[derive(Default)]
pub(super) struct Output(Mutex<Parts>);

#[derive(Default)]
struct Parts {
    chunks: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Whether the job will look at the chunks once more.
    is_running: bool,
    wants_flush: bool,
    is_flushed: bool,
    error: Option<io::Error>,
    waker: Option<Waker>,
}

impl Output {
    /// A job is about to be started for nothing but a flush.
    pub(super) fn begin_flush(&self) {
        let mut parts = lock(&self.0);
        parts.is_running = true;
        parts.wants_flush = true;
    }

    /// The job, if there is one, is to flush when it has written all.
    pub(super) fn want_flush(&self) {
        let mut parts = lock(&self.0);
        parts.wants_flush = parts.is_running && !parts.is_flushed;
    }

    /// Whether all that was written has been flushed as well; asked when the job has returned.
    pub(super) fn is_flushed(&self) -> bool {
        lock(&self.0).is_flushed
    }

    pub(super) fn take_error(&self) -> Option<io::Error> {
        lock(&self.0).error.take()
    }

    /// Accepts bytes if there is room and somebody to write them: the job that runs, or one that the caller is going to start. `Pending` otherwise;
    /// the waker is called when a job has made room.
    pub(super) fn poll_push(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        capacity: usize,
        will_start: bool,
    ) -> Poll<io::Result<usize>> {
        let waker = cx.waker().clone();
        let mut parts = lock(&self.0);
        if let Some(error) = parts.error.take() {
            return Poll::Ready(Err(error));
        }
        let count = buf.len().min(capacity.saturating_sub(parts.bytes));
        if count == 0 || !(parts.is_running || will_start) {
            let old = parts.waker.replace(waker);
            drop(parts);
            drop(old);
            return Poll::Pending;
        }
        parts.bytes += count;
        parts.is_flushed = false;
        parts.is_running = true;
        match parts.chunks.back_mut() {
            Some(last) if last.len() + count <= CHUNK_BYTES => {
                last.extend_from_slice(&buf[..count])
            }
            _ => parts.chunks.push_back(buf[..count].to_vec()),
        }
        Poll::Ready(Ok(count))
    }

    /// The job: writes all there is, and flushes if somebody asks for it meanwhile.
    pub(super) fn drain(&self, io: &mut impl Write) {
        while let Some(step) = self.next_step() {
            let (count, result) = match step {
                Step::Write(chunk) => (chunk.len(), io.write_all(&chunk)),
                Step::Flush => (0, io.flush()),
            };
            self.done(count, result);
        }
    }

    fn next_step(&self) -> Option<Step> {
        let mut parts = lock(&self.0);
        if let Some(chunk) = parts.chunks.pop_front() {
            return Some(Step::Write(chunk));
        }
        if parts.wants_flush {
            parts.wants_flush = false;
            parts.is_flushed = true;
            return Some(Step::Flush);
        }
        parts.is_running = false;
        None
    }

    fn done(&self, count: usize, result: io::Result<()>) {
        let mut parts = lock(&self.0);
        parts.bytes -= count;
        if let Err(error) = result {
            parts.error.get_or_insert(error);
            // They would be written behind a gap.
            parts.chunks.clear();
            parts.bytes = 0;
        }
        let waker = parts.waker.take();
        drop(parts);
        waker.into_iter().for_each(Waker::wake);
    }
}

enum Step {
    Write(Vec<u8>),
    Flush,
}
