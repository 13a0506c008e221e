//! Who is at the other end.

use std::io;
use std::os::fd::AsFd;

/// The process at the other end of a Unix socket, as it was when it called `connect` or `listen`, or made the pair.
///
/// A client of a service whose sockets come from elsewhere (systemd, a predecessor) so sees who began to listen, not who serves.
///
/// The kernel vouches for it; the process may have ended since, and its number may be another one's.
///
/// # Examples
///
/// ```
/// use smolkit_net::unix::UnixStream;
///
/// let (one, _other) = UnixStream::pair()?;
/// let peer = one.peer_cred()?;
/// assert_eq!(peer.uid(), rustix::process::geteuid().as_raw());
/// println!("process {:?} of group {}", peer.pid(), peer.gid());
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Credentials {
    uid: u32,
    gid: u32,
    pid: Option<i32>,
}

impl Credentials {
    /// The effective user.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The effective group.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// The process; `None` where the system does not tell.
    pub fn pid(&self) -> Option<i32> {
        self.pid
    }
}

pub(super) fn of(socket: impl AsFd) -> io::Result<Credentials> {
    let (uid, gid, pid) = crate::sys::peer_credentials(socket.as_fd())?;
    Ok(Credentials { uid, gid, pid })
}
