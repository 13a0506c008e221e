//! A set of sockets with names.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;

use super::kind;
use crate::unix::{UnixDatagram, UnixListener, UnixSeqpacketListener, UnixStream};
use crate::{TcpListener, TcpStream, UdpSocket};

/// Sockets with names, on their way from one process to another. What is not taken out of it is closed when it is dropped.
///
/// Several sockets may have one name: they are taken in their order. `None` as a name stands for the next socket, whatever it is called.
///
/// # Limits
///
/// 253 sockets ([`FDS_MAX`](crate::unix::FDS_MAX)) with names of 255 bytes, where they go to another process.
///
/// # Examples
///
/// ```
/// use std::net::{TcpListener, UdpSocket};
/// use smolkit_net::handover::Sockets;
///
/// let (listener, socket) = (TcpListener::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
/// let mut sockets = Sockets::new();
/// sockets.add("http", &listener)?;
/// sockets.add("dns", &socket)?;
/// assert_eq!(sockets.names().collect::<Vec<_>>(), ["http", "dns"]);
///
/// let taken = sockets.tcp_listener("http")?.expect("it was added");
/// assert_eq!(taken.local_addr()?, listener.local_addr()?);
/// // What is something else stays in the set.
/// assert!(sockets.tcp_listener("dns").is_err());
/// assert_eq!(sockets.len(), 1);
/// # std::io::Result::Ok(())
/// ```
#[derive(Default)]
pub struct Sockets {
    pub(super) entries: Vec<Entry>,
    /// Who waits to hear that this process serves.
    pub(super) predecessor: Option<StdUnixStream>,
}

pub(super) struct Entry {
    pub(super) name: String,
    pub(super) fd: OwnedFd,
}

impl Sockets {
    /// None.
    pub fn new() -> Sockets {
        Sockets::default()
    }

    /// Adds a duplicate of a socket; both are the same socket for the system, with one queue.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a name that is empty, longer than 255 bytes, or contains a colon or a control character (`sd_listen_fds_with_names(3)`); EMFILE
    /// and the others of `dup(2)`.
    pub fn add<S: AsFd>(&mut self, name: &str, socket: &S) -> io::Result<()> {
        if name.is_empty()
            || name.len() > 255
            || name.contains(|c: char| c == ':' || c.is_control())
        {
            let message = format!(
                "cannot name a socket {name:?}: 1 to 255 bytes, no colon, no control characters"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let fd = socket.as_fd().try_clone_to_owned()?;
        self.entries.push(Entry { name: name.to_owned(), fd });
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// Takes a descriptor, whatever it is. systemd passes FIFOs and files too, if it is told to. `None` if there is none of this name.
    pub fn fd<'a>(&mut self, name: impl Into<Option<&'a str>>) -> Option<OwnedFd> {
        let index = self.find(name.into())?;
        Some(self.entries.remove(index).fd)
    }

    /// Tells the process that had the sockets before that this one serves now. Does nothing if they came from systemd, or if there are none.
    ///
    /// The predecessor then stops accepting. If the set is dropped before, it goes on as if nothing had happened.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` if the predecessor has ended meanwhile, and the others of `send(2)`; the sockets are this process's all the same. A second call does nothing.
    pub fn ready(&mut self) -> io::Result<()> {
        match self.predecessor.take() {
            Some(stream) => super::successor::say_ready(&stream),
            None => Ok(()),
        }
    }

    fn find(&self, name: Option<&str>) -> Option<usize> {
        match name {
            Some(name) => self.entries.iter().position(|entry| entry.name == name),
            None if self.entries.is_empty() => None,
            None => Some(0),
        }
    }

    fn take(&mut self, name: Option<&str>, wanted: &str) -> io::Result<Option<OwnedFd>> {
        let Some(index) = self.find(name) else { return Ok(None) };
        let Entry { name, fd } = &self.entries[index];
        let is = kind::of(fd.as_fd())?.unwrap_or("no socket");
        if is != wanted {
            let number = fd.as_raw_fd();
            let message =
                format!("cannot take `{name}` (descriptor {number}) as {wanted}: it is {is}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Ok(Some(self.entries.remove(index).fd))
    }
}

macro_rules! takers {
    ($($(#[$doc:meta])* $method:ident -> $socket:ident, $kind:ident;)*) => {
        impl Sockets {
            $(
                $(#[$doc])*
                ///
                /// Returns `None` if there is none of this name. It is in non-blocking mode from here on, for all processes that share it.
                ///
                /// # Errors
                ///
                /// `InvalidInput` if it is something else, which stays in the set; as [`Async::new`](smolkit_runtime::Async::new), and then it is closed.
                pub fn $method<'a>(
                    &mut self,
                    name: impl Into<Option<&'a str>>,
                ) -> io::Result<Option<$socket>> {
                    self.take(name.into(), kind::$kind)?.map($socket::try_from).transpose()
                }
            )*
        }
    };
}

takers! {
    /// Takes a TCP listener.
    tcp_listener -> TcpListener, TCP_LISTENER;
    /// Takes a TCP connection: what systemd passes where a service is started for each one (`Accept=yes`).
    tcp_stream -> TcpStream, TCP_STREAM;
    /// Takes a UDP socket.
    udp_socket -> UdpSocket, UDP_SOCKET;
    /// Takes a Unix listener.
    unix_listener -> UnixListener, UNIX_LISTENER;
    /// Takes a Unix connection: what systemd passes where a service is started for each one (`Accept=yes`).
    unix_stream -> UnixStream, UNIX_STREAM;
    /// Takes a Unix datagram socket.
    unix_datagram -> UnixDatagram, UNIX_DATAGRAM;
    /// Takes a Unix listener for sequenced packets.
    unix_seqpacket_listener -> UnixSeqpacketListener, UNIX_SEQPACKET_LISTENER;
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for Entry { name, fd } in &self.entries {
            map.entry(name, &fd.as_raw_fd());
        }
        map.finish()
    }
}
