//! System calls that neither std, rustix nor socket2 offers.

#![allow(unsafe_code)]

pub(crate) mod batch;

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::{self, ManuallyDrop, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::{Errno, FdFlags, fcntl_dupfd_cloexec, fcntl_getfd, fcntl_setfd};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

/// The first number that is no standard stream. Source: `SD_LISTEN_FDS_START`.
pub(crate) const FIRST_FD: RawFd = 3;

/// Becomes the owner of a descriptor that this process has got from its parent, and marks it to be closed by `exec`.
///
/// What this process has opened itself, or has taken over before, is marked already, and refused. A standard stream moves to another number, and `/dev/null`
/// takes its place: whatever got that number next would be read from and written to by all who use standard streams.
pub(crate) fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    let refused = |why| {
        let message = format!("cannot take over descriptor {number}: {why}");
        io::Error::new(io::ErrorKind::InvalidData, message)
    };
    let flags = with_fd(number, |fd| fcntl_getfd(fd)).map_err(|errno| match errno {
        Errno::BADF => refused("it is not open"),
        errno => errno.into(),
    })?;
    if flags.contains(FdFlags::CLOEXEC) {
        return Err(refused("this process has opened it, or has taken it over before"));
    }
    // SAFETY: it is open, and came through `exec`, as nothing does that std opens; our parent says that it is left to us, and the callers
    // take nothing twice. So nobody else here owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    let vacate: fn(OwnedFd) -> rustix::io::Result<()> = match number {
        libc::STDIN_FILENO => |null| dup2_stdin(null),
        libc::STDOUT_FILENO => |null| dup2_stdout(null),
        libc::STDERR_FILENO => |null| dup2_stderr(null),
        _ => {
            fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
            return Ok(fd);
        }
    };
    // Standard streams have no owner: they are never closed, only replaced.
    let standard = ManuallyDrop::new(fd);
    let moved = fcntl_dupfd_cloexec(&*standard, FIRST_FD)?;
    vacate(File::options().read(true).write(true).open("/dev/null")?.into())?;
    Ok(moved)
}

/// Asks the system about a number that may be no descriptor at all.
pub(crate) fn with_fd<T>(number: RawFd, ask: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
    // A `BorrowedFd` cannot be -1. The greatest number is never open either.
    let number = if number < 0 { RawFd::MAX } else { number };
    // SAFETY: the callers' questions change nothing, and if it is not open the system says so.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    ask(fd)
}

/// `recvmsg` without room for control messages. The flag: some came with the last of these bytes and are gone.
pub(crate) fn recvmsg_uninit(
    fd: BorrowedFd<'_>,
    buf: &mut [MaybeUninit<u8>],
) -> io::Result<(usize, bool)> {
    let mut iov = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    // SAFETY: the one element describes `buf`, which is writable and borrowed for the call.
    unsafe { recvmsg(fd, &mut iov, 1) }
}

/// The same into several buffers, of which there must not be more than `IOV_MAX`.
pub(crate) fn recvmsg_vectored(
    fd: BorrowedFd<'_>,
    bufs: &mut [IoSliceMut<'_>],
) -> io::Result<(usize, bool)> {
    // SAFETY: `IoSliceMut` is guaranteed to have the layout of an iovec, and each borrows writable memory.
    unsafe { recvmsg(fd, bufs.as_mut_ptr().cast(), bufs.len()) }
}

/// # Safety
///
/// `iov` points to `count` elements that describe writable memory.
unsafe fn recvmsg(
    fd: BorrowedFd<'_>,
    iov: *mut libc::iovec,
    count: usize,
) -> io::Result<(usize, bool)> {
    // SAFETY: all zeroes are a `msghdr` without address, buffers and control messages.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = iov;
    header.msg_iovlen = count as _;
    // SAFETY: the header is valid, and what it points to is the caller's promise.
    let count = unsafe { libc::recvmsg(fd.as_raw_fd(), &mut header, 0) };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    Ok((count, header.msg_flags & libc::MSG_CTRUNC != 0))
}

/// Effective user and group of the process at the other end, and the process.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn peer_credentials(fd: BorrowedFd<'_>) -> io::Result<(u32, u32, Option<i32>)> {
    let mut credentials = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut len = mem::size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes of a struct of plain numbers.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &mut len,
        )
    };
    check(result)?;
    // An unconnected socket: nobody is there.
    if credentials.uid == u32::MAX {
        return Err(io::Error::from_raw_os_error(libc::ENOTCONN));
    }
    let pid = (credentials.pid != 0).then_some(credentials.pid);
    Ok((credentials.uid, credentials.gid, pid))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn peer_credentials(fd: BorrowedFd<'_>) -> io::Result<(u32, u32, Option<i32>)> {
    let (mut uid, mut gid) = (0, 0);
    // SAFETY: both point to variables of the right types.
    check(unsafe { libc::getpeereid(fd.as_raw_fd(), &mut uid, &mut gid) })?;
    Ok((uid, gid, None))
}

/// An option whose value is a number.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn set_option(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let len = mem::size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel reads `len` bytes of a number that lives until the call returns.
    let result =
        unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), len) };
    check(result).map(drop)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn option(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
) -> io::Result<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut len = mem::size_of_val(&value) as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes, to a number of that size.
    let result =
        unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, (&raw mut value).cast(), &mut len) };
    check(result).map(|_| value)
}

/// `linux/udp.h`; the crate libc has them not for every Linux.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) const SOL_UDP: libc::c_int = 17;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) const UDP_SEGMENT: libc::c_int = 103;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) const UDP_GRO: libc::c_int = 104;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Whether a write to a closed peer raises no signal.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn ignores_sigpipe() -> bool {
    // SAFETY: all zeroes are a valid `sigaction`; it is overwritten.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: nothing is set, and the present action is written to a variable of the right type.
    let result = unsafe { libc::sigaction(libc::SIGPIPE, std::ptr::null(), &mut action) };
    result == 0 && action.sa_sigaction != libc::SIG_DFL
}
