//! Several listeners with one address.

use std::io;
use std::net::SocketAddr;

use super::{TcpListener, TcpSocket};

impl TcpListener {
    /// `count` listeners that share an address (`SO_REUSEPORT`), among which the system deals out the connections: one for each worker, so that no two wait for the same queue.
    ///
    /// Each belongs to the worker on which it is first waited for. Connections that wait in the queue of a listener are reset when it is dropped. Port 0 lets the system choose
    /// one for all.
    ///
    /// # Errors
    ///
    /// As [`bind`](TcpListener::bind). `AddrInUse` also if another user's process has the address.
    ///
    /// # Platform
    ///
    /// Linux spreads the connections evenly; macOS gives them to the last listener.
    ///
    /// # Examples
    ///
    /// ```
    /// use smolkit_net::TcpListener;
    ///
    /// let listeners = TcpListener::bind_many(([127, 0, 0, 1], 0).into(), 4)?;
    /// assert!(listeners.iter().all(|l| l.local_addr().unwrap() == listeners[0].local_addr().unwrap()));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn bind_many(addr: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
        let mut addr = addr;
        let mut listeners = Vec::with_capacity(count);
        for _ in 0..count {
            let socket = TcpSocket::new_for(addr)?;
            socket.set_reuse_addr(true)?;
            socket.set_reuse_port(true)?;
            socket.bind(addr).map_err(|error| crate::addr::failed("listen on", addr, error))?;
            let listener = socket.listen_default()?;
            addr = listener.local_addr()?;
            listeners.push(listener);
        }
        Ok(listeners)
    }
}
