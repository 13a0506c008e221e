//! The two directions of a stream socket, as values of their own.
//!
//! Reading and writing halves have the errors and the cancel safety of the stream that they come from.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::Shutdown;

use crate::stream::{StreamSocket, impl_read, impl_write};

/// The reading direction of a borrowed stream: the first half that `split` returns.
///
/// # Examples
///
/// ```
/// use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
/// use smolkit_net::unix::UnixStream;
/// # use smolkit_net::copy;
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let (mut stream, other) = UnixStream::pair()?;
/// #   let _echo = smolkit::spawn(async move { copy(&other, &other).await });
///     let (mut reader, mut writer) = stream.split();
///     // More than sockets hold: what `other` sends back is read while the rest is written.
///     let (question, mut answer) = (vec![7; 1 << 20], vec![0; 1 << 20]);
///     future::try_zip(writer.write_all(&question), reader.read_exact(&mut answer)).await?;
///     assert_eq!(answer, question);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct ReadHalf<'a, S>(pub(crate) &'a S);

/// The writing direction of a borrowed stream: the second half that `split` returns.
///
/// Dropping it tells the other end nothing; `close` ends the sending direction.
///
/// # Examples
///
/// See [`ReadHalf`].
#[derive(Debug)]
pub struct WriteHalf<'a, S>(pub(crate) &'a S);

/// The reading direction of a stream: the first half that `into_split` returns.
///
/// Dropping it tells the other end nothing.
///
/// # Examples
///
/// ```
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use smolkit_net::unix::UnixStream;
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let (one, mut other) = UnixStream::pair()?;
///     let (mut reader, mut writer) = one.into_split();
///     let reading = smolkit::spawn(async move {
///         let mut buffer = [0; 4];
///         reader.read_exact(&mut buffer).await?;
///         std::io::Result::Ok(buffer)
///     });
///     writer.write_all(b"ping").await?;
///     // The other end learns that this is all.
///     drop(writer);
///     let mut text = String::new();
///     other.read_to_string(&mut text).await?;
///     other.write_all(b"pong").await?;
///     assert_eq!((text.as_str(), &reading.await?), ("ping", b"pong"));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct OwnedReadHalf<S>(S);

/// The writing direction of a stream: the second half that `into_split` returns.
///
/// Dropping it ends the sending direction, so that the other end reads what is left and then the end, unless it is
/// [forgotten](OwnedWriteHalf::forget).
///
/// # Examples
///
/// See [`OwnedReadHalf`].
#[derive(Debug)]
pub struct OwnedWriteHalf<S: StreamSocket> {
    /// `None` only while it is taken out for good.
    stream: Option<S>,
}

impl<S> ReadHalf<'_, S> {
    /// The stream, for what concerns both directions: addresses, options, [`peek`](crate::TcpStream::peek).
    pub fn stream(&self) -> &S {
        self.0
    }
}

impl<S> WriteHalf<'_, S> {
    /// The stream, for what concerns both directions: addresses, options.
    pub fn stream(&self) -> &S {
        self.0
    }
}

pub(crate) fn owned<S: StreamSocket>(stream: S) -> (OwnedReadHalf<S>, OwnedWriteHalf<S>) {
    (OwnedReadHalf(stream.clone()), OwnedWriteHalf { stream: Some(stream) })
}

impl<S: StreamSocket> OwnedReadHalf<S> {
    /// Puts the halves together again.
    ///
    /// # Errors
    ///
    /// Both halves, if they come from different streams.
    ///
    /// # Examples
    ///
    /// ```
    /// use smolkit_net::unix::UnixStream;
    ///
    /// let (one, other) = UnixStream::pair()?;
    /// let ((reader, writer), (reader2, writer2)) = (one.into_split(), other.into_split());
    /// let error = reader.reunite(writer2).unwrap_err();
    /// let one = error.0.reunite(writer)?;
    /// # drop((one, reader2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reunite(self, write: OwnedWriteHalf<S>) -> Result<S, ReuniteError<S>> {
        if !self.0.is_same(write.stream()) {
            return Err(ReuniteError(self, write));
        }
        write.forget();
        Ok(self.0)
    }

    /// The stream, for what concerns both directions: addresses, options.
    pub fn stream(&self) -> &S {
        &self.0
    }
}

impl<S: StreamSocket> OwnedWriteHalf<S> {
    /// As [`OwnedReadHalf::reunite`].
    ///
    /// # Errors
    ///
    /// Both halves, if they come from different streams.
    pub fn reunite(self, read: OwnedReadHalf<S>) -> Result<S, ReuniteError<S>> {
        read.reunite(self)
    }

    /// Drops this half without ending the sending direction; it ends when the stream's last handle is dropped.
    pub fn forget(mut self) {
        self.stream = None;
    }

    /// Ends the sending direction, as dropping does, and reports the error.
    ///
    /// # Errors
    ///
    /// As `shutdown` of the stream: `NotConnected` if a TCP connection is gone.
    pub fn shutdown(mut self) -> io::Result<()> {
        let result = self.stream().shut(Shutdown::Write);
        self.stream = None;
        result
    }

    /// The stream, for what concerns both directions: addresses, options.
    pub fn stream(&self) -> &S {
        self.stream.as_ref().expect("only methods that consume the half empty it")
    }
}

impl<S: StreamSocket> Drop for OwnedWriteHalf<S> {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            // The connection may be gone already; nobody is there to be told.
            let _ = stream.shut(Shutdown::Write);
        }
    }
}

impl_read!([S: StreamSocket] ReadHalf<'_, S>, |this| this.0);
impl_write!([S: StreamSocket] WriteHalf<'_, S>, |this| this.0);
impl_read!([S: StreamSocket] OwnedReadHalf<S>, |this| &this.0);
impl_write!([S: StreamSocket] OwnedWriteHalf<S>, |this| this.stream());

/// The halves come from different streams; here they are again.
///
/// # Examples
///
/// See [`OwnedReadHalf::reunite`].
pub struct ReuniteError<S: StreamSocket>(pub OwnedReadHalf<S>, pub OwnedWriteHalf<S>);

impl<S: StreamSocket> fmt::Debug for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReuniteError(..)")
    }
}

impl<S: StreamSocket> fmt::Display for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot reunite the halves: they come from different streams")
    }
}

impl<S: StreamSocket> Error for ReuniteError<S> {}
