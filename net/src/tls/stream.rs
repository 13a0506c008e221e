//! A connection with TLS on it, and everybody's I/O traits.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};
use rustls::{CipherSuite, Connection, HandshakeKind, NamedGroup, ProtocolVersion};
use rustls_pki_types::CertificateDer;

use super::session::Session;

/// A connection with TLS on it, of a client or of a server, over any transport.
///
/// It comes from [`TlsConnector::connect`](super::TlsConnector::connect), [`TlsAcceptor::accept`](super::TlsAcceptor::accept) or a
/// [`TlsListener`](super::TlsListener); the handshake is done. `futures_lite::io::split` makes two halves for two tasks.
///
/// # Limits
///
/// It takes bytes from the transport only while somebody reads, at most 36 KiB at a time, and holds less than 64 KiB that are not read yet. It holds up to 64 KiB, encrypted,
/// that the transport has not taken; `write` waits then.
///
/// # The end
///
/// `close` says goodbye (`close_notify`) and ends the sending direction; reading goes on until the other end has said goodbye too. Dropping the stream
/// says nothing: to the other end that is a truncation.
///
/// # Cancel safety
///
/// A read or write that is dropped has moved nothing, unless it had returned. What a write has taken may not be sent yet: `flush` waits for that.
///
/// # Errors
///
/// `UnexpectedEof` when the transport ends without a goodbye: what was read may not be all. `InvalidData` with a [`TlsFailure`](super::TlsFailure) inside when the other
/// end breaks the protocol or sends an alert. `BrokenPipe` when writing after `close`. And those of the transport.
///
/// # Examples
///
/// ```
/// use futures_lite::io::{AsyncBufReadExt, AsyncWriteExt};
/// use futures_lite::future;
/// use smolkit_net::tls::{Identity, Roots, TlsAcceptor, TlsConnector};
/// use smolkit_net::unix::UnixStream;
/// # use smolkit_runtime as smolkit;
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// # let (certificate, key) = (certificate.as_bytes(), key.as_bytes());
/// # let acceptor = TlsAcceptor::builder(Identity::from_pem(certificate, key)?).alpn(["lines"]).build()?;
/// # let connector = TlsConnector::builder(Roots::pem(certificate)?).alpn(["lines"]).build()?;
///
/// smolkit::block_on(async {
///     let (one, other) = UnixStream::pair()?;
///     let client = async {
///         let mut stream = connector.connect("localhost", one).await?;
///         assert_eq!(stream.alpn_protocol(), Some(&b"lines"[..]));
///         stream.write_all(b"hello\n").await?;
///         stream.close().await
///     };
///     let server = async {
///         let mut stream = acceptor.accept(other).await?;
///         assert_eq!(stream.server_name(), Some("localhost"));
///         // It has a buffer of its own.
///         let mut line = String::new();
///         stream.read_line(&mut line).await?;
///         assert_eq!(line, "hello\n");
///         stream.close().await
///     };
///     future::try_zip(client, server).await
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub struct TlsStream<S> {
    io: S,
    session: Box<Session>,
}

impl<S> TlsStream<S> {
    pub(crate) fn new(io: S, session: Box<Session>) -> TlsStream<S> {
        TlsStream { io, session }
    }

    /// The transport, for its addresses and options.
    pub fn transport(&self) -> &S {
        &self.io
    }

