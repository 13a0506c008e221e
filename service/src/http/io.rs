//! The socket as hyper sees it: what detection has read comes first, and waits for the client are noted.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use smolkit_net::TcpStream;

use super::activity::Activity;
use super::clock;
use super::detect::Protocol;
use super::patience::Patience;

pub(super) struct Io {
    stream: TcpStream,
    prefix: Vec<u8>,
    prefix_read: usize,
    protocol: Protocol,
    activity: Arc<Activity>,
    patience: Patience,
}

impl Io {
    pub(super) fn new(
        stream: TcpStream,
        prefix: Vec<u8>,
        protocol: Protocol,
        activity: Arc<Activity>,
    ) -> Io {
        Io { stream, prefix, prefix_read: 0, protocol, activity, patience: Patience::default() }
    }

    fn note_write(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Pending => {
                if let Some(deadline) = self.patience.wait(clock::now(), self.activity.stall()) {
                    self.activity.owes(deadline);
                }
            }
            Poll::Ready(Ok(bytes)) => self.settle(bytes),
            Poll::Ready(Err(_)) => {}
        }
        result
    }

    fn settle(&mut self, bytes: usize) {
        if self.patience.is_waiting() {
            self.activity.settled();
        }
        self.patience.moved(clock::now, bytes);
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        if self.patience.is_waiting() {
            self.activity.settled();
        }
    }
}

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let left = &this.prefix[this.prefix_read..];
        if !left.is_empty() {
            let count = left.len().min(buf.remaining());
            buf.put_slice(&left[..count]);
            this.prefix_read += count;
            if this.prefix_read == this.prefix.len() {
                this.prefix = Vec::new();
                this.prefix_read = 0;
            }
            return Poll::Ready(Ok(()));
        }
        let result = Pin::new(&mut this.stream).poll_read(cx, buf);
        if this.protocol == Protocol::Http1 && result.is_ready() {
            this.activity.head_begins();
        }
        result
    }
}

impl Write for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Write::poll_write(Pin::new(&mut self.stream), cx, buf);
        self.note_write(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Write::poll_write_vectored(Pin::new(&mut self.stream), cx, bufs);
        self.note_write(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when nothing is left to write.
        if self.patience.is_waiting() {
            self.activity.settled();
        }
        self.patience = Patience::default();
        Write::poll_flush(Pin::new(&mut self.stream), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Write::poll_shutdown(Pin::new(&mut self.stream), cx)
    }
}
