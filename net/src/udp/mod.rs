//! UDP sockets.

mod socket;

pub use self::socket::UdpSocket;
