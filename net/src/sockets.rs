//! Sockets as they come into being: non-blocking, and inherited by no child.

use std::io;
use std::os::fd::OwnedFd;

use socket2::{Domain, Protocol, Socket, Type};

/// So many connections may wait to be accepted, or as many as the system allows (`net.core.somaxconn`); std's 128 overflow when many
/// clients come at once.
pub(crate) const BACKLOG: i32 = 4096;

#[cfg(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
))]
pub(crate) fn new_socket(
    domain: Domain,
    ty: Type,
    protocol: Option<Protocol>,
) -> io::Result<Socket> {
    Socket::new_raw(domain, ty.nonblocking().cloexec(), protocol)
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
)))]
pub(crate) fn new_socket(
    domain: Domain,
    ty: Type,
    protocol: Option<Protocol>,
) -> io::Result<Socket> {
    let socket = Socket::new(domain, ty, protocol)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Takes over a socket of one of these families and types, and makes it non-blocking.
pub(crate) fn adopted(fd: OwnedFd, domains: &[Domain], types: &[Type]) -> io::Result<Socket> {
    let socket = Socket::from(fd);
    let (domain, ty) = (socket.local_addr()?.domain(), socket.r#type()?);
    if !domains.contains(&domain) || !types.contains(&ty) {
        let message = format!("cannot take over a socket of another kind: {domain:?}, {ty:?}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}
