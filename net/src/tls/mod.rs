//! TLS for clients and servers, by rustls, on any transport.
//!
//! ```
//! use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
//! use smolkit_net::tls::{Identity, Roots, TlsAcceptor, TlsConnector, TlsListener};
//! use smolkit_net::TcpListener;
//! # use smolkit_runtime as smolkit;
//! # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
//! # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
//! # let (certificate, key) = (certificate.as_bytes(), key.as_bytes());
//!
//! let acceptor = TlsAcceptor::builder(Identity::from_pem(certificate, key)?).build()?;
//! let connector = TlsConnector::builder(Roots::pem(certificate)?).build()?;
//! smolkit::block_on(async {
//!     let mut listener = TlsListener::new(TcpListener::bind("127.0.0.1:0").await?, acceptor);
//!     let port = listener.tcp().local_addr()?.port();
//!     let client = async {
//!         let mut stream = connector.connect_tcp("localhost", port).await?;
//!         stream.write_all(b"hello").await?;
//!         stream.close().await
//!     };
//!     let server = async {
//!         let (mut stream, _) = listener.accept().await?;
//!         let mut text = String::new();
//!         stream.read_to_string(&mut text).await?;
//!         assert_eq!(text, "hello");
//!         stream.close().await
//!     };
//!     future::try_zip(client, server).await
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! - [`TlsConnector`], [`Roots`]: clients. [`TlsAcceptor`], [`TlsListener`]: servers. [`Identity`]: a certificate and its key.
//! - [`TlsStream`]: a connection. [`TlsFailure`]: what went wrong on it. [`TlsError`]: what is wrong with a file or a setting.
//! - [`Provider`]: whose cryptography. [`rustls`]: for settings that are not here; a `ClientConfig` or `ServerConfig` converts.
//!
//! TLS 1.2 and 1.3, and of 1.2 only what is not known to be weak: no older protocol, no renegotiation, no compression, no CBC, no RSA key exchange. Early data (0-RTT) is neither sent nor accepted.
//! Whether a certificate was revoked is not asked: no CRL is read, and no OCSP. Where the system verifies, that is its own affair ([`Roots`]).
//! A process-wide default provider is neither used nor set.
//!
//! # Limits
//!
//! | what | default | set by |
//! |---|---|---|
//! | a handshake | 10 s | `handshake_timeout` of either builder |
//! | connections in a handshake, of one listener | 1,024 | [`TlsListener::handshakes_max`] |
//! | certificates beside its own that the other end may present | 6 | `issuers_max` of either builder |
//! | a message of a handshake | 64 KiB | |
//! | received and not read; encrypted and not sent | 64 KiB each | |
//! | a file of certificates | 16 MiB | |

#![forbid(unsafe_code)]

#[cfg(not(any(feature = "tls-ring", feature = "tls-aws-lc")))]
compile_error!("TLS needs cryptography: enable `tls-ring` (`tls` does) or `tls-aws-lc`");

mod acceptor;
mod bounded;
mod connector;
mod danger;
mod error;
mod failure;
mod files;
mod handshake;
mod identity;
mod inbox;
mod keys;
mod listener;
mod pem;
mod provider;
mod roots;
mod session;
mod stream;
mod validity;

pub use self::acceptor::{TlsAcceptor, TlsAcceptorBuilder};
pub use self::connector::{TlsConnector, TlsConnectorBuilder};
pub use self::error::TlsError;
pub use self::failure::TlsFailure;
pub use self::identity::Identity;
pub use self::keys::CertificateStatus;
pub use self::listener::{HandshakeMetrics, TlsListener};
pub use self::provider::Provider;
pub use self::roots::Roots;
pub use self::stream::TlsStream;

#[doc(no_inline)]
pub use rustls;

use rustls::SupportedProtocolVersion;

static ONLY_TLS13: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];

fn versions(only_tls13: bool) -> &'static [&'static SupportedProtocolVersion] {
    if only_tls13 { &ONLY_TLS13 } else { rustls::ALL_VERSIONS }
}
