//! Why a look-up failed.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use super::exchange::Failed;
use super::upstream::Attempt;

/// No answer: what was asked, whom, and how each of them failed. It is inside the [`io::Error`] that a look-up returns.
///
/// # Examples
///
/// ```
/// use std::io::ErrorKind;
/// use std::time::Duration;
/// use smolkit_net::UdpSocket;
/// use smolkit_net::dns::{LookupError, Resolver};
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     // A server that never answers.
///     let silent = UdpSocket::bind("127.0.0.1:0").await?;
///     let resolver = Resolver::builder()
///         .servers([silent.local_addr()?])
///         .timeout(Duration::from_millis(20))
///         .attempts(1)
///         .resolv_conf(None)
///         .build()?;
///     let error = resolver.a("example.org").await.unwrap_err();
///     assert_eq!(error.kind(), ErrorKind::TimedOut);
///     let failed = error.get_ref().and_then(|inner| inner.downcast_ref::<LookupError>());
///     for (server, error) in failed.into_iter().flat_map(LookupError::attempts) {
///         println!("{server}: {error}");
/// #       assert_eq!(server, silent.local_addr()?);
///     }
/// #   assert_eq!(failed.unwrap().attempts().count(), 1);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
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

    /// The servers that were asked, in order and as often as each was, with what went wrong; some may be left out that failed alike, one after the other. None if the name does not exist.
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
