//! What has come from the transport beyond what rustls asked for.

use std::cell::Cell;
use std::io::{self, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::AsyncRead;

/// Beyond what rustls asks for, one read takes so much: two records.
const INBOX_BYTES: usize = 32 * 1024;

/// Who asks for so much gets it without a detour: in the middle of a stream of full records, where another copy would cost as much as the calls that it saves.
const DIRECT_BYTES_MIN: usize = 8 * 1024;

thread_local! {
    /// The buffer of whoever emptied his last on this thread.
    static SPARE: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Has a buffer only while there is something in it.
#[derive(Default)]
pub(crate) struct Inbox {
    buffer: Option<Box<[u8]>>,
    start: usize,
    end: usize,
}

impl Inbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_none()
    }

    /// Fills `buf` with what there is, or from the transport if there is nothing.
    pub(crate) fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut S,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if !self.is_empty() {
            return Poll::Ready(Ok(self.take(buf)));
        }
        if buf.len() >= DIRECT_BYTES_MIN {
            return Pin::new(io).poll_read(cx, buf);
        }
        // Taken out, so that a transport that is a TLS stream itself does not find it.
        let spare = SPARE.try_with(Cell::take).ok().flatten();
        let mut beyond = spare.unwrap_or_else(|| vec![0; INBOX_BYTES].into());
        let mut bufs = [IoSliceMut::new(buf), IoSliceMut::new(&mut beyond)];
        let polled = Pin::new(io).poll_read_vectored(cx, &mut bufs);
        match polled {
            Poll::Ready(Ok(count)) if count > buf.len() => {
                self.start = 0;
                self.end = (count - buf.len()).min(beyond.len());
                self.buffer = Some(beyond);
                Poll::Ready(Ok(buf.len()))
            }
            polled => {
                give_back(beyond);
                polled
            }
        }
    }

    fn take(&mut self, buf: &mut [u8]) -> usize {
        let Some(buffer) = self.buffer.take() else { return 0 };
        let count = buf.len().min(self.end - self.start);
        buf[..count].copy_from_slice(&buffer[self.start..self.start + count]);
        self.start += count;
        if self.start < self.end {
            self.buffer = Some(buffer);
        } else {
            give_back(buffer);
        }
        count
    }
}

fn give_back(buffer: Box<[u8]>) {
    // While the thread ends there is no place for it any more.
    let _ = SPARE.try_with(|spare| spare.set(Some(buffer)));
}
