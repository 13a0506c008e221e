//! Many datagrams in a call: `recvmmsg`, `sendmmsg`, and what the control messages with them say.

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

/// So many messages go into a call: their headers take 24 KiB of the stack.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) const MESSAGES_MAX: usize = 64;

/// What the kernel says about a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) len: usize,
    pub(crate) from: SocketAddr,
    /// Of so many bytes each datagram is, but for the last one, if there are several.
    pub(crate) segment_bytes: Option<usize>,
    pub(crate) is_truncated: bool,
    /// The traffic class, its two bits for congestion among them.
    pub(crate) class: Option<u8>,
    /// Where it was sent to.
    pub(crate) to: Option<IpAddr>,
    /// What an answer can be sent from.
    pub(crate) local: Option<IpAddr>,
    /// The index of the interface that it came through.
    pub(crate) interface: Option<u32>,
}

/// Three numbers and an address, and as much again for options that the program has set by itself: time stamps, for example.
const CONTROL_BYTES: usize = 256;

/// Room for the control messages that there may be, aligned as they have to be.
#[repr(C, align(8))]
struct Control([MaybeUninit<u8>; CONTROL_BYTES]);

impl Control {
    fn new() -> Control {
        Control([MaybeUninit::uninit(); CONTROL_BYTES])
    }
}

/// Where the kernel puts what is no payload.
struct Room {
    iov: libc::iovec,
    /// The larger one of the two kinds of address.
    name: MaybeUninit<libc::sockaddr_in6>,
    control: Control,
}

impl Room {
    fn new(buffer: &mut [u8]) -> Room {
        Room {
            iov: libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() },
            name: MaybeUninit::uninit(),
            control: Control::new(),
        }
    }

    /// Points into `self`, which must not move while the header is in use.
    fn header(&mut self) -> libc::msghdr {
        let mut header = no_header();
        header.msg_name = self.name.as_mut_ptr().cast();
        header.msg_namelen = mem::size_of_val(&self.name) as libc::socklen_t;
        header.msg_iov = &mut self.iov;
        header.msg_iovlen = 1;
        header.msg_control = self.control.0.as_mut_ptr().cast();
        header.msg_controllen = mem::size_of_val(&self.control) as _;
        header
    }
}

fn no_header() -> libc::msghdr {
    // SAFETY: all zeroes are a `msghdr` without address, buffers and control messages.
    unsafe { mem::zeroed() }
}

/// Takes one message.
pub(crate) fn recv_one(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Arrival> {
    let mut room = Room::new(buffer);
    let mut header = room.header();
    // SAFETY: the header describes `room` and `buffer`, both writable and borrowed for the call.
    let len = unsafe { libc::recvmsg(fd.as_raw_fd(), &mut header, 0) };
    let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: `recvmsg` has filled the header, and `room` has neither moved nor been touched since.
    unsafe { arrival(&header, len) }
}

/// Takes as many messages as are there, at the most one for each `each` bytes of `buffers`; their number.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn recv_many(
    fd: BorrowedFd<'_>,
    buffers: &mut [u8],
    each: usize,
    arrivals: &mut Vec<Arrival>,
) -> io::Result<usize> {
    let mut rooms = [const { MaybeUninit::<Room>::uninit() }; MESSAGES_MAX];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; MESSAGES_MAX];
    let mut count = 0;
    let places = rooms.iter_mut().zip(&mut headers);
    for (buffer, (room, header)) in buffers.chunks_exact_mut(each).zip(places) {
        let msg_hdr = room.write(Room::new(buffer)).header();
        header.write(libc::mmsghdr { msg_hdr, msg_len: 0 });
        count += 1;
    }
    let (fd, first, now) = (fd.as_raw_fd(), headers.as_mut_ptr().cast(), std::ptr::null_mut());
    // SAFETY: the first `count` headers have been written; each describes a room and a part of `buffers` of its own, writable and borrowed for the
    // call.
    let received = unsafe { libc::recvmmsg(fd, first, count, 0, now) };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    for header in &headers[..received] {
        // SAFETY: no more than `count` come back, and those have been written.
        let header = unsafe { header.assume_init_ref() };
        // SAFETY: `recvmmsg` has filled the header, and its room has neither moved nor been touched since.
        arrivals.push(unsafe { arrival(&header.msg_hdr, header.msg_len as usize) }?);
    }
    Ok(received)
}

