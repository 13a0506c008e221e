//! What went wrong between two ends, in an `io::Error` that says what to do.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError, InvalidMessage, PeerIncompatible};

/// The protocol failed: what rustls says, and what to do about it. It is inside the `io::Error` (of kind `InvalidData`) that reading, connecting and accepting return.
///
/// # Examples
///
/// ```
/// use futures_lite::future;
/// use smolkit_net::tls::rustls::{CertificateError, Error};
/// use smolkit_net::tls::{Identity, Roots, TlsAcceptor, TlsConnector, TlsFailure};
/// use smolkit_net::unix::UnixStream;
/// # use smolkit_runtime as smolkit;
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// # let (certificate, key) = (certificate.as_bytes(), key.as_bytes());
///
/// let acceptor = TlsAcceptor::builder(Identity::from_pem(certificate, key)?).build()?;
/// let connector = TlsConnector::builder(Roots::pem(certificate)?).build()?;
/// smolkit::block_on(async {
///     let (one, other) = UnixStream::pair()?;
///     // The certificate is for `localhost`.
///     let client = connector.connect("example.org", one);
///     let (client, server) = future::zip(client, acceptor.accept(other)).await;
///     assert!(server.is_err());
///     let error = client.unwrap_err();
///     let failure = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsFailure>());
///     let Some(Error::InvalidCertificate(reason)) = failure.map(TlsFailure::rustls) else {
///         return Err(error);
///     };
///     assert!(matches!(reason, CertificateError::NotValidForNameContext { .. }));
///     Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct TlsFailure {
    error: rustls::Error,
}

impl TlsFailure {
    /// What rustls says.
    pub fn rustls(&self) -> &rustls::Error {
        &self.error
    }
}

pub(crate) fn of_session(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, TlsFailure { error })
}

pub(crate) fn too_late(timeout: Duration) -> io::Error {
    let message = format!("TLS handshake failed: not finished after {timeout:?}");
    io::Error::new(io::ErrorKind::TimedOut, message)
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS failed: {}", self.error)?;
        match advice(&self.error) {
            Some(advice) => write!(f, " ({advice})"),
            None => Ok(()),
        }
    }
}

impl Error for TlsFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

fn advice(error: &rustls::Error) -> Option<&'static str> {
    use rustls::Error as E;
    Some(match error {
        E::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "nobody among the trusted roots has issued it; a private issuer is trusted with `roots_pem_file`, \
             and a server has to send the certificates in between"
        }
        E::InvalidCertificate(CertificateError::BadSignature) => {
            "somebody else with the name of a trusted root has issued it"
        }
        E::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => "renew it, or set this machine's clock",
        E::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "connect with a name that the certificate has",
        E::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the other end does not speak TLS on this port"
        }
        E::NoCertificatesPresented => "the client has to present a certificate",
        E::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server wants a certificate of the client: give the connector an identity"
        }
        E::AlertReceived(AlertDescription::UnknownCA) => {
            "the other end does not trust the issuer of our certificate"
        }
        E::AlertReceived(AlertDescription::ProtocolVersion)
        | E::PeerIncompatible(
            PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::Tls13RequiredForQuic,
        ) => "TLS 1.2 and 1.3 are spoken here",
        _ => return None,
    })
}
