//! TCP sockets.

mod connect;
mod listener;
mod reuse_port;
mod socket;
mod stream;

pub use self::connect::{ConnectError, TcpConnector};
pub use self::listener::{Incoming, TcpListener};
pub use self::socket::TcpSocket;
pub use self::stream::TcpStream;
