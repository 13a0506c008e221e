//! What is wrong with a certificate, a key or a setting.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// A connector or an acceptor cannot be made, or its certificates cannot be read again.
///
/// It converts to an `io::Error`: of the kind of the file's error, of `InvalidInput` for settings, of the first one's for several, and of `InvalidData` for all others.
///
/// # Examples
///
/// ```
/// use smolkit_net::tls::{Identity, TlsError};
///
/// match Identity::from_pem_files("/nowhere/tls.crt", "/nowhere/tls.key") {
///     Err(TlsError::File { path, source }) => println!("mount {}: {source}", path.display()),
///     Err(error) => return Err(error.into()),
///     Ok(_) => unreachable!("there are no such files"),
/// }
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Text that should be PEM is not.
    Pem {
        /// The file, or what stands for it.
        origin: String,
        /// What is wrong.
        reason: String,
    },
    /// There is no certificate where one should be.
    NoCertificate {
        /// The file, or what stands for it.
        origin: String,
    },
    /// There is no private key where one should be.
    NoKey {
        /// The file, or what stands for it.
        origin: String,
    },
    /// The private key is protected by a password.
    EncryptedKey {
        /// The file, or what stands for it.
        origin: String,
    },
    /// A certificate or a key is not of a kind that can be used.
    Unusable {
        /// The file, or what stands for it.
        origin: String,
        /// What rustls says.
        source: rustls::Error,
    },
    /// The private key belongs to another certificate.
    KeyMismatch {
        /// The certificate's file, or what stands for it.
        certificate: String,
        /// The key's.
        key: String,
    },
    /// Settings that do not go together.
    Settings {
        /// What is wrong.
        reason: String,
    },
    /// More than one of the others.
    Several(Vec<TlsError>),
}

impl TlsError {
    pub(crate) fn settings(reason: impl fmt::Display) -> TlsError {
        TlsError::Settings { reason: reason.to_string() }
    }

    fn kind(&self) -> io::ErrorKind {
        match self {
            TlsError::File { source, .. } => source.kind(),
            TlsError::Settings { .. } => io::ErrorKind::InvalidInput,
            TlsError::Several(errors) => {
                errors.first().map_or(io::ErrorKind::Other, TlsError::kind)
            }
            _ => io::ErrorKind::InvalidData,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::File { path, source } => {
                write!(f, "cannot read {} for TLS: {source}", path.display())
            }
            TlsError::Pem { origin, reason } => {
                write!(f, "{origin} is not good PEM: {reason}")
            }
            TlsError::NoCertificate { origin } => write!(
                f,
                "{origin} has no certificate: PEM with \"-----BEGIN CERTIFICATE-----\" is expected"
            ),
            TlsError::NoKey { origin } => write!(
                f,
                "{origin} has no private key: PEM with \"-----BEGIN PRIVATE KEY-----\" (or RSA, or EC) is expected"
            ),
            TlsError::EncryptedKey { origin } => write!(
                f,
                "the private key in {origin} is protected by a password: decrypt it first (openssl pkey -in FILE -out PLAIN)"
            ),
            TlsError::Unusable { origin, source } => {
                write!(f, "what {origin} has cannot be used for TLS: {source}")
            }
            TlsError::KeyMismatch { certificate, key } => write!(
                f,
                "the private key in {key} does not belong to the first certificate in {certificate}: the server's own certificate comes first, then those of its issuers"
            ),
            TlsError::Settings { reason } => write!(f, "TLS cannot be set up: {reason}"),
            TlsError::Several(errors) => {
                for (index, error) in errors.iter().enumerate() {
                    let semicolon = if index == 0 { "" } else { "; " };
                    write!(f, "{semicolon}{error}")?;
                }
                Ok(())
            }
        }
    }
}

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            TlsError::File { source, .. } => Some(source),
            TlsError::Unusable { source, .. } => Some(source),
            TlsError::Several(errors) => errors.first().map(|error| error as _),
            _ => None,
        }
    }
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> io::Error {
        io::Error::new(error.kind(), error)
    }
}
