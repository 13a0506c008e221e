//! Whose certificates are trusted to issue others.

use std::path::Path;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;

use super::{TlsError, pem};

/// Whose certificates are trusted to issue those of the other end.
///
/// | from | feature | costs |
/// |---|---|---|
/// | [`platform`](Roots::platform) | `tls-platform-roots` | on Linux and BSD the system's roots are read when a connector is built, a few ms and about 100 KiB; on macOS the system verifies, in its own way and time |
/// | [`webpki`](Roots::webpki) | `tls-webpki-roots` | about 100 KiB in the program; it grows old with the program |
/// | [`pem_file`](Roots::pem_file), [`pem`](Roots::pem) | none | nothing |
#[derive(Clone, Debug)]
pub struct Roots {
    pub(crate) store: RootCertStore,
    pub(crate) certificates: Vec<CertificateDer<'static>>,
    pub(crate) has_platform: bool,
}

impl Roots {
    /// Nobody.
    pub fn none() -> Roots {
        let store = RootCertStore::empty();
        Roots { store, certificates: Vec::new(), has_platform: false }
    }

    /// Whom the system trusts. On Linux and BSD `SSL_CERT_FILE` and `SSL_CERT_DIR` say where to look for them instead.
    #[cfg(feature = "tls-platform-roots")]
    pub fn platform() -> Roots {
        Roots { has_platform: true, ..Roots::none() }
    }

    /// Whom Mozilla trusted when the program was compiled.
    #[cfg(feature = "tls-webpki-roots")]
    pub fn webpki() -> Roots {
        let mut roots = Roots::none();
        roots.store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        roots
    }

    /// The certificates in a PEM file, such as that of a private authority.
    ///
    /// # Errors
    ///
    /// What is wrong with the file.
    pub fn pem_file(path: impl AsRef<Path>) -> Result<Roots, TlsError> {
        let path = path.as_ref();
        Roots::read(&pem::read(path)?, &path.display().to_string())
    }

    /// The certificates in PEM text.
    ///
    /// # Errors
    ///
    /// What is wrong with the text.
    pub fn pem(text: &[u8]) -> Result<Roots, TlsError> {
        Roots::read(text, "the text with root certificates given in memory")
    }

    fn read(text: &[u8], origin: &str) -> Result<Roots, TlsError> {
        let mut roots = Roots::none();
        for certificate in pem::certificates(text, origin)? {
            let unusable = |source| TlsError::Unusable { origin: origin.to_owned(), source };
            roots.store.add(certificate.clone()).map_err(unusable)?;
            roots.certificates.push(certificate);
        }
        Ok(roots)
    }

    /// These and those.
    pub fn and(mut self, others: Roots) -> Roots {
        self.store.roots.extend(others.store.roots);
        self.certificates.extend(others.certificates);
        self.has_platform |= others.has_platform;
        self
    }
}
