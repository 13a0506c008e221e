//! Addresses where nobody answers, as far as the test wants it.

// Each file of tests uses a part of it.
#![allow(dead_code)]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Socket, Type};

/// A port of loopback where all who come are refused. It is held meanwhile: a port that is free may be somebody else's at any moment.
pub(crate) struct Refused {
    pub(crate) addr: SocketAddr,
    /// It does not listen.
    _tcp: Socket,
    /// It hears nobody but itself.
    _udp: UdpSocket,
}

impl Refused {
    pub(crate) fn new() -> Refused {
        for _ in 0..100 {
            let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let addr = udp.local_addr().unwrap();
            let tcp = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            if tcp.bind(&addr.into()).is_ok() {
                udp.connect(addr).unwrap();
                return Refused { addr, _tcp: tcp, _udp: udp };
            }
        }
        panic!("no port is free for both UDP and TCP");
    }
}
