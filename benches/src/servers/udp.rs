//! The floor for UDP: one thread that waits in `recvmmsg` and answers with `sendmmsg`.

use std::io;
use std::mem;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

/// Larger than a datagram.
pub const BUFFER_BYTES: usize = 2_048;
const BATCH: usize = 64;

pub fn echo(socket: &UdpSocket) -> io::Result<()> {
    let mut buffers = vec![[0u8; BUFFER_BYTES]; BATCH];
    // SAFETY: an address of zeros is one of no family.
    let mut names: [libc::sockaddr_in; BATCH] = unsafe { mem::zeroed() };
    let mut parts: Vec<libc::iovec> = buffers
        .iter_mut()
        .map(|buffer| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: 0 })
        .collect();
    let mut headers: Vec<libc::mmsghdr> = parts
        .iter_mut()
        .zip(&mut names)
        .map(|(part, name)| {
            // SAFETY: a header of zeros is one without address, buffers and control messages.
            let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
            header.msg_hdr.msg_name = (&raw mut *name).cast();
            header.msg_hdr.msg_namelen = size_of_val(name) as libc::socklen_t;
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
            header
        })
        .collect();
    loop {
        parts.iter_mut().for_each(|part| part.iov_len = BUFFER_BYTES);
        let (fd, first, wait) = (socket.as_raw_fd(), headers.as_mut_ptr(), libc::MSG_WAITFORONE);
        // SAFETY: each header describes a buffer and a name of its own, all of which live as long as this function.
        let count = unsafe { libc::recvmmsg(fd, first, BATCH as u32, wait, std::ptr::null_mut()) };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for (part, header) in parts.iter_mut().zip(&headers[..count]) {
            part.iov_len = header.msg_len as usize;
        }
        let mut sent = 0;
        while sent < count {
            let rest = headers[sent..count].as_mut_ptr();
            // SAFETY: as above.
            let some = unsafe { libc::sendmmsg(fd, rest, (count - sent) as u32, 0) };
            sent += usize::try_from(some).map_err(|_| io::Error::last_os_error())?;
        }
    }
}
