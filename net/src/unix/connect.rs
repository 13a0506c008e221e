//! Connecting and binding, for every type of Unix socket.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::SocketAddrUnix;
use socket2::{Domain, Type};

use super::pauses::retry;
use crate::sockets::new_socket;

pub(super) async fn connect(addr: SocketAddrUnix, ty: Type) -> io::Result<OwnedFd> {
    let socket = new_socket(Domain::UNIX, ty, None)?;
    connect_socket(socket.into(), addr).await
}

pub(super) async fn connect_socket(socket: OwnedFd, addr: SocketAddrUnix) -> io::Result<OwnedFd> {
    retry(|| match rustix::net::connect(&socket, &addr) {
        // A signal came after the connection was made.
        Err(rustix::io::Errno::ISCONN) => Ok(()),
        result => Ok(result?),
    })
    .await?;
    Ok(socket)
}

/// A listening socket, with the longest queue that the system allows.
pub(super) fn listen(addr: &SocketAddrUnix, ty: Type) -> io::Result<OwnedFd> {
    let socket = new_socket(Domain::UNIX, ty, None)?;
    rustix::net::bind(&socket, addr)?;
    socket.listen(crate::sockets::BACKLOG)?;
    Ok(socket.into())
}
