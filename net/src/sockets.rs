//! Sockets as they come into being: non-blocking, and inherited by no child.

use std::io;

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
