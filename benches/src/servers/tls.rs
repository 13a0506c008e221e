//! What every system does on a TLS connection: it sends or takes as many bytes as the other end asks for.
//!
//! A request is a letter and a number of eight bytes: `d` and how many bytes shall come, or `u` and how many bytes follow, whose end is answered with one byte.

use std::io;
use std::sync::Arc;

use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

pub const REQUEST_BYTES: usize = 9;
/// What a program writes at once: one record.
pub const CHUNK_BYTES: usize = 16 * 1024;

pub enum Request {
    Download(u64),
    Upload(u64),
}

impl Request {
    pub fn parse(bytes: [u8; REQUEST_BYTES]) -> io::Result<Request> {
        let [kind, count @ ..] = bytes;
        match kind {
            b'd' => Ok(Request::Download(u64::from_be_bytes(count))),
            b'u' => Ok(Request::Upload(u64::from_be_bytes(count))),
            _ => Err(io::Error::other("neither d nor u")),
        }
    }

    pub fn bytes(&self) -> [u8; REQUEST_BYTES] {
        let (kind, count) = match self {
            Request::Download(count) => (b'd', count),
            Request::Upload(count) => (b'u', count),
        };
        let mut bytes = [kind; REQUEST_BYTES];
        bytes[1..].copy_from_slice(&count.to_be_bytes());
        bytes
    }
}

/// The same for all: ring, a certificate with a P-256 key, tickets.
pub fn config() -> io::Result<Arc<ServerConfig>> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let made = made.map_err(io::Error::other)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.into()], key)
        .map_err(io::Error::other)?;
    config.ticketer = ring::Ticketer::new().map_err(io::Error::other)?;
    Ok(Arc::new(config))
}

/// A connection of a system with the futures I/O traits.
pub async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut chunk = vec![7; CHUNK_BYTES];
    let mut request = [0; REQUEST_BYTES];
    while stream.read_exact(&mut request).await.is_ok() {
        match Request::parse(request)? {
            Request::Download(mut left) => {
                while left > 0 {
                    let count = left.min(CHUNK_BYTES as u64) as usize;
                    stream.write_all(&chunk[..count]).await?;
                    left -= count as u64;
                }
            }
            Request::Upload(mut left) => {
                while left > 0 {
                    let count = left.min(CHUNK_BYTES as u64) as usize;
                    left -= stream.read(&mut chunk[..count]).await? as u64;
                }
                stream.write_all(b"!").await?;
            }
        }
        stream.flush().await?;
    }
    Ok(())
}