/// # Safety
///
/// A call has received into `header` successfully, and what it points to is as the call has left it.
unsafe fn arrival(header: &libc::msghdr, len: usize) -> io::Result<Arrival> {
    let mut arrival = Arrival {
        len,
        // SAFETY: the caller's promise.
        from: unsafe { address(header) }?,
        segment_bytes: None,
        is_truncated: header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0,
        class: None,
        to: None,
        local: None,
        interface: None,
    };
    // SAFETY: the caller's promise.
    unsafe { read_control(header, &mut arrival) };
    Ok(arrival)
}

/// # Safety
///
/// As `arrival`.
unsafe fn address(header: &libc::msghdr) -> io::Result<SocketAddr> {
    let (name, len) = (header.msg_name, header.msg_namelen as usize);
    let family = if len < mem::size_of::<libc::sockaddr_in>() {
        libc::AF_UNSPEC
    } else {
        // SAFETY: the kernel has written as much as an IPv4 address has at least, and the family is in the same place of every kind.
        let family = unsafe { (*name.cast::<libc::sockaddr>()).sa_family };
        libc::c_int::from(family)
    };
    match family {
        libc::AF_INET => {
            // SAFETY: there is an address of this kind, in a place that is aligned for the larger one.
            let name = unsafe { *name.cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
            Ok(SocketAddrV4::new(ip, u16::from_be(name.sin_port)).into())
        }
        libc::AF_INET6 if len >= mem::size_of::<libc::sockaddr_in6>() => {
            // SAFETY: the same with this kind.
            let name = unsafe { *name.cast::<libc::sockaddr_in6>() };
            let (ip, port) = (name.sin6_addr.s6_addr.into(), u16::from_be(name.sin6_port));
            Ok(SocketAddrV6::new(ip, port, name.sin6_flowinfo, name.sin6_scope_id).into())
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "a datagram from no IP address")),
    }
}

/// # Safety
///
/// As `arrival`.
#[cfg(any(target_os = "linux", target_os = "android"))]
unsafe fn read_control(header: &libc::msghdr, arrival: &mut Arrival) {
    // SAFETY: the header says how many bytes of control messages the kernel has written.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: null, or a control message that the kernel has written.
    while let Some(message) = unsafe { next.as_ref() } {
        match (message.cmsg_level, message.cmsg_type) {
            (super::SOL_UDP, super::UDP_GRO) => {
                // SAFETY: one that the kernel has written, and all bits are a number.
                let bytes = unsafe { value::<libc::c_int>(next) };
                arrival.segment_bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
            }
            // SAFETY: one that the kernel has written, and all bits are a number.
            (libc::IPPROTO_IP, libc::IP_TOS) => arrival.class = unsafe { value::<u8>(next) },
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                // SAFETY: one that the kernel has written, and all bits are a number.
                let class = unsafe { value::<libc::c_int>(next) };
                arrival.class = class.map(|class| class as u8);
            }
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // SAFETY: one that the kernel has written, and numbers are all that is in it.
                let info = unsafe { value::<libc::in_pktinfo>(next) };
                let ip = |addr: libc::in_addr| Ipv4Addr::from(u32::from_be(addr.s_addr)).into();
                // An IPv6 socket gets both kinds for such a datagram, and only this one knows its own address if that was sent to all.
                arrival.to = arrival.to.or(info.map(|info| ip(info.ipi_addr)));
                arrival.local = info.map(|info| ip(info.ipi_spec_dst));
                arrival.interface = info.and_then(|info| u32::try_from(info.ipi_ifindex).ok());
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                // SAFETY: one that the kernel has written, and numbers are all that is in it.
                let info = unsafe { value::<libc::in6_pktinfo>(next) };
                arrival.to = info.map(|info| IpAddr::from(info.ipi6_addr.s6_addr));
                arrival.local = arrival.local.or(arrival.to.filter(|ip| !ip.is_multicast()));
                // On Android it is signed.
                #[allow(clippy::useless_conversion)]
                let index = info.and_then(|info| u32::try_from(info.ipi6_ifindex).ok());
                arrival.interface = index;
            }
            _ => {}
        }
        // SAFETY: `message` is one of this header's.
        next = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
}

