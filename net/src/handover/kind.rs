//! What a descriptor is, in words.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::net::{AddressFamily, SocketType, getsockname, sockopt};

/// `None` for what is no socket.
pub(super) fn of(fd: BorrowedFd<'_>) -> io::Result<Option<&'static str>> {
    let ty = match sockopt::socket_type(fd) {
        Ok(ty) => ty,
        Err(rustix::io::Errno::NOTSOCK) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let is_unix = match getsockname(fd)?.address_family() {
        AddressFamily::UNIX => true,
        AddressFamily::INET | AddressFamily::INET6 => false,
        _ => return Ok(Some("a socket that is neither IP nor Unix")),
    };
    let listens = (ty == SocketType::STREAM || ty == SocketType::SEQPACKET) && listens(fd)?;
    Ok(Some(match (is_unix, ty, listens) {
        (false, SocketType::STREAM, true) => TCP_LISTENER,
        (false, SocketType::STREAM, false) => TCP_STREAM,
        (false, SocketType::DGRAM, _) => UDP_SOCKET,
        (true, SocketType::STREAM, true) => UNIX_LISTENER,
        (true, SocketType::STREAM, false) => UNIX_STREAM,
        (true, SocketType::DGRAM, _) => UNIX_DATAGRAM,
        (true, SocketType::SEQPACKET, true) => UNIX_SEQPACKET_LISTENER,
        (true, SocketType::SEQPACKET, false) => "a Unix connection for sequenced packets",
        _ => "a socket of another type",
    }))
}

#[cfg(not(target_vendor = "apple"))]
fn listens(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(sockopt::socket_acceptconn(fd)?)
}

/// The system does not tell here: one that has no peer passes for a listener.
#[cfg(target_vendor = "apple")]
fn listens(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(rustix::net::getpeername(fd).is_err_and(|errno| errno == rustix::io::Errno::NOTCONN))
}

pub(super) const TCP_LISTENER: &str = "a TCP listener";
pub(super) const TCP_STREAM: &str = "a TCP socket that does not listen";
pub(super) const UDP_SOCKET: &str = "a UDP socket";
pub(super) const UNIX_LISTENER: &str = "a Unix listener";
pub(super) const UNIX_STREAM: &str = "a Unix stream that does not listen";
pub(super) const UNIX_DATAGRAM: &str = "a Unix datagram socket";
pub(super) const UNIX_SEQPACKET_LISTENER: &str = "a Unix listener for sequenced packets";
