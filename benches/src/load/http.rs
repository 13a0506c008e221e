//! An HTTP client that knows of every request what became of it.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// No answer comes after so long a silence.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    /// When the last request had been handed to the kernel.
    sent_at: Instant,
}

/// Why a connection ended.
#[derive(Debug)]
pub enum End {
    /// The request was not answered, not by a single byte.
    Unanswered { sent_at: Instant },
    /// Its answer broke off.
    Cut { received: usize },
    /// It was answered, and with something else.
    Wrong(String),
    /// The server said that this answer was the last one, and it was whole.
    Closed,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Unanswered { .. } => f.write_str("not answered"),
            End::Cut { received } => write!(f, "cut off after {received} bytes of the answer"),
            End::Wrong(what) => write!(f, "wrong answer: {what}"),
            End::Closed => f.write_str("closed after the answer"),
        }
    }
}

impl Connection {
    pub fn open(port: u16) -> io::Result<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Connection { stream, received: Vec::new(), sent_at: Instant::now() })
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.sent_at = Instant::now();
        Ok(())
    }

    /// The body of the next answer, which has to be a 200. Also says whether the connection stays open.
    pub fn receive(&mut self) -> Result<(Vec<u8>, bool), End> {
        self.received.clear();
        let (head, length) = loop {
            if let Some(found) = parse_head(&self.received)? {
                break found;
            }
            self.read_more()?;
        };
        while self.received.len() < head + length {
            self.read_more()?;
        }
        if self.received.len() > head + length {
            return Err(End::Wrong("more than was asked for".into()));
        }
        let stays = !has_header(&self.received[..head], "connection: close");
        Ok((self.received[head..].to_vec(), stays))
    }

    fn read_more(&mut self) -> Result<(), End> {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk) {
            Ok(count @ 1..) => {
                self.received.extend_from_slice(&chunk[..count]);
                Ok(())
            }
            // The end, a reset, or silence.
            _ if self.received.is_empty() => Err(End::Unanswered { sent_at: self.sent_at }),
            _ => Err(End::Cut { received: self.received.len() }),
        }
    }
}

/// Where the head ends, and how long the body is.
fn parse_head(bytes: &[u8]) -> Result<Option<(usize, usize)>, End> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(End::Wrong(head.lines().next().unwrap_or_default().to_owned()));
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    match length {
        Some(length) => Ok(Some((end + 4, length))),
        None => Err(End::Wrong("no content-length".into())),
    }
}

fn has_header(head: &[u8], line: &str) -> bool {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    head.lines().any(|candidate| candidate == line)
}

/// `count` requests on each of `connections`, one after the other; `None`: until the server ends it. Each answer is compared.
pub fn closed_loop(
    port: u16,
    connections: usize,
    count: Option<u64>,
    answer: &'static str,
) -> Vec<JoinHandle<(u64, Option<End>)>> {
    let one = move || -> (u64, Option<End>) {
        let mut answered = 0;
        let mut connection = match Connection::open(port) {
            Ok(connection) => connection,
            Err(_) => return (0, Some(End::Unanswered { sent_at: Instant::now() })),
        };
        while count.is_none_or(|count| answered < count) {
            let request = b"GET /hello/wrk HTTP/1.1\r\nhost: localhost\r\n\r\n";
            if connection.send(request).is_err() {
                return (answered, Some(End::Unanswered { sent_at: Instant::now() }));
            }
            match connection.receive() {
                Ok((body, _)) if body != answer.as_bytes() => {
                    let body = String::from_utf8_lossy(&body).into_owned();
                    return (answered, Some(End::Wrong(body)));
                }
                Ok((_, stays)) => {
                    answered += 1;
                    if !stays {
                        return (answered, Some(End::Closed));
                    }
                }
                Err(end) => return (answered, Some(end)),
            }
        }
        (answered, None)
    };
    (0..connections).map(|_| thread::spawn(one)).collect()
}
