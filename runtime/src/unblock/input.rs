//! What has been taken from a value and not been asked for yet: bytes of a reader, items of an iterator.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::task::{Context, Poll, Waker};

use crate::sync::{Mutex, lock};

/// One call of `read` fetches so many bytes at most; what small ones fetch is put together up to here.
const CHUNK_BYTES: usize = 64 * 1024;

/// Shared by a job that fills it and the task that empties it.
pub(super) struct Input<C>(Mutex<Parts<C>>);

struct Parts<C> {
    chunks: VecDeque<C>,
    /// Of all chunks together: bytes, or items.
    len: usize,
    /// What follows the chunks, once the job has met it.
    end: Option<io::Result<()>>,
    waker: Option<Waker>,
    is_stopped: bool,
}

impl<C> Default for Input<C> {
    fn default() -> Self {
        Input(Mutex::new(Parts {
            chunks: VecDeque::new(),
            len: 0,
            end: None,
            waker: None,
            is_stopped: false,
        }))
    }
}

impl<C> Input<C> {
    /// How much waits.
    pub(super) fn len(&self) -> usize {
        lock(&self.0).len
    }

    /// The job is to return as soon as it can.
    pub(super) fn stop(&self) {
        lock(&self.0).is_stopped = true;
    }

    pub(super) fn clear(&self) {
        let mut parts = lock(&self.0);
        let old = std::mem::take(&mut parts.chunks);
        parts.len = 0;
        parts.end = None;
        drop(parts);
        // Items are foreign: they are dropped where nothing is locked.
        drop(old);
    }

    /// Whether a job that begins now would find work; it may begin then.
    pub(super) fn begin(&self, capacity: usize) -> bool {
        let mut parts = lock(&self.0);
        let is_wanted = parts.end.is_none() && parts.len <= capacity / 2;
        parts.is_stopped &= !is_wanted;
        is_wanted
    }

    /// Adds something, or the end. False if that was enough.
    fn push(&self, capacity: usize, add: impl FnOnce(&mut Parts<C>)) -> bool {
        let mut parts = lock(&self.0);
        add(&mut parts);
        let goes_on = parts.len < capacity && !parts.is_stopped && parts.end.is_none();
        let waker = parts.waker.take();
        drop(parts);
        waker.into_iter().for_each(Waker::wake);
        goes_on
    }

    /// `Pending` if there is nothing; the waker is called when there is.
    fn poll_parts<R>(
        &self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut Parts<C>) -> R,
    ) -> Poll<Result<R, io::Result<()>>> {
        let waker = cx.waker().clone();
        let mut parts = lock(&self.0);
        if !parts.chunks.is_empty() {
            return Poll::Ready(Ok(take(&mut parts)));
        }
        if let Some(end) = parts.end.take() {
            return Poll::Ready(Err(end));
        }
        let old = parts.waker.replace(waker);
        drop(parts);
        drop(old);
        Poll::Pending
    }
}

/// Bytes, and how many of them have been taken.
pub(super) type Bytes = (Vec<u8>, usize);

impl Input<Bytes> {
    /// Copies bytes out, or else takes the end: nothing more to read, or the error that stopped the job.
    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, io::Result<()>>> {
        self.poll_parts(cx, |parts| {
            let mut copied = 0;
            while let Some((bytes, taken)) = parts.chunks.front_mut() {
                let rest = &bytes[*taken..];
                let count = rest.len().min(buf.len() - copied);
                buf[copied..copied + count].copy_from_slice(&rest[..count]);
                copied += count;
                *taken += count;
                if *taken < bytes.len() {
                    break;
                }
                parts.chunks.pop_front();
            }
            parts.len -= copied;
            copied
        })
    }

    /// The job: reads until it has enough, meets the end or is told to stop.
    pub(super) fn fill(&self, io: &mut impl Read, capacity: usize) {
        let mut buffer = vec![0; CHUNK_BYTES.min(capacity)];
        loop {
            let result = match io.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(count) if count > buffer.len() => Err(io::Error::other(format!(
                    "a reader says that it has put {count} bytes into {}",
                    buffer.len()
                ))),
                result => result,
            };
            let goes_on = self.push(capacity, |parts| match result {
                Ok(0) => parts.end = Some(Ok(())),
                Ok(count) => {
                    parts.len += count;
                    match parts.chunks.back_mut() {
                        Some((last, _)) if last.len() + count <= CHUNK_BYTES => {
                            last.extend_from_slice(&buffer[..count]);
                        }
                        _ => parts.chunks.push_back((buffer[..count].to_vec(), 0)),
                    }
                }
                Err(error) => parts.end = Some(Err(error)),
            });
            if !goes_on {
                return;
            }
        }
    }
}

/// One item of an iterator.
pub(super) struct Item<I>(I);

impl<I> Input<Item<I>> {
    /// Takes the next item, or else the end.
    pub(super) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<I>> {
        let next = self.poll_parts(cx, |parts| {
            parts.len -= 1;
            parts.chunks.pop_front().map(|Item(item)| item)
        });
        next.map(|next| next.unwrap_or(None))
    }

    /// The job: takes items until it has enough, meets the end or is told to stop.
    pub(super) fn collect(&self, iter: &mut impl Iterator<Item = I>, capacity: usize) {
        loop {
            let next = iter.next();
            let goes_on = self.push(capacity, |parts| match next {
                Some(item) => {
                    parts.len += 1;
                    parts.chunks.push_back(Item(item));
                }
                None => parts.end = Some(Ok(())),
            });
            if !goes_on {
                return;
            }
        }
    }
}
