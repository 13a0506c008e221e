//! Which types may be read and written through an `Async` of their own.

use std::borrow::Cow;
use std::io::{BufReader, BufWriter, LineWriter, Read, Write};
use std::rc::Rc;
use std::sync::Arc;

/// Types whose I/O traits never exchange the file descriptor.
///
/// [`Async<T>`](crate::Async) implements the async I/O traits for these only. (`&Async<T>` implements them for every `T` that is read and
/// written through a shared reference: nothing can be exchanged there.)
///
/// # Safety
///
/// `Read` and `Write`, called on a mutable reference, must not close the file descriptor or put another one in its place.
///
/// # Examples
///
/// A type of one's own:
///
/// ```
/// use std::io::{self, Read};
/// use std::os::fd::{AsFd, BorrowedFd};
/// use std::os::unix::net::UnixStream;
/// use smolkit_runtime::{Async, IoSafe, block_on};
/// use futures_lite::AsyncReadExt;
///
/// struct Counting { stream: UnixStream, total_bytes: usize }
///
/// impl AsFd for Counting {
///     fn as_fd(&self) -> BorrowedFd<'_> { self.stream.as_fd() }
/// }
///
/// impl Read for Counting {
///     fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
///         let count = self.stream.read(buffer)?;
///         self.total_bytes += count;
///         Ok(count)
///     }
/// }
///
/// // SAFETY: `read` leaves `stream` where it is.
/// unsafe impl IoSafe for Counting {}
///
/// let (stream, mut peer) = UnixStream::pair()?;
/// io::Write::write_all(&mut peer, b"seven!!")?;
/// drop(peer);
/// let mut counting = Async::new(Counting { stream, total_bytes: 0 })?;
/// block_on(counting.read_to_end(&mut Vec::new()))?;
/// assert_eq!(counting.get_ref().total_bytes, 7);
/// # std::io::Result::Ok(())
/// ```
pub unsafe trait IoSafe {}

macro_rules! io_safe {
    ($($(#[$note:meta])* $type:ty),* $(,)?) => {
        $(
            $(#[$note])*
            // SAFETY: the type owns its descriptor for life, and reading and writing do not touch that ownership.
            unsafe impl IoSafe for $type {}
        )*
    };
}

io_safe! {
    std::fs::File, std::io::Stderr, std::io::Stdin, std::io::Stdout, std::io::StderrLock<'_>, std::io::StdinLock<'_>,
    std::io::StdoutLock<'_>, std::net::TcpStream, std::process::ChildStdin, std::process::ChildStdout,
    std::process::ChildStderr, std::os::unix::net::UnixStream,
    // Where the build script finds them.
    #[cfg(smolkit_std_pipe)] #[allow(clippy::incompatible_msrv)] std::io::PipeReader,
    #[cfg(smolkit_std_pipe)] #[allow(clippy::incompatible_msrv)] std::io::PipeWriter,
}

// SAFETY: through a shared reference the descriptor cannot be exchanged.
unsafe impl<T: ?Sized> IoSafe for &T {}
// SAFETY: what the reference reaches is `IoSafe`.
unsafe impl<T: IoSafe + ?Sized> IoSafe for &mut T {}
// SAFETY: what the box holds is `IoSafe`.
unsafe impl<T: IoSafe + ?Sized> IoSafe for Box<T> {}
// SAFETY: what is shared cannot be exchanged by reading and writing; only std implements these for an `Arc`, and through `&T`.
unsafe impl<T: IoSafe + ?Sized> IoSafe for Arc<T> {}
// SAFETY: as for `Arc`.
unsafe impl<T: IoSafe + ?Sized> IoSafe for Rc<T> {}
// SAFETY: reading and writing go to the `IoSafe` value, borrowed or owned. Only `to_mut` exchanges one for the other, and nobody reaches that
// through `Read` or `Write`.
unsafe impl<T: Clone + IoSafe> IoSafe for Cow<'_, T> {}
// SAFETY: what the reader wraps is `IoSafe`, and the buffer does not touch the descriptor.
unsafe impl<T: IoSafe + Read> IoSafe for BufReader<T> {}
// SAFETY: what the writer wraps is `IoSafe`, and the buffer does not touch the descriptor.
unsafe impl<T: IoSafe + Write> IoSafe for BufWriter<T> {}
// SAFETY: what the writer wraps is `IoSafe`, and the buffer does not touch the descriptor.
unsafe impl<T: IoSafe + Write> IoSafe for LineWriter<T> {}
