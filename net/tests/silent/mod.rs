//! A listener that answers nobody.

use std::net::SocketAddr;
use std::time::Duration;

use smolkit_net::{TcpListener, TcpSocket, TcpStream};
use smolkit_runtime::Timer;

/// The queue of the listener is full, and the connection keeps it so.
pub(crate) struct Silent {
    pub(crate) addr: SocketAddr,
    _listener: TcpListener,
    _queued: TcpStream,
}

impl Silent {
    pub(crate) async fn new() -> Silent {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        // Room for one (`listen(2)` on Linux).
        let listener = socket.listen(0).unwrap();
        let addr = listener.local_addr().unwrap();
        let queued = TcpStream::connect(addr).await.unwrap();
        // The client may know of its connection before the queue does.
        while queue_length(addr) == 0 {
            Timer::after(Duration::from_millis(1)).await;
        }
        Silent { addr, _listener: listener, _queued: queued }
    }
}

/// How many connections wait to be accepted (`proc_net_tcp`: for a listener, the bytes to be read).
fn queue_length(listener: SocketAddr) -> usize {
    const LISTENS: &str = "0A";
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{:04X}", listener.port());
    let row = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).find(
        // Number, own address, peer's address, state, "sent:received".
        |row| row[1].ends_with(&port) && row[3] == LISTENS,
    );
    // A long table is read in pieces, between which a row may move.
    row.map_or(0, |row| {
        let (_, received) = row[4].split_once(':').unwrap();
        usize::from_str_radix(received, 16).unwrap()
    })
}
