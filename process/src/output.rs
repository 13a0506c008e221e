//! What a process wrote, up to a limit and until a deadline.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::Output;
use std::time::Duration;

use futures_lite::{AsyncRead, AsyncReadExt, FutureExt, future};
use smolkit_runtime::Timer;

use crate::Child;

/// How much and how long a process may write.
///
/// | what | default |
/// |---|---|
/// | bytes of standard output | 8 MiB |
/// | bytes of standard error | 8 MiB |
/// | time until both have ended and the process too | none |
/// | time from SIGTERM to SIGKILL | 1 s |
#[derive(Clone, Debug)]
pub struct OutputLimits {
    stdout_bytes_max: usize,
    stderr_bytes_max: usize,
    timeout: Option<Duration>,
    grace: Duration,
}

impl Default for OutputLimits {
    fn default() -> OutputLimits {
        OutputLimits::new()
    }
}

impl OutputLimits {
    /// The defaults.
    pub fn new() -> OutputLimits {
        OutputLimits {
            stdout_bytes_max: 8 << 20,
            stderr_bytes_max: 8 << 20,
            timeout: None,
            grace: Duration::from_secs(1),
        }
    }

    /// Sets how much it may write to standard output.
    #[must_use]
    pub fn stdout_bytes_max(mut self, bytes: usize) -> OutputLimits {
        self.stdout_bytes_max = bytes;
        self
    }

    /// Sets how much it may write to standard error.
    #[must_use]
    pub fn stderr_bytes_max(mut self, bytes: usize) -> OutputLimits {
        self.stderr_bytes_max = bytes;
        self
    }

    /// Sets how long it may take in all.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> OutputLimits {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how long it has to end after SIGTERM, before SIGKILL.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> OutputLimits {
        self.grace = grace;
        self
    }
}

/// Why there is no [`Output`]. But for [`Io`](OutputError::Io), the process has been ended.
#[non_exhaustive]
#[derive(Debug)]
pub enum OutputError {
    /// It could not be started, read from, or waited for.
    Io(io::Error),
    /// It took too long.
    TimedOut {
        /// The limit.
        timeout: Duration,
    },
    /// It wrote too much to standard output.
    StdoutTooLong {
        /// The limit.
        bytes_max: usize,
    },
    /// It wrote too much to standard error.
    StderrTooLong {
        /// The limit.
        bytes_max: usize,
    },
}

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OutputError::Io(error) => write!(f, "cannot run the process: {error}"),
            OutputError::TimedOut { timeout } => {
                write!(
                    f,
                    "the process had not ended after {timeout:?} and was stopped: raise `timeout` if it may take longer"
                )
            }
            OutputError::StdoutTooLong { bytes_max } => {
                write!(
                    f,
                    "the process wrote more than {bytes_max} bytes to standard output and was stopped: raise `stdout_bytes_max` if it may"
                )
            }
            OutputError::StderrTooLong { bytes_max } => {
                write!(
                    f,
                    "the process wrote more than {bytes_max} bytes to standard error and was stopped: raise `stderr_bytes_max` if it may"
                )
            }
        }
    }
}

impl Error for OutputError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            OutputError::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> OutputError {
        OutputError::Io(error)
    }
}

impl From<OutputError> for io::Error {
    fn from(error: OutputError) -> io::Error {
        match error {
            OutputError::Io(error) => error,
            OutputError::TimedOut { .. } => io::Error::new(io::ErrorKind::TimedOut, error),
            _ => io::Error::other(error),
        }
    }
}

pub(crate) async fn collect(
    mut child: Child,
    limits: &OutputLimits,
) -> Result<Output, OutputError> {
    child.stdin.take();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let process = child.process.clone();
    let finished = async {
        let OutputLimits { stdout_bytes_max, stderr_bytes_max, .. } = *limits;
        let stdout = read(
            stdout,
            stdout_bytes_max,
            OutputError::StdoutTooLong { bytes_max: stdout_bytes_max },
        );
        let stderr = read(
            stderr,
            stderr_bytes_max,
            OutputError::StderrTooLong { bytes_max: stderr_bytes_max },
        );
        let (stdout, stderr) = future::try_zip(stdout, stderr).await?;
        Ok(Output { status: process.running().wait().await?, stdout, stderr })
    };
    let late = async {
        match limits.timeout {
            Some(timeout) => drop(Timer::after(timeout).await),
            None => future::pending().await,
        }
        Err(OutputError::TimedOut { timeout: limits.timeout.unwrap_or_default() })
    };
    let output = finished.or(late).await;
    if let Err(
        OutputError::TimedOut { .. }
        | OutputError::StdoutTooLong { .. }
        | OutputError::StderrTooLong { .. },
    ) = output
    {
        child.terminate(limits.grace).await?;
    }
    output
}

async fn read<R: AsyncRead + Unpin>(
    pipe: Option<R>,
    bytes_max: usize,
    too_long: OutputError,
) -> Result<Vec<u8>, OutputError> {
    // One more than may be, to see whether there is more.
    let bytes = read_up_to(pipe, bytes_max.saturating_add(1)).await?;
    if bytes.len() > bytes_max { Err(too_long) } else { Ok(bytes) }
}

/// As much as a pipe holds by default, `pipe(7)`.
const CHUNK_BYTES: usize = 64 << 10;

/// Reads to the end of the pipe, or so many bytes.
pub(crate) async fn read_up_to<R: AsyncRead + Unpin>(
    pipe: Option<R>,
    bytes_max: usize,
) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let Some(mut pipe) = pipe else { return Ok(bytes) };
    // A chunk of its own: growing `bytes` and reading into it would write zeros over each part first.
    let mut chunk = vec![0; CHUNK_BYTES];
    while bytes.len() < bytes_max {
        let wanted = CHUNK_BYTES.min(bytes_max - bytes.len());
        let count = pipe.read(&mut chunk[..wanted]).await?;
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(&chunk[..count]);
    }
    Ok(bytes)
}
