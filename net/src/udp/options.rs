//! What the kernel shall do with datagrams that arrive, and say about them.

use std::io;
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::os::fd::AsFd;

use super::UdpSocket;
#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::sys;

#[cfg(any(target_os = "linux", target_os = "android"))]
impl UdpSocket {
    /// Whether the kernel joins datagrams that come one after the other from the same peer and have the same length.
    ///
    /// # Errors
    ///
    /// ENOPROTOOPT before Linux 5.0; the others of `getsockopt(2)`.
    pub fn gro(&self) -> io::Result<bool> {
        Ok(sys::option(self.as_fd(), sys::SOL_UDP, sys::UDP_GRO)? != 0)
    }

    /// Sets what [`gro`](UdpSocket::gro) returns. From then on, receive with [`recv_batch`](UdpSocket::recv_batch) and buffers of 65,536 bytes: the
    /// other calls cannot tell where datagrams end.
    ///
    /// # Errors
    ///
    /// `Unsupported`, or ENOPROTOOPT, where there is no GRO: do without, nothing else changes. The others of `setsockopt(2)`.
    ///
    /// # Platform
    ///
    /// Linux from 5.0.
    pub fn set_gro(&self, gro: bool) -> io::Result<()> {
        sys::set_option(self.as_fd(), sys::SOL_UDP, sys::UDP_GRO, gro.into())
    }

    /// Whether [`recv_batch`](UdpSocket::recv_batch) gets the marks of congestion ([`Message::ecn`](super::Message::ecn)).
    ///
    /// # Errors
    ///
    /// Those of `getsockopt(2)`.
    pub fn recv_ecn(&self) -> io::Result<bool> {
        // IPv6 sockets have both, set together.
        Ok(sys::option(self.as_fd(), libc::IPPROTO_IP, libc::IP_RECVTOS)? != 0)
    }

    /// Sets what [`recv_ecn`](UdpSocket::recv_ecn) returns.
    ///
    /// # Errors
    ///
    /// `Unsupported` elsewhere than on Linux; those of `getsockname(2)` and `setsockopt(2)`.
    pub fn set_recv_ecn(&self, recv_ecn: bool) -> io::Result<()> {
        if self.local_addr()?.is_ipv6() {
            let (level, name) = (libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS);
            sys::set_option(self.as_fd(), level, name, recv_ecn.into())?;
        }
        // Also for IPv4 packets that come to an IPv6 socket.
        sys::set_option(self.as_fd(), libc::IPPROTO_IP, libc::IP_RECVTOS, recv_ecn.into())
    }

    /// Whether [`recv_batch`](UdpSocket::recv_batch) gets the addresses that datagrams were sent to ([`Message::to`](super::Message::to)): which of this host's, if the socket is bound to all of them.
    ///
    /// # Errors
    ///
    /// Those of `getsockopt(2)`.
    pub fn recv_to(&self) -> io::Result<bool> {
        let (level, name) = self.packet_info()?;
        Ok(sys::option(self.as_fd(), level, name)? != 0)
    }

    /// Sets what [`recv_to`](UdpSocket::recv_to) returns.
    ///
    /// # Errors
    ///
    /// `Unsupported` elsewhere than on Linux; those of `getsockname(2)` and `setsockopt(2)`.
    pub fn set_recv_to(&self, recv_to: bool) -> io::Result<()> {
        let (level, name) = self.packet_info()?;
        sys::set_option(self.as_fd(), level, name, recv_to.into())?;
        // Also for IPv4 packets that come to an IPv6 socket.
        sys::set_option(self.as_fd(), libc::IPPROTO_IP, libc::IP_PKTINFO, recv_to.into())
    }

    fn packet_info(&self) -> io::Result<(libc::c_int, libc::c_int)> {
        if self.local_addr()?.is_ipv6() {
            return Ok((libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO));
        }
        Ok((libc::IPPROTO_IP, libc::IP_PKTINFO))
    }
}

/// As on Linux, where they are described.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
impl UdpSocket {
    #[allow(missing_docs)]
    pub fn gro(&self) -> io::Result<bool> {
        Ok(false)
    }

    #[allow(missing_docs)]
    pub fn set_gro(&self, gro: bool) -> io::Result<()> {
        refused(gro, "datagrams are not joined (GRO)")
    }

    #[allow(missing_docs)]
    pub fn recv_ecn(&self) -> io::Result<bool> {
        Ok(false)
    }

    #[allow(missing_docs)]
    pub fn set_recv_ecn(&self, recv_ecn: bool) -> io::Result<()> {
        refused(recv_ecn, "marks of congestion are not received")
    }

    #[allow(missing_docs)]
    pub fn recv_to(&self) -> io::Result<bool> {
        Ok(false)
    }

    #[allow(missing_docs)]
    pub fn set_recv_to(&self, recv_to: bool) -> io::Result<()> {
        refused(recv_to, "destinations are not received")
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn refused(is_wanted: bool, what: &str) -> io::Result<()> {
    if is_wanted {
        return Err(io::Error::new(io::ErrorKind::Unsupported, format!("{what} on this system")));
    }
    Ok(())
}
