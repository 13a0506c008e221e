//! Passing descriptors to another process (SCM_RIGHTS).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage,
};

use crate::stream::{IOV_MAX, NO_SIGNAL};

/// So many descriptors fit into one message (Linux's `SCM_MAX_FD`).
pub const FDS_MAX: usize = 253;

/// What came with descriptors.
///
/// # Examples
///
/// ```
/// use std::fs::File;
/// use std::io::{IoSlice, IoSliceMut};
/// use std::os::fd::AsFd;
/// use smolkit_net::unix::UnixStream;
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     // Mostly these are two processes.
///     let (one, other) = UnixStream::pair()?;
///     let file = File::open("Cargo.toml")?;
///     one.send_with_fds(&[IoSlice::new(b"file")], &[file.as_fd()]).await?;
///
///     let mut buffer = [0; 16];
///     let mut received = other.recv_with_fds(&mut [IoSliceMut::new(&mut buffer)]).await?;
///     assert_eq!(&buffer[..received.count], b"file");
///     let same = File::from(received.fds.remove(0));
///     assert_eq!(same.metadata()?.len(), file.metadata()?.len());
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Received {
    /// How many bytes were read.
    pub count: usize,
    /// The descriptors, closed when a program is executed. They are in the mode (blocking or not) that the sender has set.
    pub fds: Vec<OwnedFd>,
    /// Descriptors were lost: this process must not open that many.
    pub lost_fds: bool,
    /// The message was longer than the buffer, and its end is lost. Never with streams.
    pub lost_bytes: bool,
}

/// Those that go with a call, in a stream: not more than the system takes, from the first one with a byte on.
pub(super) fn first<'a, 'b>(bufs: &'b [IoSlice<'a>], is_stream: bool) -> &'b [IoSlice<'a>] {
    if !is_stream {
        return bufs;
    }
    let start = bufs.iter().position(|buf| !buf.is_empty()).unwrap_or(bufs.len());
    &bufs[start..bufs.len().min(start + IOV_MAX)]
}

/// Refuses what the system would refuse less clearly, or drop silently.
pub(super) fn check(fds: &[BorrowedFd<'_>], bytes: usize, is_stream: bool) -> io::Result<()> {
    let message = if fds.len() > FDS_MAX {
        format!("cannot send {} descriptors in one message: {FDS_MAX} at most", fds.len())
    } else if is_stream && bytes == 0 && !fds.is_empty() {
        "cannot send descriptors without a byte: in a stream they travel with data".to_owned()
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

pub(crate) fn check_fds(fds: &[BorrowedFd<'_>], bytes: usize) -> io::Result<()> {
    check(fds, bytes, true)
}

pub(crate) fn send(
    socket: impl AsFd,
    bufs: &[IoSlice<'_>],
    fds: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        let fits = control.push(SendAncillaryMessage::ScmRights(fds));
        debug_assert!(fits, "`check` has counted them");
    }
    Ok(rustix::net::sendmsg(socket, bufs, &mut control, NO_SIGNAL)?)
}

pub(crate) fn recv(socket: impl AsFd, bufs: &mut [IoSliceMut<'_>]) -> io::Result<Received> {
    // Room also for what else a program may have the kernel say, such as credentials.
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX + 64))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = rustix::net::recvmsg(socket, bufs, &mut control, CLOEXEC)?;
    let mut fds = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = part {
            fds.extend(some);
        }
    }
    #[cfg(target_vendor = "apple")]
    for fd in &fds {
        rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)?;
    }
    Ok(Received {
        count: message.bytes,
        fds,
        lost_fds: message.flags.contains(ReturnFlags::CTRUNC),
        lost_bytes: message.flags.contains(ReturnFlags::TRUNC),
    })
}

#[cfg(not(target_vendor = "apple"))]
const CLOEXEC: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(target_vendor = "apple")]
const CLOEXEC: RecvFlags = RecvFlags::empty();

/// The calls for sockets that have `inner: Arc<Async<_>>`.
macro_rules! fd_passing {
    ($socket:ident, $is_stream:literal) => {
        impl $socket {
            /// Sends bytes together with open descriptors, which the receiver gets as descriptors of its own.
            ///
            /// Returns how many bytes were taken; the descriptors went with the first of them.
            ///
            /// # Limits
            ///
            /// [`FDS_MAX`](crate::unix::FDS_MAX) descriptors. Of more than 1,024 buffers a stream takes the first ones; where messages have borders
            /// they are an error (EMSGSIZE).
            ///
            /// # Cancel safety
            ///
            /// A dropped call has sent nothing.
            ///
            /// # Errors
            ///
            /// `InvalidInput` for too many descriptors, or in a stream for descriptors without a byte; ETOOMANYREFS if too many are under
            /// way; the others of `sendmsg(2)`.
            ///
            /// # Examples
            ///
            /// See [`Received`](crate::unix::Received).
            pub async fn send_with_fds(
                &self,
                bufs: &[std::io::IoSlice<'_>],
                fds: &[std::os::fd::BorrowedFd<'_>],
            ) -> std::io::Result<usize> {
                let bufs = $crate::unix::fds::first(bufs, $is_stream);
                let bytes = bufs.iter().map(|buf| buf.len()).sum();
                $crate::unix::fds::check(fds, bytes, $is_stream)?;
                self.inner.write_with(|io| $crate::unix::fds::send(io, bufs, fds)).await
            }

            /// Waits for bytes and takes the descriptors that come with them. A plain read drops descriptors.
            ///
            /// # Cancel safety
            ///
            /// A dropped call has taken nothing out of the socket.
            ///
            /// # Errors
            ///
            /// Those of `recvmsg(2)`. Descriptors that this process has no room for are no error:
            /// [`lost_fds`](crate::unix::Received::lost_fds) tells.
            pub async fn recv_with_fds(
                &self,
                bufs: &mut [std::io::IoSliceMut<'_>],
            ) -> std::io::Result<$crate::unix::Received> {
                let count = match $is_stream {
                    true => bufs.len().min($crate::stream::IOV_MAX),
                    false => bufs.len(),
                };
                let bufs = &mut bufs[..count];
                self.inner.read_with(|io| $crate::unix::fds::recv(io, bufs)).await
            }
        }
    };
}

pub(super) use fd_passing;
