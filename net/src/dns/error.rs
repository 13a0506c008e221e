//! Why a look-up failed.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use super::exchange::Failed;
use super::upstream::Attempt;

/// No answer: what was asked, whom, and how each of them failed. It is inside the [`io::Error`] that a look-up returns.
#[derive(Debug)]
pub struct LookupError {
    name: String,
    record_type: &'static str,
    why: &'static str,
    attempts: Vec<(SocketAddr, io::Error)>,
}

impl LookupError {
    pub(super) fn error(
        kind: io::ErrorKind,
        name: &str,
        record_type: &'static str,
        why: &'static str,
        attempts: &[Attempt],
    ) -> io::Error {
        let own = |(server, failed): &Attempt| {
            let Failed { kind, text } = failed;
            (*server, io::Error::new(*kind, text.clone()))
        };
        let attempts = attempts.iter().map(own).collect();
        io::Error::new(kind, LookupError { name: name.to_owned(), record_type, why, attempts })
    }

    /// The name that was looked up, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was looked for: `A`, `AAAA`, `SRV` and so on; `A and AAAA` for addresses.
    pub fn record_type(&self) -> &str {
        self.record_type
    }

    /// The servers that were asked, in order and as often as each was, with what went wrong. None if the name does not exist.
    pub fn attempts(&self) -> impl Iterator<Item = (SocketAddr, &io::Error)> {
        self.attempts.iter().map(|(server, error)| (*server, error))
    }
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot look up {:?} ({}): {}", self.name, self.record_type, self.why)?;
        for (index, (server, error)) in self.attempts.iter().enumerate() {
            let comma = if index == 0 { ":" } else { ";" };
            write!(f, "{comma} {server}: {error}")?;
        }
        Ok(())
    }
}

impl Error for LookupError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.attempts.last().map(|(_, error)| error as _)
    }
}
