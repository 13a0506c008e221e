//! TLS clients that load a server: blocking sockets and rustls, whatever the server runs on. Each line on standard input is a job.

use std::io::{self, BufRead, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use clap::Args;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::measure::child::Child;
use crate::servers::tls::{CHUNK_BYTES, Request};
use crate::words::word;

/// What a server can be made to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Job {
    /// A new connection, a whole handshake, one byte
    Handshakes,
    /// The same with a session that is resumed
    Resumptions,
    /// Chunks of 16 KiB from the server, on one connection
    Download,
    /// Chunks of 16 KiB to the server, on one connection
    Upload,
    /// The same, each with an answer that is waited for
    Posts,
}

impl Job {
    pub const ALL: [Job; 5] =
        [Job::Handshakes, Job::Resumptions, Job::Download, Job::Upload, Job::Posts];

    pub fn name(self) -> String {
        word(&self)
    }
}

#[derive(Args)]
pub struct Settings {
    pub port: u16,
}

pub fn start(port: u16, cores: &[usize]) -> io::Result<Child> {
    let mut child = Child::myself(&["load-tls".into(), port.to_string()], cores)?;
    child.hear("ready")?;
    Ok(child)
}

pub fn run_job(child: &mut Child, job: Job, count: u64) -> io::Result<()> {
    child.tell(&format!("{} {count}", job.name()))?;
    child.hear("done").map(drop)
}

/// The life of a load process.
pub fn run(settings: &Settings) -> io::Result<()> {
    let load = Load {
        port: settings.port,
        anew: config(Resumption::disabled())?,
        again: config(Resumption::in_memory_sessions(8))?,
    };
    let mut stream = load.connect(&load.anew)?;
    // One that can be resumed.
    load.connections(&load.again, 1, false)?;
    println!("ready");
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (job, count) = line.split_once(' ').ok_or_else(|| io::Error::other("no count"))?;
        let job = <Job as clap::ValueEnum>::from_str(job, false).map_err(io::Error::other)?;
        let count = count.parse().map_err(|_| io::Error::other("not a count"))?;
        match job {
            Job::Handshakes => load.connections(&load.anew, count, false)?,
            Job::Resumptions => load.connections(&load.again, count, true)?,
            Job::Download => download(&mut stream, count * CHUNK_BYTES as u64)?,
            Job::Upload => upload(&mut stream, count * CHUNK_BYTES as u64)?,
            Job::Posts => {
                for _ in 0..count {
                    upload(&mut stream, CHUNK_BYTES as u64)?;
                }
            }
        }
        println!("done");
    }
    Ok(())
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

struct Load {
    port: u16,
    anew: Arc<ClientConfig>,
    again: Arc<ClientConfig>,
}

impl Load {
    fn connect(&self, config: &Arc<ClientConfig>) -> io::Result<Stream> {
        let socket = TcpStream::connect(("127.0.0.1", self.port))?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let client = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
        Ok(StreamOwned::new(client, socket))
    }

    fn connections(
        &self,
        config: &Arc<ClientConfig>,
        count: u64,
        is_again: bool,
    ) -> io::Result<()> {
        for _ in 0..count {
            let mut stream = self.connect(config)?;
            download(&mut stream, 1)?;
            let is_resumed = stream.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
            if is_resumed != is_again {
                return Err(io::Error::other(format!("resumed: {is_resumed}")));
            }
        }
        Ok(())
    }
}

fn download(stream: &mut Stream, count: u64) -> io::Result<()> {
    stream.write_all(&Request::Download(count).bytes())?;
    let mut buffer = [0; 4 * CHUNK_BYTES];
    let mut left = count;
    while left > 0 {
        let wanted = left.min(buffer.len() as u64) as usize;
        let count = stream.read(&mut buffer[..wanted])?;
        if count == 0 || buffer[0] != 7 || buffer[count - 1] != 7 {
            return Err(io::Error::other("not what was asked for"));
        }
        left -= count as u64;
    }
    Ok(())
}

fn upload(stream: &mut Stream, count: u64) -> io::Result<()> {
    stream.write_all(&Request::Upload(count).bytes())?;
    let chunk = [9; CHUNK_BYTES];
    for _ in 0..count / CHUNK_BYTES as u64 {
        stream.write_all(&chunk)?;
    }
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    if answer == *b"!" { Ok(()) } else { Err(io::Error::other("not the answer")) }
}

fn config(resumption: Resumption) -> io::Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous))
        .with_no_client_auth();
    config.resumption = resumption;
    Ok(Arc::new(config))
}

/// The server is our own child, and its proof is not what is measured.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
