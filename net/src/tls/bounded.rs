//! Verifiers that do not look at too many certificates.
//!
//! The other end chooses what it presents, and out of many certificates with the same name many paths can be made. webpki gives up after 200,000 steps,
//! which takes seconds; with six issuers there are no more than 2,000 steps.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// Longer paths webpki does not follow. Chains on the public internet have one to three.
pub(crate) const ISSUERS_MAX: usize = 6;

pub(crate) struct Bounded<V: ?Sized> {
    pub(crate) verifier: Arc<V>,
    pub(crate) issuers_max: usize,
}

impl<V: ?Sized> Bounded<V> {
    fn check(&self, issuers: &[CertificateDer<'_>]) -> Result<(), Error> {
        if issuers.len() <= self.issuers_max {
            return Ok(());
        }
        let (count, max) = (issuers.len(), self.issuers_max);
        Err(Error::General(format!(
            "the peer presents {count} certificates beside its own, and {max} are the limit (`issuers_max`)"
        )))
    }
}

/// What both kinds of verifiers hand on.
macro_rules! hand_on {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.verifier.verify_tls12_signature(message, certificate, signature)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.verifier.verify_tls13_signature(message, certificate, signature)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.verifier.supported_verify_schemes()
        }
    };
}

impl ServerCertVerifier for Bounded<dyn ServerCertVerifier> {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(issuers)?;
        self.verifier.verify_server_cert(certificate, issuers, name, ocsp, now)
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.verifier.root_hint_subjects()
    }

    hand_on!();
}

impl ClientCertVerifier for Bounded<dyn ClientCertVerifier> {
    fn offer_client_auth(&self) -> bool {
        self.verifier.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.verifier.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(issuers)?;
        self.verifier.verify_client_cert(certificate, issuers, now)
    }

    hand_on!();
}

impl<V: ?Sized> fmt::Debug for Bounded<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounded").field("issuers_max", &self.issuers_max).finish_non_exhaustive()
    }
}
