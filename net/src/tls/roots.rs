//! Whose certificates are trusted to issue others.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;

use super::files::{self, Stamp};
use super::keys::Reloaded;
use super::{TlsError, pem};

/// Whose certificates are trusted to issue those of the other end.
///
/// | from | feature | costs |
/// |---|---|---|
/// | [`platform`](#method.platform) | `tls-platform-roots` | on Linux and BSD the system's roots are read when a connector is built, a few ms and about 100 KiB; on macOS the system verifies, in its own way and time |
/// | [`webpki`](#method.webpki) | `tls-webpki-roots` | about 100 KiB in the program; it grows old with the program |
/// | [`pem_file`](Roots::pem_file), [`pem`](Roots::pem) | none | nothing |
///
/// # Examples
///
/// ```
/// use smolkit_net::tls::{Roots, TlsConnector};
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let certificate = made.cert.pem();
/// # let certificate = certificate.as_bytes();
/// # let path = std::env::temp_dir().join(format!("smolkit-roots-{}.pem", std::process::id()));
/// # std::fs::write(&path, certificate)?;
///
/// // Two authorities of one's own, and nobody else.
/// let roots = Roots::pem_file(&path)?.and(Roots::pem(certificate)?);
/// let connector = TlsConnector::builder(roots).build()?;
/// # std::fs::remove_file(path)?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Roots {
    /// Those that come from no file.
    memory: Certificates,
    files: Vec<RootsFile>,
    pub(crate) has_platform: bool,
}

#[derive(Clone, Debug)]
struct Certificates {
    store: RootCertStore,
    /// What the store is made of. Mozilla's are in the store alone.
    certificates: Vec<CertificateDer<'static>>,
}

#[derive(Clone, Debug)]
struct RootsFile {
    path: PathBuf,
    stamp: Stamp,
    roots: Certificates,
}

impl Roots {
    /// Nobody. A connector cannot be built with that, but for one that [takes anybody](super::TlsConnectorBuilder::danger_insecure_accept_any_server).
    pub fn none() -> Roots {
        let memory = Certificates { store: RootCertStore::empty(), certificates: Vec::new() };
        Roots { memory, files: Vec::new(), has_platform: false }
    }

    /// Whom the system trusts. On Linux and BSD `SSL_CERT_FILE` and `SSL_CERT_DIR` say where to look for them instead.
    ///
    /// Nothing is read yet: that is done, and may fail, when a connector is [built](super::TlsConnectorBuilder::build).
    ///
    /// # Examples
    ///
    /// ```
    /// use smolkit_net::tls::Roots;
    /// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    /// # let certificate = made.cert.pem();
    /// # let certificate = certificate.as_bytes();
    ///
    /// // Also an authority of one's own.
    /// let roots = Roots::platform().and(Roots::pem(certificate)?);
    /// # std::io::Result::Ok(())
    /// ```
    #[cfg(feature = "tls-platform-roots")]
    pub fn platform() -> Roots {
        Roots { has_platform: true, ..Roots::none() }
    }

    /// Whom Mozilla trusted when the program was compiled.
    #[cfg(feature = "tls-webpki-roots")]
    pub fn webpki() -> Roots {
        let mut roots = Roots::none();
        roots.memory.store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        roots
    }

    /// The certificates in a PEM file, such as that of a private authority. It blocks while the file is read. A connector can [read it again](super::TlsConnector::reload).
    ///
    /// # Errors
    ///
    /// What is wrong with the file: [`File`](TlsError::File), [`Pem`](TlsError::Pem), [`NoCertificate`](TlsError::NoCertificate), [`Unusable`](TlsError::Unusable).
    pub fn pem_file(path: impl AsRef<Path>) -> Result<Roots, TlsError> {
        Ok(Roots { files: vec![RootsFile::read(path.as_ref())?], ..Roots::none() })
    }

    /// The certificates in PEM text.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, as for [`pem_file`](Roots::pem_file).
    pub fn pem(text: &[u8]) -> Result<Roots, TlsError> {
        let memory = Certificates::read(text, "the text with root certificates given in memory")?;
        Ok(Roots { memory, ..Roots::none() })
    }

    /// These and those. A connector cannot have both the system's and Mozilla's.
    pub fn and(mut self, others: Roots) -> Roots {
        self.memory.store.roots.extend(others.memory.store.roots);
        self.memory.certificates.extend(others.memory.certificates);
        self.files.extend(others.files);
        self.has_platform |= others.has_platform;
        self
    }

    /// All but the system's.
    pub(crate) fn store(&self) -> RootCertStore {
        let mut store = self.memory.store.clone();
        for file in &self.files {
            store.extend(file.roots.store.roots.iter().cloned());
        }
        store
    }

    /// All but the system's. `None`: Mozilla's are among them, which are no whole certificates.
    #[cfg(feature = "tls-platform-roots")]
    pub(crate) fn certificates(&self) -> Option<Vec<CertificateDer<'static>>> {
        if self.memory.store.roots.len() > self.memory.certificates.len() {
            return None;
        }
        let of_files = self.files.iter().flat_map(|file| &file.roots.certificates);
        Some(self.memory.certificates.iter().chain(of_files).cloned().collect())
    }

    /// Reads files again: all of them, or those that seem to have changed. What fails stays as it is. It blocks.
    pub(crate) fn reload(&mut self, always: bool) -> Reloaded {
        let mut reloaded = Reloaded::default();
        for file in &mut self.files {
            if !always && file.stamp.still_holds(&[&file.path]) {
                continue;
            }
            match RootsFile::read(&file.path) {
                Ok(replacement) => {
                    reloaded.has_changed |=
                        replacement.roots.certificates != file.roots.certificates;
                    *file = replacement;
                }
                Err(error) => reloaded.errors.push(error),
            }
        }
        reloaded
    }
}

impl RootsFile {
    fn read(path: &Path) -> Result<RootsFile, TlsError> {
        let (texts, stamp) = files::read_together(&[path])?;
        let roots = Certificates::read(&texts[0], &path.display().to_string())?;
        Ok(RootsFile { path: path.to_owned(), stamp, roots })
    }
}

impl Certificates {
    fn read(text: &[u8], origin: &str) -> Result<Certificates, TlsError> {
        let certificates = pem::certificates(text, origin)?;
        let mut store = RootCertStore::empty();
        for certificate in &certificates {
            let unusable = |source| TlsError::Unusable { origin: origin.to_owned(), source };
            store.add(certificate.clone()).map_err(unusable)?;
        }
        Ok(Certificates { store, certificates })
    }
}
