//! An HTTP/1 client that can misbehave.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::PATIENCE;

pub struct Client {
    pub stream: TcpStream,
    /// Read from the socket, but not yet taken.
    ahead: Vec<u8>,
    /// When it began to do what it did last: the server heard of it later.
    acted: Instant,
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

impl Client {
    pub fn connect(addr: SocketAddr) -> Client {
        Client::try_connect(addr).expect("a connection")
    }

    pub fn try_connect(addr: SocketAddr) -> io::Result<Client> {
        let acted = Instant::now();
        let stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Client { stream, ahead: Vec::new(), acted })
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("a write");
    }

    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.acted = Instant::now();
        self.stream.write_all(bytes.as_ref())
    }

    pub fn get(&mut self, path: &str) -> Response {
        self.try_get(path).expect("a response")
    }

    pub fn try_get(&mut self, path: &str) -> io::Result<Response> {
        self.try_send(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n"))?;
        self.response()
    }

    /// The next response, with a body by `content-length` or in chunks.
    pub fn response(&mut self) -> io::Result<Response> {
        let head = self.until(b"\r\n\r\n")?;
        let head = String::from_utf8(head).expect("a head in ASCII");
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status in {head:?}"));
        let mut response = Response { status, head, body: Vec::new() };
        if let Some(length) = response.header("content-length") {
            let length = length.parse().expect("a length");
            response.body = self.exactly(length)?;
        } else if response.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = self.until(b"\r\n")?;
                let size = std::str::from_utf8(&size).expect("a chunk size").trim();
                let size = usize::from_str_radix(size, 16).expect("a chunk size");
                let chunk = self.exactly(size + 2)?;
                response.body.extend_from_slice(&chunk[..size]);
                if size == 0 {
                    break;
                }
            }
        }
        Ok(response)
    }

    /// How long the server takes to close, counted from when this client did something; whatever it sends until then.
    pub fn closed(&mut self, within: Duration) -> (Duration, Vec<u8>) {
        let start = Instant::now();
        let mut read = std::mem::take(&mut self.ahead);
        let mut buffer = [0; 4096];
        loop {
            let left = within.saturating_sub(start.elapsed());
            assert!(!left.is_zero(), "not closed within {within:?}, but sent {:?}", read.len());
            self.stream.set_read_timeout(Some(left)).expect("a timeout");
            match self.read(&mut buffer) {
                Ok(0) => return (self.acted.elapsed(), read),
                Ok(count) => read.extend_from_slice(&buffer[..count]),
                Err(error) if is_timeout(&error) => {}
                Err(_) => return (self.acted.elapsed(), read),
            }
        }
    }

    fn until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            let found = self.ahead.windows(end.len()).position(|window| window == end);
            if let Some(at) = found {
                return Ok(self.ahead.drain(..at + end.len()).collect());
            }
            self.fill()?;
        }
    }

    fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < length {
            self.fill()?;
        }
        Ok(self.ahead.drain(..length).collect())
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut buffer = [0; 64 * 1024];
        match self.read(&mut buffer)? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server has closed")),
            count => {
                self.ahead.extend_from_slice(&buffer[..count]);
                Ok(())
            }
        }
    }

    /// With a timeout a read does not go on by itself when the process was stopped meanwhile (`signal(7)`).
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Whether a part of the next response has been read.
    pub fn has_read_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }
}

pub fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
