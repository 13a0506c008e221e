//! Between rustls and a transport: who is asked for bytes, and when.
//!
//! rustls keeps the state and the keys; this moves bytes. Two things make it cheaper than futures-rustls. When nothing is left over, rustls asks for 4 KiB first, and for 4 KiB more until it has
//! the record: five system calls for a full one. `inbox.rs` makes one of them. And what a server has to say after the handshake (its tickets) leaves together with the first
//! answer, unless the server waits first.

use std::io::{self, BufRead, IoSlice, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};

use futures_io::{AsyncRead, AsyncWrite};
use rustls::{Connection, ProtocolVersion};

use super::failure;
use super::inbox::Inbox;

pub(crate) struct Session {
    conn: Connection,
    inbox: Inbox,
    /// Bytes have come.
    has_heard: bool,
    /// Nothing may be written any more: `close_notify` is on its way.
    is_closed: bool,
    /// Who waits for the transport to take more. A reader that has something to send too must not take its place.
    writer: Option<Waker>,
}

impl Session {
    pub(crate) fn new(conn: Connection) -> Session {
        Session { conn, inbox: Inbox::default(), has_heard: false, is_closed: false, writer: None }
    }

    pub(crate) fn conn(&self) -> &Connection {
        &self.conn
    }

    pub(crate) fn has_heard(&self) -> bool {
        self.has_heard
    }

