//! From and to async-net's types, so that both can live in one program.
//!
//! The descriptor is duplicated and registered with the other reactor. Clones that stay behind are the same connection still.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use crate::unix::{UnixDatagram, UnixListener, UnixStream};
use crate::{TcpListener, TcpStream, UdpSocket, sys};

macro_rules! both_ways {
    ($($ours:ident, $theirs:ty, $std:ty;)*) => {
        $(
            /// A duplicate, registered with this crate's reactor.
            ///
            /// # Errors
            ///
            /// EMFILE and the others of `dup(2)`, and as [`Async::new`](smolkit_runtime::Async::new).
            impl TryFrom<$theirs> for $ours {
                type Error = io::Error;

                fn try_from(socket: $theirs) -> io::Result<$ours> {
                    $ours::try_from(<$std>::from(socket.as_fd().try_clone_to_owned()?))
                }
            }

            /// The socket, or a duplicate while other clones live, registered with async-io's reactor.
            ///
            /// # Errors
            ///
            /// EMFILE and the others of `dup(2)`; those of async-io's registration.
            impl TryFrom<$ours> for $theirs {
                type Error = io::Error;

                fn try_from(socket: $ours) -> io::Result<$theirs> {
                    <$theirs>::try_from(<$std>::try_from(socket)?)
                }
            }
        )*
    };
}

both_ways! {
    TcpListener, async_net::TcpListener, std::net::TcpListener;
    TcpStream, async_net::TcpStream, std::net::TcpStream;
    UdpSocket, async_net::UdpSocket, std::net::UdpSocket;
    UnixListener, async_net::unix::UnixListener, std::os::unix::net::UnixListener;
    UnixStream, async_net::unix::UnixStream, std::os::unix::net::UnixStream;
}

/// A duplicate, registered with this crate's reactor.
///
/// # Errors
///
/// EMFILE and the others of `dup(2)`, and as [`Async::new`](smolkit_runtime::Async::new).
impl TryFrom<async_net::unix::UnixDatagram> for UnixDatagram {
    type Error = io::Error;

    fn try_from(socket: async_net::unix::UnixDatagram) -> io::Result<UnixDatagram> {
        // async-net 2 lends the descriptors of all types but this one, of which it tells the number.
        let fd = sys::with_fd(socket.as_raw_fd(), |fd| fd.try_clone_to_owned())?;
        UnixDatagram::try_from(fd)
    }
}

/// The socket, or a duplicate while other clones live, registered with async-io's reactor.
///
/// # Errors
///
/// EMFILE and the others of `dup(2)`; those of async-io's registration.
impl TryFrom<UnixDatagram> for async_net::unix::UnixDatagram {
    type Error = io::Error;

    fn try_from(socket: UnixDatagram) -> io::Result<async_net::unix::UnixDatagram> {
        async_net::unix::UnixDatagram::try_from(std::os::unix::net::UnixDatagram::try_from(socket)?)
    }
}
