//! The error of a timeout.

use std::error::Error;
use std::fmt;
use std::io;

/// The time was up before the future was done.
///
/// As an [`io::Error`] its kind is [`TimedOut`](io::ErrorKind::TimedOut).
///
/// # Examples
///
/// ```
/// use std::io;
/// use std::time::Duration;
/// use smolkit_runtime::time::timeout;
///
/// async fn answer() -> io::Result<u32> {
///     timeout(Duration::from_millis(1), std::future::pending()).await?
/// }
///
/// let error = smolkit_runtime::block_on(answer()).unwrap_err();
/// assert_eq!(error.kind(), io::ErrorKind::TimedOut);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl Elapsed {
    pub(super) fn new() -> Elapsed {
        Elapsed(())
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time allowed for the operation is up")
    }
}

impl Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}
