//! The two directions of a stream socket, as values of their own.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::Shutdown;

use crate::stream::{StreamSocket, impl_read, impl_write};

/// The reading direction of a borrowed stream: the first half that `split` returns.
#[derive(Debug)]
pub struct ReadHalf<'a, S>(pub(crate) &'a S);

/// The writing direction of a borrowed stream: the second half that `split` returns.
#[derive(Debug)]
pub struct WriteHalf<'a, S>(pub(crate) &'a S);

/// The reading direction of a stream: the first half that `into_split` returns.
#[derive(Debug)]
pub struct OwnedReadHalf<S>(S);

/// The writing direction of a stream: the second half that `into_split` returns.
///
/// Dropping it ends the sending direction, so that the other end reads what is left and then the end, unless it is
/// [forgotten](OwnedWriteHalf::forget).
#[derive(Debug)]
pub struct OwnedWriteHalf<S: StreamSocket> {
    /// `None` only while it is taken out for good.
    stream: Option<S>,
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
    /// `NotConnected` if the connection is gone.
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
