//! A certificate with its private key.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::InconsistentKeys;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::files::{self, Stamp};
use super::validity::Validity;
use super::{Provider, TlsError, pem};

/// A certificate, those of its issuers, and its private key: who a server or a client is.
///
/// # Examples
///
/// ```
/// use smolkit_net::tls::{Identity, TlsAcceptor};
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// # let (certificate, key) = (certificate.as_bytes(), key.as_bytes());
/// # let folder = std::env::temp_dir().join(format!("smolkit-identity-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # std::fs::write(folder.join("tls.crt"), certificate)?;
/// # std::fs::write(folder.join("tls.key"), key)?;
///
/// let identity = Identity::from_pem_files(folder.join("tls.crt"), folder.join("tls.key"))?;
/// let acceptor = TlsAcceptor::builder(identity).build()?;
/// assert_eq!(acceptor.certificates()[0].names, ["localhost"]);
/// # std::fs::remove_dir_all(folder)?;
/// # std::io::Result::Ok(())
/// ```
pub struct Identity {
    source: Source,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    stamp: Option<Stamp>,
}

impl Identity {
    /// From PEM files: the certificate, followed by those of its issuers (but for the root), and the private key. It may be the same file twice. It blocks while they are read.
    ///
    /// Only an identity from files can be [read again](super::TlsAcceptor::reload).
    ///
    /// # Errors
    ///
    /// What is wrong with which file: [`File`](TlsError::File), [`Pem`](TlsError::Pem), [`NoCertificate`](TlsError::NoCertificate), [`NoKey`](TlsError::NoKey),
    /// [`EncryptedKey`](TlsError::EncryptedKey). Whether the two belong together is looked at when a connector or an acceptor is built.
    pub fn from_pem_files(
        certificates: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Identity, TlsError> {
        let source = Source::Files {
            certificates: certificates.as_ref().to_owned(),
            key: key.as_ref().to_owned(),
        };
        source.read()
    }

    /// From PEM text: the certificate, followed by those of its issuers (but for the root), and the private key.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, as for [`from_pem_files`](Identity::from_pem_files).
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Identity, TlsError> {
        Ok(Identity {
            source: Source::Memory,
            chain: pem::certificates(certificates, CERTIFICATE_IN_MEMORY)?,
            key: pem::key(key, KEY_IN_MEMORY)?,
            stamp: None,
        })
    }

    /// From what others have read: the certificate, followed by those of its issuers, and the private key. Nothing is checked before a connector or an acceptor is built.
    pub fn from_der(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Identity {
        Identity { source: Source::Memory, chain, key, stamp: None }
    }

    /// Checks that it can be used.
    pub(crate) fn load(self, provider: &Provider) -> Result<Loaded, TlsError> {
        let (certificate, key) = self.source.origins();
        let unusable = |origin: &str, source| match source {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                TlsError::KeyMismatch { certificate: certificate.clone(), key: key.clone() }
            }
            source => TlsError::Unusable { origin: origin.to_owned(), source },
        };
        let Some(first) = self.chain.first() else {
            return Err(TlsError::NoCertificate { origin: certificate });
        };
        let malformed = |reason: String| TlsError::Pem { origin: certificate.clone(), reason };
        let validity = Validity::of(first).map_err(|error| malformed(error.to_string()))?;
        let parsed = webpki::EndEntityCert::try_from(first);
        let parsed = parsed.map_err(|error| malformed(error.to_string()))?;
        let names = parsed.valid_dns_names().map(str::to_ascii_lowercase).collect();
        let signer = provider.crypto.key_provider.load_private_key(self.key);
        let signer = signer.map_err(|error| unusable(&key, error))?;
        let certified = CertifiedKey::new(self.chain, signer);
        match certified.keys_match() {
            // Some providers cannot tell.
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(error) => return Err(unusable(&certificate, error)),
        }
        let certified = Arc::new(certified);
        Ok(Loaded { source: self.source, certified, names, validity, stamp: self.stamp })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("source", &self.source).finish_non_exhaustive()
    }
}

const CERTIFICATE_IN_MEMORY: &str = "the certificate given in memory";
const KEY_IN_MEMORY: &str = "the private key given in memory";

#[derive(Clone, Debug)]
pub(crate) enum Source {
    Memory,
    Files { certificates: PathBuf, key: PathBuf },
}

impl Source {
    /// Reads the files. They may be exchanged meanwhile, one after the other or both at once: what is read is of one moment.
    fn read(self) -> Result<Identity, TlsError> {
        let Source::Files { certificates, key } = &self else {
            return Err(TlsError::settings("an identity in memory cannot be read again"));
        };
        let (texts, stamp) = files::read_together(&[certificates, key])?;
        let chain = pem::certificates(&texts[0], &certificates.display().to_string())?;
        let key = pem::key(&texts[1], &key.display().to_string())?;
        Ok(Identity { chain, key, stamp: Some(stamp), source: self })
    }

    /// What the certificate and the key are called in messages.
    fn origins(&self) -> (String, String) {
        match self {
            Source::Memory => (CERTIFICATE_IN_MEMORY.into(), KEY_IN_MEMORY.into()),
            Source::Files { certificates, key } => {
                (certificates.display().to_string(), key.display().to_string())
            }
        }
    }
}

/// An identity that can be used.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    source: Source,
    pub(crate) certified: Arc<CertifiedKey>,
    /// In lower case.
    pub(crate) names: Vec<String>,
    pub(crate) validity: Validity,
    stamp: Option<Stamp>,
}

impl Loaded {
    pub(crate) fn origin(&self) -> String {
        self.source.origins().0
    }

    /// Reads the files again if `always` or if they seem to be others. `None`: they are the same, or there are none.
    pub(crate) fn again(
        &self,
        provider: &Provider,
        always: bool,
    ) -> Result<Option<Loaded>, TlsError> {
        let Source::Files { certificates, key } = &self.source else { return Ok(None) };
        if let Some(stamp) = &self.stamp {
            if !always && stamp.still_holds(&[certificates, key]) {
                return Ok(None);
            }
        }
        self.source.clone().read()?.load(provider).map(Some)
    }
}
