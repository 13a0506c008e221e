//! Addresses of Unix sockets, from and to the form that system calls take.

use std::ffi::OsStr;
use std::io;
use std::mem::offset_of;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::sync::OnceLock;

use rustix::net::{SocketAddrAny, SocketAddrUnix};

/// A path; on Linux one that starts with a zero is a name of the abstract namespace, as in async-net.
pub(super) fn from_path(path: &Path) -> io::Result<SocketAddrUnix> {
    // The zero behind it would make it the shortest abstract name.
    if path.as_os_str().is_empty() {
        let message = "an empty path: give it one of a socket, or an abstract name";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(name) = path.as_os_str().as_bytes().strip_prefix(&[0]) {
        return Ok(SocketAddrUnix::new_abstract_name(name)?);
    }
    Ok(SocketAddrUnix::new(path)?)
}

pub(super) fn from_std(addr: &SocketAddr) -> io::Result<SocketAddrUnix> {
    if let Some(path) = addr.as_pathname() {
        return Ok(SocketAddrUnix::new(path)?);
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(name) = abstract_name(addr) {
        return Ok(SocketAddrUnix::new_abstract_name(name)?);
    }
    let message = "an unnamed address: give it a path or an abstract name";
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

/// The address of the other end of `stream`, as `accept` has told it.
pub(super) fn to_std(
    addr: Option<SocketAddrAny>,
    stream: &std::os::unix::net::UnixStream,
) -> io::Result<SocketAddr> {
    // A path that leaves no room for the zero behind it, which the system counts all the same: rustix 1.1.6 panics when it converts that, and std takes it from a
    // system call only.
    let len = |addr: &SocketAddrAny| addr.addr_len() as usize;
    if addr.as_ref().is_some_and(|addr| len(addr) > size_of::<libc::sockaddr_un>()) {
        return stream.peer_addr();
    }
    // Converted by rustix 1.1.6, an address of no more than the family is mistaken for a named one.
    let addr = addr
        .filter(|addr| len(addr) > offset_of!(libc::sockaddr_un, sun_path))
        .and_then(|addr| SocketAddrUnix::try_from(addr).ok());
    if let Some(path) = addr.as_ref().and_then(SocketAddrUnix::path) {
        return SocketAddr::from_pathname(OsStr::from_bytes(path.to_bytes()));
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(name) = addr.as_ref().and_then(SocketAddrUnix::abstract_name) {
        return from_abstract_name(name);
    }
    // std makes an unnamed address from a system call only: one is enough.
    static UNNAMED: OnceLock<SocketAddr> = OnceLock::new();
    if let Some(unnamed) = UNNAMED.get() {
        return Ok(unnamed.clone());
    }
    let addr = stream.peer_addr()?;
    if addr.is_unnamed() {
        let _ = UNNAMED.set(addr.clone());
    }
    Ok(addr)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn abstract_name(addr: &SocketAddr) -> Option<&[u8]> {
    #[cfg(target_os = "android")]
    use std::os::android::net::SocketAddrExt;
    #[cfg(target_os = "linux")]
    use std::os::linux::net::SocketAddrExt;
    addr.as_abstract_name()
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn from_abstract_name(name: &[u8]) -> io::Result<SocketAddr> {
    #[cfg(target_os = "android")]
    use std::os::android::net::SocketAddrExt;
    #[cfg(target_os = "linux")]
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}