    /// Whether what rustls has to say at the end of the handshake may wait for what the program says: only tickets may.
    fn only_tickets_left(&self) -> bool {
        matches!(self.conn, Connection::Server(_))
            && self.conn.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    pub(crate) fn poll_handshake<S>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut S,
    ) -> Poll<io::Result<()>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        while self.conn.is_handshaking() {
            let sent = self.poll_send_through(cx, io);
            // Whoever refuses our bytes may have said why: that is the better error.
            let received = self.poll_receive(cx, io);
            match (sent, received) {
                (Poll::Ready(Err(error)), Poll::Pending | Poll::Ready(Ok(_))) => {
                    return Poll::Ready(Err(error));
                }
                (_, Poll::Ready(Err(error))) => return Poll::Ready(Err(error)),
                (_, Poll::Ready(Ok(0))) => {
                    let message = "TLS handshake failed: the peer has closed the connection";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, message)));
                }
                (_, Poll::Ready(Ok(_))) => {}
                (_, Poll::Pending) => return Poll::Pending,
            }
        }
        if self.only_tickets_left() {
            return Poll::Ready(Ok(()));
        }
        self.poll_send_through(cx, io)
    }

    /// Ready when there is something to read in [`plaintext`](Session::plaintext), or nothing will come any more.
    pub(crate) fn poll_fill<S>(&mut self, cx: &mut Context<'_>, io: &mut S) -> Poll<io::Result<()>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            match self.conn.reader().fill_buf() {
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            if let Poll::Ready(result) = self.poll_receive(cx, io) {
                result?;
                continue;
            }
            // Nothing comes before what is queued has left, perhaps.
            return match self.poll_send_beside(cx, io) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                _ => Poll::Pending,
            };
        }
    }

    /// What has come and is not read yet; empty at the end.
    pub(crate) fn plaintext(&mut self) -> io::Result<&[u8]> {
        self.conn.reader().into_first_chunk()
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.conn.reader().consume(count);
    }

    /// Encrypts, and sends what the transport takes. The next call waits for the rest, so no more than that is ever queued.
    pub(crate) fn poll_write<S>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut S,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if self.is_closed {
            let message = "cannot write to the TLS stream: it has been closed";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, message)));
        }
        loop {
            // Zero: rustls holds as much as it may for the transport.
            let count = self.conn.writer().write_vectored(bufs)?;
            let sent = self.poll_send(cx, io);
            match sent {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                _ if count > 0 || bufs.iter().all(|buf| buf.is_empty()) => {
                    return Poll::Ready(Ok(count));
                }
                Poll::Ready(Ok(())) => {}
                Poll::Pending => {
                    self.writer = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        }
    }

    pub(crate) fn poll_flush<S>(&mut self, cx: &mut Context<'_>, io: &mut S) -> Poll<io::Result<()>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let sent = self.poll_send_through(cx, io);
        self.writer = sent.is_pending().then(|| cx.waker().clone());
        sent
    }

    /// Says goodbye, and ends the sending direction of the transport. Reading goes on.
    pub(crate) fn poll_close<S>(&mut self, cx: &mut Context<'_>, io: &mut S) -> Poll<io::Result<()>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if !self.is_closed {
            self.conn.send_close_notify();
            self.is_closed = true;
        }
        ready!(self.poll_flush(cx, io))?;
        Pin::new(io).poll_close(cx)
    }

    /// For the reader: whoever waits to write is woken too, for there is one waker on the transport.
    fn poll_send_beside<S>(&mut self, cx: &mut Context<'_>, io: &mut S) -> Poll<io::Result<()>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if !self.conn.wants_write() {
            return Poll::Ready(Ok(()));
        }
        match self.writer.clone() {
            Some(writer) if !writer.will_wake(cx.waker()) => {
                let both = Waker::from(Arc::new(Both(writer, cx.waker().clone())));
                self.poll_send_through(&mut Context::from_waker(&both), io)
            }
            _ => self.poll_send_through(cx, io),
        }
    }

    /// Sends, and lets a transport that has buffers of its own send too.
    fn poll_send_through<S>(&mut self, cx: &mut Context<'_>, io: &mut S) -> Poll<io::Result<()>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        ready!(self.poll_send(cx, io))?;
        Pin::new(io).poll_flush(cx)
    }

    fn poll_send<S>(&mut self, cx: &mut Context<'_>, io: &mut S) -> Poll<io::Result<()>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        while self.conn.wants_write() {
            match self.conn.write_tls(&mut Outgoing { io, cx }) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.writer = None;
        Poll::Ready(Ok(()))
    }

    /// Gives rustls what has come. Zero: there will be no more.
    fn poll_receive<S>(&mut self, cx: &mut Context<'_>, io: &mut S) -> Poll<io::Result<usize>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let mut incoming = Incoming { inbox: &mut self.inbox, io, cx };
            let count = match self.conn.read_tls(&mut incoming) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            };
            self.has_heard |= count > 0;
            let state = match self.conn.process_new_packets() {
                Ok(state) => state,
                Err(error) => {
                    // The alert says why. That it cannot be sent is the lesser of two troubles.
                    let _ = self.poll_send_beside(cx, io);
                    return Poll::Ready(Err(failure::of_session(error)));
                }
            };
            // None is taken at the end of the stream, and of what comes after `close_notify`. With something to read rustls takes no more.
            if count == 0 || state.plaintext_bytes_to_read() > 0 || self.inbox.is_empty() {
                return Poll::Ready(Ok(count));
            }
        }
    }
}

/// Lets rustls read from a transport that says `Pending`.
struct Incoming<'a, 'b, S> {
    inbox: &'a mut Inbox,
    io: &'a mut S,
    cx: &'a mut Context<'b>,
}

impl<S: AsyncRead + Unpin> Read for Incoming<'_, '_, S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        or_would_block(self.inbox.poll_read(self.cx, self.io, buf))
    }
}

/// Lets rustls write to a transport that says `Pending`.
struct Outgoing<'a, 'b, S> {
    io: &'a mut S,
    cx: &'a mut Context<'b>,
}

impl<S: AsyncWrite + Unpin> Write for Outgoing<'_, '_, S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        or_would_block(Pin::new(&mut *self.io).poll_write(self.cx, buf))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        or_would_block(Pin::new(&mut *self.io).poll_write_vectored(self.cx, bufs))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn or_would_block(poll: Poll<io::Result<usize>>) -> io::Result<usize> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// Wakes a writer and a reader.
struct Both(Waker, Waker);

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
        self.1.wake_by_ref();
    }
}
