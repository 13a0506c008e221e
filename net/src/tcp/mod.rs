//! TCP sockets.

mod listener;
mod stream;

pub use self::listener::{Incoming, TcpListener};
pub use self::stream::TcpStream;
