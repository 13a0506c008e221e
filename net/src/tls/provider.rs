//! Whose cryptography is used.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::ProducesTickets;

type NewTicketer = fn() -> Result<Arc<dyn ProducesTickets>, rustls::Error>;

/// Whose cryptography is used.
///
/// It is given to each connector and acceptor; the process's default, which rustls knows too, is neither used nor set.
///
/// The default is [ring](#method.ring) where it is compiled in, AWS-LC otherwise. Another crate in the program may compile it in: name the provider where that matters.
///
/// # Examples
///
/// ```
/// use smolkit_net::tls::{Identity, Provider, Roots, TlsAcceptor, TlsConnector};
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// # let (certificate, key) = (certificate.as_bytes(), key.as_bytes());
///
/// let provider = Provider::default();
/// let identity = Identity::from_pem(certificate, key)?;
/// let acceptor = TlsAcceptor::builder(identity).provider(provider.clone()).build()?;
/// let roots = Roots::pem(certificate)?;
/// let connector = TlsConnector::builder(roots).provider(provider).build()?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct Provider {
    pub(crate) crypto: Arc<CryptoProvider>,
    pub(crate) new_ticketer: Option<NewTicketer>,
}

impl Provider {
    /// ring: quick to build, small.
    #[cfg(feature = "tls-ring")]
    pub fn ring() -> Provider {
        Provider {
            crypto: Arc::new(rustls::crypto::ring::default_provider()),
            new_ticketer: Some(rustls::crypto::ring::Ticketer::new),
        }
    }

    /// AWS-LC: key exchange with X25519MLKEM768, which quantum computers will not break, and P-521. It takes a C compiler, and about a minute, to build.
    #[cfg(feature = "tls-aws-lc")]
    pub fn aws_lc() -> Provider {
        Provider {
            crypto: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            new_ticketer: Some(rustls::crypto::aws_lc_rs::Ticketer::new),
        }
    }
}

impl Default for Provider {
    fn default() -> Provider {
        #[cfg(feature = "tls-ring")]
        return Provider::ring();
        #[cfg(not(feature = "tls-ring"))]
        return Provider::aws_lc();
    }
}

/// A provider of one's own. Its servers keep sessions in memory, for only ring and AWS-LC know how to make tickets.
impl From<Arc<CryptoProvider>> for Provider {
    fn from(crypto: Arc<CryptoProvider>) -> Provider {
        Provider { crypto, new_ticketer: None }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups: Vec<_> = self.crypto.kx_groups.iter().map(|group| group.name()).collect();
        f.debug_struct("Provider").field("key_exchanges", &groups).finish_non_exhaustive()
    }
}