/// The data of a control message; `None` if there is less of it. Options that the program has set by itself bring messages of their own, and when they
/// have taken the room the kernel cuts the last one off (MSG_CTRUNC).
///
/// # Safety
///
/// The kernel has written `message`, in a buffer, with as much data as its length says. `T` may have any bits.
#[cfg(any(target_os = "linux", target_os = "android"))]
unsafe fn value<T: Copy>(message: *const libc::cmsghdr) -> Option<T> {
    // SAFETY: the caller's promise.
    let len: usize = unsafe { (*message).cmsg_len } as _;
    // SAFETY: arithmetic.
    let wanted = unsafe { libc::CMSG_LEN(mem::size_of::<T>() as libc::c_uint) } as usize;
    if len < wanted {
        return None;
    }
    // SAFETY: it is followed by its data, the caller's promise.
    let data = unsafe { libc::CMSG_DATA(message) };
    // SAFETY: there is as much, which the kernel has written.
    Some(unsafe { data.cast::<T>().read_unaligned() })
}

/// # Safety
///
/// None is needed here.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
unsafe fn read_control(_: &libc::msghdr, _: &mut Arrival) {}

/// One datagram, or several of `segment_bytes` each that the kernel cuts apart.
#[cfg_attr(not(any(target_os = "linux", target_os = "android")), expect(dead_code))]
pub(crate) struct Piece<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) to: Option<SocketAddr>,
    pub(crate) segment_bytes: Option<u16>,
    /// It belongs to the message of the piece before it, whose `segment_bytes` hold for it too.
    pub(crate) joins: bool,
    /// The traffic class, if not the socket's.
    pub(crate) class: Option<u8>,
    /// The address to send from, if not the system's choice.
    pub(crate) from: Option<IpAddr>,
}

#[cfg(any(target_os = "linux", target_os = "android"))]
struct Parcel {
    name: Option<socket2::SockAddr>,
    control: Control,
    control_bytes: usize,
}