    /// The protocol that both ends have agreed on (ALPN), such as `h2`.
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        self.session.conn().alpn_protocol()
    }

    /// Who the other end has proven to be: its certificate first, then those that lead to its issuer. `None` for a client that has presented none.
    ///
    /// After a resumed session they are those of the first one.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.session.conn().peer_certificates()
    }

    /// The name that the client asked for (SNI); on the client's side `None`.
    pub fn server_name(&self) -> Option<&str> {
        match self.session.conn() {
            Connection::Server(server) => server.server_name(),
            Connection::Client(_) => None,
        }
    }

    /// TLS 1.2 or 1.3.
    pub fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.session.conn().protocol_version()
    }

    /// The cipher suite.
    pub fn cipher_suite(&self) -> Option<CipherSuite> {
        self.session.conn().negotiated_cipher_suite().map(|suite| suite.suite())
    }

    /// How both ends have agreed on a key, such as `X25519MLKEM768`.
    pub fn key_exchange(&self) -> Option<NamedGroup> {
        self.session.conn().negotiated_key_exchange_group().map(|group| group.name())
    }

    /// Whether the session of an earlier connection was taken up again: without certificates and signatures.
    pub fn is_resumed(&self) -> bool {
        self.session.conn().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// What only both ends of this connection can know, as long as `output` (RFC 5705).
    ///
    /// # Errors
    ///
    /// Of kind `Other`, with rustls's inside: an empty `output`, or one that is too long.
    pub fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> io::Result<()> {
        let conn = self.session.conn();
        conn.export_keying_material(output, label, context).map_err(io::Error::other)?;
        Ok(())
    }
}

impl<S> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("protocol_version", &self.protocol_version())
            .field("cipher_suite", &self.cipher_suite())
            .field("alpn_protocol", &self.alpn_protocol().map(String::from_utf8_lossy))
            .finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// The other end may be gone already when it has said goodbye; then there is nobody to say it to.
    fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
        let result = ready!(self.session.poll_close(cx, &mut self.io));
        Poll::Ready(match result {
            Err(error) if error.kind() == NotConnected => Ok(()),
            Err(error)
                if matches!(error.kind(), BrokenPipe | ConnectionReset)
                    && self.session.plaintext().is_ok_and(<[u8]>::is_empty) =>
            {
                Ok(())
            }
            result => result,
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncBufRead for TlsStream<S> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.session.poll_fill(cx, &mut this.io))?;
        Poll::Ready(this.session.plaintext())
    }

    fn consume(self: Pin<&mut Self>, count: usize) {
        self.get_mut().session.consume(count);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let plaintext = ready!(self.as_mut().poll_fill_buf(cx))?;
        let count = plaintext.len().min(buf.len());
        buf[..count].copy_from_slice(&plaintext[..count]);
        self.session.consume(count);
        Poll::Ready(Ok(count))
    }
}

#[cfg(feature = "hyper")]
impl<S: AsyncRead + AsyncWrite + Unpin> hyper::rt::Read for TlsStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let plaintext = ready!(self.as_mut().poll_fill_buf(cx))?;
        let count = plaintext.len().min(buf.remaining());
        buf.put_slice(&plaintext[..count]);
        self.session.consume(count);
        Poll::Ready(Ok(()))
    }
}

#[cfg(feature = "tokio")]
impl<S: AsyncRead + AsyncWrite + Unpin> tokio::io::AsyncRead for TlsStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let plaintext = ready!(self.as_mut().poll_fill_buf(cx))?;
        let count = plaintext.len().min(buf.remaining());
        buf.put_slice(&plaintext[..count]);
        self.session.consume(count);
        Poll::Ready(Ok(()))
    }
}

macro_rules! write_methods {
    ($close:ident) => {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            let this = self.get_mut();
            this.session.poll_write(cx, &mut this.io, &[IoSlice::new(buf)])
        }

        /// Small buffers that come together leave in one record.
        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let this = self.get_mut();
            this.session.poll_write(cx, &mut this.io, bufs)
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            let this = self.get_mut();
            this.session.poll_flush(cx, &mut this.io)
        }

        /// Says goodbye, and ends the sending direction.
        fn $close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.get_mut().poll_goodbye(cx)
        }
    };
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    write_methods!(poll_close);
}

#[cfg(feature = "hyper")]
impl<S: AsyncRead + AsyncWrite + Unpin> hyper::rt::Write for TlsStream<S> {
    write_methods!(poll_shutdown);

    fn is_write_vectored(&self) -> bool {
        true
    }
}

#[cfg(feature = "tokio")]
impl<S: AsyncRead + AsyncWrite + Unpin> tokio::io::AsyncWrite for TlsStream<S> {
    write_methods!(poll_shutdown);

    fn is_write_vectored(&self) -> bool {
        true
    }
}
