//! What a process writes, line by line.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_io::AsyncRead;

use crate::{ChildStderr, ChildStdout};

/// A line longer than this is an error, so that a process that never ends its line cannot fill our memory.
const LINE_BYTES_MAX: usize = 1 << 20;
const READ_BYTES: usize = 8 << 10;

/// A line that a process wrote, without its end (`\n` or `\r\n`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// To standard output.
    Stdout(String),
    /// To standard error.
    Stderr(String),
}

/// The lines of a process's outputs, in the order in which they come; see [`Child::lines`](crate::Child::lines).
///
/// It ends when both outputs have ended. Lines of different outputs that come at once may change places.
///
/// # Limits
///
/// A line has 1 MiB at most.
///
/// # Errors
///
/// `InvalidData` for a line that is no UTF-8 or too long: that one is left out, and the next call goes on after it. Errors of reading end the output concerned.
///
/// # Cancel safety
///
/// `next` that is dropped loses nothing.
///
/// # Examples
///
/// ```
/// use futures_lite::StreamExt;
/// use smolkit_process::{Command, Line, Stdio};
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let mut child = Command::new("sh").args(["-c", "echo one; echo two"]).stdout(Stdio::piped()).spawn()?;
///     let mut lines = child.lines();
///     assert_eq!(lines.next().await.transpose()?, Some(Line::Stdout("one".into())));
///     assert_eq!(lines.next().await.transpose()?, Some(Line::Stdout("two".into())));
///     assert_eq!(lines.next().await.transpose()?, None);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Lines {
    stdout: Option<Splitter<ChildStdout>>,
    stderr: Option<Splitter<ChildStderr>>,
    /// Who is asked first, so that neither starves the other.
    is_stderr_first: bool,
}

impl Lines {
    pub(crate) fn new(stdout: Option<ChildStdout>, stderr: Option<ChildStderr>) -> Lines {
        let (stdout, stderr) = (stdout.map(Splitter::new), stderr.map(Splitter::new));
        Lines { stdout, stderr, is_stderr_first: false }
    }

    fn poll_stdout(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Line>>> {
        poll_line(&mut self.stdout, cx).map(|line| line.map(|line| line.map(Line::Stdout)))
    }

    fn poll_stderr(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Line>>> {
        poll_line(&mut self.stderr, cx).map(|line| line.map(|line| line.map(Line::Stderr)))
    }
}

impl Stream for Lines {
    type Item = io::Result<Line>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Line>>> {
        let this = &mut *self;
        this.is_stderr_first = !this.is_stderr_first;
        let mut is_over = true;
        for is_stderr in [this.is_stderr_first, !this.is_stderr_first] {
            let polled = if is_stderr { this.poll_stderr(cx) } else { this.poll_stdout(cx) };
            match polled {
                Poll::Ready(Some(line)) => return Poll::Ready(Some(line)),
                Poll::Ready(None) => {}
                Poll::Pending => is_over = false,
            }
        }
        if is_over { Poll::Ready(None) } else { Poll::Pending }
    }
}

/// Cuts one output into lines.
#[derive(Debug)]
struct Splitter<R> {
    pipe: R,
    /// Read and not handed out; the first `searched` bytes have no line end.
    bytes: Vec<u8>,
    searched: usize,
    /// In a line that is too long: up to its end, all is left out.
    is_skipping: bool,
    is_ended: bool,
}

impl<R: AsyncRead + Unpin> Splitter<R> {
    fn new(pipe: R) -> Splitter<R> {
        Splitter { pipe, bytes: Vec::new(), searched: 0, is_skipping: false, is_ended: false }
    }

    /// The next line, if it is there.
    fn line(&mut self) -> Option<io::Result<String>> {
        loop {
            let end = self.bytes[self.searched..].iter().position(|&byte| byte == b'\n');
            let Some(end) = end.map(|end| self.searched + end) else {
                self.searched = self.bytes.len();
                // One more than may be: it could be the `\r` of the line's end.
                if self.is_skipping {
                    self.clear();
                } else if self.bytes.len() > LINE_BYTES_MAX + 1 {
                    self.clear();
                    self.is_skipping = true;
                    return Some(Err(too_long()));
                } else if self.is_ended && !self.bytes.is_empty() {
                    let rest = std::mem::take(&mut self.bytes);
                    self.searched = 0;
                    return Some(if rest.len() > LINE_BYTES_MAX {
                        Err(too_long())
                    } else {
                        text(rest)
                    });
                }
                return None;
            };
            let mut line: Vec<u8> = self.bytes.drain(..=end).collect();
            self.searched = 0;
            if std::mem::take(&mut self.is_skipping) {
                continue;
            }
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Some(if line.len() > LINE_BYTES_MAX { Err(too_long()) } else { text(line) });
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.searched = 0;
    }
}

fn poll_line<R: AsyncRead + Unpin>(
    splitter: &mut Option<Splitter<R>>,
    cx: &mut Context<'_>,
) -> Poll<Option<io::Result<String>>> {
    loop {
        let Some(this) = splitter else { return Poll::Ready(None) };
        if let Some(line) = this.line() {
            return Poll::Ready(Some(line));
        }
        if this.is_ended {
            *splitter = None;
            return Poll::Ready(None);
        }
        let mut chunk = [0; READ_BYTES];
        match Pin::new(&mut this.pipe).poll_read(cx, &mut chunk) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(0)) => this.is_ended = true,
            Poll::Ready(Ok(count)) => this.bytes.extend_from_slice(&chunk[..count]),
            Poll::Ready(Err(error)) => {
                *splitter = None;
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}

fn text(line: Vec<u8>) -> io::Result<String> {
    String::from_utf8(line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn too_long() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!(
            "cannot read a line of more than {LINE_BYTES_MAX} bytes: read the pipe itself instead"
        ),
    )
}