/// Sends the messages of the first [`MESSAGES_MAX`] pieces up to the first one that fails; how many those are. An error is the first one's.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn send_many<'a>(
    fd: BorrowedFd<'_>,
    pieces: impl Iterator<Item = Piece<'a>>,
) -> io::Result<usize> {
    let mut parcels = [const { MaybeUninit::<Parcel>::uninit() }; MESSAGES_MAX];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; MESSAGES_MAX];
    let mut parts = [const { MaybeUninit::<libc::iovec>::uninit() }; MESSAGES_MAX];
    let mut count = 0;
    let mut places = parcels.iter_mut().zip(&mut headers);
    let mut last: Option<&mut libc::mmsghdr> = None;
    // A pointer to all of them: those of a message lie next to each other.
    let first_part = parts.as_mut_ptr();
    for (index, piece) in pieces.take(MESSAGES_MAX).enumerate() {
        // SAFETY: there are `MESSAGES_MAX` of them.
        let part = unsafe { first_part.add(index) };
        // SAFETY: a place in that array, which is written here only.
        unsafe { part.write(MaybeUninit::new(iovec(piece.bytes))) };
        if let Some(message) = last.as_mut().filter(|_| piece.joins) {
            message.msg_hdr.msg_iovlen += 1;
            continue;
        }
        let Some((parcel, header)) = places.next() else { break };
        let parcel = parcel.write(Parcel::new(&piece));
        parcel.add_control(&piece);
        let msg_hdr = parcel.header(part.cast());
        last = Some(header.write(libc::mmsghdr { msg_hdr, msg_len: 0 }));
        count += 1;
    }
    // SAFETY: the first `count` headers have been written; each describes a parcel, parts and bytes that are borrowed for the call, which writes to none of
    // them.
    let sent = unsafe { libc::sendmmsg(fd.as_raw_fd(), headers.as_mut_ptr().cast(), count, 0) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Sends one piece.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn send_one(fd: BorrowedFd<'_>, piece: &Piece<'_>) -> io::Result<()> {
    let mut parcel = Parcel::new(piece);
    parcel.add_control(piece);
    let mut part = iovec(piece.bytes);
    let header = parcel.header(&mut part);
    // SAFETY: the header describes `parcel` and bytes that are borrowed for the call, which writes to neither.
    let sent = unsafe { libc::sendmsg(fd.as_raw_fd(), &header, 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// For calls that only read.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn iovec(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Parcel {
    fn new(piece: &Piece<'_>) -> Parcel {
        Parcel { name: piece.to.map(Into::into), control: Control::new(), control_bytes: 0 }
    }

    fn add_control(&mut self, piece: &Piece<'_>) {
        if let Some(bytes) = piece.segment_bytes {
            self.add(super::SOL_UDP, super::UDP_SEGMENT, bytes);
        }
        if let Some(class) = piece.class {
            // The kernel takes the one that fits the packet, and passes over the other.
            self.add(libc::IPPROTO_IP, libc::IP_TOS, libc::c_int::from(class));
            self.add(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, libc::c_int::from(class));
        }
        match piece.from {
            Some(IpAddr::V4(ip)) => {
                let ipi_spec_dst = libc::in_addr { s_addr: u32::from(ip).to_be() };
                let ipi_addr = libc::in_addr { s_addr: 0 };
                let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst, ipi_addr };
                self.add(libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            Some(IpAddr::V6(ip)) => {
                let ipi6_addr = libc::in6_addr { s6_addr: ip.octets() };
                let info = libc::in6_pktinfo { ipi6_addr, ipi6_ifindex: 0 };
                self.add(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            }
            None => {}
        }
    }

    fn add<T: Copy>(&mut self, level: libc::c_int, kind: libc::c_int, value: T) {
        let value_bytes = mem::size_of::<T>() as libc::c_uint;
        // SAFETY: arithmetic.
        let all_bytes = unsafe { libc::CMSG_SPACE(value_bytes) } as usize;
        let room = &mut self.control.0[self.control_bytes..self.control_bytes + all_bytes];
        let message: *mut libc::cmsghdr = room.as_mut_ptr().cast();
        // SAFETY: all zeroes are a header; on musl it has padding.
        let mut header: libc::cmsghdr = unsafe { mem::zeroed() };
        header.cmsg_level = level;
        header.cmsg_type = kind;
        // SAFETY: arithmetic.
        header.cmsg_len = unsafe { libc::CMSG_LEN(value_bytes) } as _;
        // SAFETY: there is room for more than a header, aligned because what comes before is a multiple of the alignment.
        unsafe { message.write(header) };
        // SAFETY: the header has been written.
        let data = unsafe { libc::CMSG_DATA(message) };
        // SAFETY: there is room for the value behind the header.
        unsafe { data.cast::<T>().write_unaligned(value) };
        self.control_bytes += all_bytes;
    }

    /// Points into `self`, which must not move while the header is in use, and to the first of its parts.
    fn header(&mut self, part: *mut libc::iovec) -> libc::msghdr {
        let mut header = no_header();
        if let Some(name) = &self.name {
            header.msg_name = name.as_ptr().cast_mut().cast();
            header.msg_namelen = name.len();
        }
        header.msg_iov = part;
        header.msg_iovlen = 1;
        if self.control_bytes > 0 {
            header.msg_control = self.control.0.as_mut_ptr().cast();
            header.msg_controllen = self.control_bytes as _;
        }
        header
    }
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use super::*;

    /// Goal: of a control message that is cut off nothing is read, for what comes behind it was never written. Method: each kind whole, and a byte shorter, with
    /// other bytes behind it.
    #[test]
    fn what_is_cut_off_is_not_read() {
        let seen = |level, kind, data_bytes: usize, lost_bytes: usize| {
            let mut control = [u64::from_ne_bytes([7; 8]); 8];
            // SAFETY: arithmetic.
            let len = unsafe { libc::CMSG_LEN(data_bytes as libc::c_uint) } as usize - lost_bytes;
            // SAFETY: all zeroes are a header.
            let mut message: libc::cmsghdr = unsafe { mem::zeroed() };
            message.cmsg_len = len as _;
            (message.cmsg_level, message.cmsg_type) = (level, kind);
            // SAFETY: there is room for it, aligned as for the largest number in it.
            unsafe { control.as_mut_ptr().cast::<libc::cmsghdr>().write(message) };
            let mut header = no_header();
            header.msg_control = control.as_mut_ptr().cast();
            header.msg_controllen = len as _;
            let mut arrival = Arrival {
                len: 0,
                from: SocketAddr::from(([127, 0, 0, 1], 9)),
                segment_bytes: None,
                is_truncated: false,
                class: None,
                to: None,
                local: None,
                interface: None,
            };
            // SAFETY: the header has one message, of as many bytes as it says.
            unsafe { read_control(&header, &mut arrival) };
            (arrival.segment_bytes, arrival.class, arrival.to)
        };
        for (level, kind, data_bytes) in [
            (super::super::SOL_UDP, super::super::UDP_GRO, 4),
            (libc::IPPROTO_IP, libc::IP_TOS, 1),
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS, 4),
            (libc::IPPROTO_IP, libc::IP_PKTINFO, mem::size_of::<libc::in_pktinfo>()),
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, mem::size_of::<libc::in6_pktinfo>()),
        ] {
            assert_ne!(seen(level, kind, data_bytes, 0), (None, None, None), "{level} {kind}");
            assert_eq!(seen(level, kind, data_bytes, 1), (None, None, None), "{level} {kind}");
        }
    }
}
