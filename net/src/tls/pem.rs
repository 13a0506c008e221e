//! Certificates and keys out of PEM text.

use std::fs;
use std::path::Path;

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;

/// Larger than any bundle of roots; a path that names something else shall not fill the memory.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let error = |source| TlsError::File { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(error)?;
    if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
        let reason = format!("it should be a file of PEM text, of at most {FILE_BYTES_MAX} bytes");
        return Err(TlsError::Pem { origin: path.display().to_string(), reason });
    }
    fs::read(path).map_err(error)
}

/// One certificate or more.
pub(crate) fn certificates(
    text: &[u8],
    origin: &str,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let certificates = found.map_err(|error| bad(error, origin))?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate { origin: origin.to_owned() });
    }
    Ok(certificates)
}

/// The first private key.
pub(crate) fn key(text: &[u8], origin: &str) -> Result<PrivateKeyDer<'static>, TlsError> {
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(_) if is_encrypted(text) => Err(TlsError::EncryptedKey { origin: origin.to_owned() }),
        Ok(key) => Ok(key),
        Err(_) if is_encrypted(text) => Err(TlsError::EncryptedKey { origin: origin.to_owned() }),
        Err(pem::Error::NoItemsFound) => Err(TlsError::NoKey { origin: origin.to_owned() }),
        Err(error) => Err(bad(error, origin)),
    }
}

/// As PKCS #8 says it (RFC 7468 §11), and as PEM said it before (RFC 1421 §4.6.1.1).
fn is_encrypted(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
        || text.lines().any(|line| line.starts_with("Proc-Type:") && line.contains("ENCRYPTED"))
}

fn bad(error: pem::Error, origin: &str) -> TlsError {
    TlsError::Pem { origin: origin.to_owned(), reason: error.to_string() }
}
