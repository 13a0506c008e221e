//! Moving a part of a file to a stream socket.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{FileType, fstat};
use smolkit_runtime::unblock;

use super::CopySource;
use super::source::Source;
use crate::stream::StreamSocket;

/// What is read at a time where the kernel does not send by itself.
const BUFFER_BYTES: usize = 256 * 1024;

/// A part of a regular file, for [`copy`](crate::copy): the file is anything with a descriptor, of `std`, of ours or of others.
///
/// The bytes go from the page cache to the socket inside the kernel (`sendfile(2)`). What is not in the cache is read on a thread that may block, and so is
/// everything where the system does not allow that. The file's own position does not matter, and stays as it is. What a buffered writer still holds is not in the
/// file yet: flush it first.
///
/// # Limits
///
/// 256 KiB of memory while bytes have to be read from the disk.
///
/// # Cancel safety
///
/// A copy that is dropped has sent an unknown part of the range.
///
/// # Errors
///
/// `InvalidInput` if it is no regular file; those of reading and of writing. A file that ends before the range does is no error: the copy says
/// how many bytes there were.
///
/// # Panics
///
/// If something has to be read on a thread after [`blocking::shutdown`](smolkit_runtime::blocking::shutdown).
///
/// # Platform
///
/// On Linux `sendfile`, but in programs that have set SIGPIPE back to its default (it could not be told to spare them); elsewhere a thread reads.
///
/// # Examples
///
/// ```
/// use smolkit_net::unix::UnixStream;
/// use smolkit_net::{FileRange, copy};
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let file = std::fs::File::open("Cargo.toml")?;
///     let (socket, peer) = UnixStream::pair()?;
///     assert_eq!(copy(&FileRange::new(&file, 1..8), &socket).await?, 7);
/// #   drop(peer);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub struct FileRange<F> {
    file: F,
    start: u64,
    end: u64,
}

impl<F: AsFd> FileRange<F> {
    /// These bytes of the file: `..` are all, `100..` those that come after the first hundred. A range that ends before it begins is empty.
    pub fn new(file: F, range: impl RangeBounds<u64>) -> FileRange<F> {
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => u64::MAX,
        };
        FileRange { file, start, end }
    }
}

impl<F> fmt::Debug for FileRange<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileRange({}..{})", self.start, self.end)
    }
}

impl<F: AsFd + Sync> CopySource for FileRange<F> {}

impl<F: AsFd + Sync> Source for FileRange<F> {
    async fn copy_to<W: StreamSocket>(&self, to: &W) -> io::Result<u64> {
        let file = self.file.as_fd();
        let stat = fstat(file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            let message = "cannot copy a range of what is no regular file";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let mut kernel = kernel::Sender::new(stat.st_size as u64);
        let mut reader = None;
        let mut at = self.start;
        let end = self.end.min(OFFSET_MAX);
        while at < end {
            let wanted = end - at;
            let count = match kernel.send(file, at, wanted, to).await? {
                Some(count) => count,
                None => {
                    let reader = match &mut reader {
                        Some(reader) => reader,
                        None => reader.insert(Reader::new(file.try_clone_to_owned()?)),
                    };
                    let count = reader.read(at, wanted).await?;
                    write_all(to, &reader.buffer[..count]).await?;
                    count
                }
            };
            if count == 0 {
                break;
            }
            at += count as u64;
        }
        // Nothing has been sent if the range is empty.
        Ok(at - self.start)
    }
}

/// No file goes further, and no call takes more.
const OFFSET_MAX: u64 = i64::MAX as u64;

/// Reads on a thread that may block.
struct Reader {
    file: Arc<OwnedFd>,
    buffer: Vec<u8>,
}

impl Reader {
    fn new(file: OwnedFd) -> Reader {
        Reader { file: Arc::new(file), buffer: vec![0; BUFFER_BYTES] }
    }

    async fn read(&mut self, at: u64, wanted: u64) -> io::Result<usize> {
        let len = wanted.min(BUFFER_BYTES as u64) as usize;
        let file = self.file.clone();
        let mut buffer = std::mem::take(&mut self.buffer);
        let (result, buffer) = unblock(move || {
            let result = loop {
                match rustix::io::pread(&*file, &mut buffer[..len], at) {
                    Err(rustix::io::Errno::INTR) => {}
                    result => break result,
                }
            };
            (result, buffer)
        })
        .await;
        self.buffer = buffer;
        Ok(result?)
    }
}

async fn write_all<W: StreamSocket>(to: &W, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = poll_fn(|cx| to.poll_send(cx, bytes)).await?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[count..];
    }
    Ok(())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod kernel {
    use std::io::{self, IoSliceMut};
    use std::os::fd::BorrowedFd;

    use rustix::fs::sendfile;
    use rustix::io::{Errno, ReadWriteFlags, preadv2};

    use crate::stream::StreamSocket;

    /// What is sent at a time: enough that looking whether it is cached costs little beside it.
    const CHUNK_BYTES: u64 = 512 * 1024;

    pub(super) struct Sender {
        is_refused: bool,
        /// Where the file ended when the copy began.
        end: u64,
    }

    impl Sender {
        pub(super) fn new(end: u64) -> Sender {
            Sender { is_refused: !crate::sys::ignores_sigpipe(), end }
        }

        /// Sends what the socket takes of the next bytes; `None` if somebody else has to read them. 0 is the end of the file.
        pub(super) async fn send<S: StreamSocket>(
            &mut self,
            file: BorrowedFd<'_>,
            at: u64,
            wanted: u64,
            to: &S,
        ) -> io::Result<Option<usize>> {
            let len = wanted.min(CHUNK_BYTES);
            // Behind its end nothing has to be read, whatever has to be before; a file that has grown goes on.
            let present = if at < self.end { len.min(self.end - at) } else { len };
            if self.is_refused || !is_cached(file, at + (present - 1)) {
                return Ok(None);
            }
            // A short count says nothing: the file may end there.
            let result = to.io().write_with(|io| {
                let mut offset = at;
                Ok(sendfile(io, file, Some(&mut offset), len as usize)?)
            });
            match result.await {
                Ok(count) => Ok(Some(count)),
                Err(error) if is_refusal(&error) => {
                    self.is_refused = true;
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        }
    }

    /// Whether this byte can be had without the disk, and then the ones before it most likely too, as files are read from their beginning. Where the
    /// filesystem does not tell, it cannot.
    fn is_cached(file: BorrowedFd<'_>, at: u64) -> bool {
        let mut byte = [0];
        let mut bufs = [IoSliceMut::new(&mut byte)];
        preadv2(file, &mut bufs, at, ReadWriteFlags::NOWAIT).is_ok()
    }

    fn is_refusal(error: &io::Error) -> bool {
        // EOVERFLOW: behind the end of all files, where a read finds nothing.
        let refusals = [Errno::INVAL, Errno::NOSYS, Errno::PERM, Errno::OPNOTSUPP, Errno::OVERFLOW];
        refusals.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
    }
}

/// The other systems' `sendfile` is another one each.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod kernel {
    use std::io;
    use std::os::fd::BorrowedFd;

    use crate::stream::StreamSocket;

    pub(super) struct Sender;

    impl Sender {
        pub(super) fn new(_: u64) -> Sender {
            Sender
        }

        pub(super) async fn send<S: StreamSocket>(
            &mut self,
            _: BorrowedFd<'_>,
            _: u64,
            _: u64,
            _: &S,
        ) -> io::Result<Option<usize>> {
            Ok(None)
        }
    }
}
