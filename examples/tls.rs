//! A server and a client that talk through TLS, with a certificate made on the spot.

#![allow(clippy::print_stdout)]

use smolkit::net::tls::{Identity, Roots, TlsAcceptor, TlsConnector, TlsListener};
use smolkit::net::{TcpListener, TcpStream};
use smolkit::{io, prelude::*};

fn main() -> io::Result<()> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])
        .map_err(|error| io::Error::other(format!("cannot make a certificate: {error}")))?;
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    // A service has them in files: `Identity::from_pem_files`, and `watch` to read them again when they are renewed.
    let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes())?;
    let acceptor = TlsAcceptor::builder(identity).alpn(["echo/1"]).build()?;
    for certificate in acceptor.certificates() {
        println!("certificate for {:?}, until {:?}", certificate.names, certificate.not_after);
    }
    // It trusts this one certificate, and nobody else.
    let connector = TlsConnector::builder(Roots::pem(certificate.as_bytes())?);
    let connector = connector.alpn(["echo/1"]).build()?;

    smolkit::block_on(async {
        let tcp = TcpListener::bind("127.0.0.1:0").await?;
        let port = tcp.local_addr()?.port();
        let mut listener = TlsListener::new(tcp, acceptor)
            .on_failure(|peer, error| println!("{peer} is not let in: {error}"));
        let server = smolkit::spawn(async move {
            let (mut stream, peer) = listener.accept().await?;
            println!("{peer} asked for {:?}: {stream:?}", stream.server_name());
            let mut text = String::new();
            stream.read_to_string(&mut text).await?;
            stream.write_all(text.as_bytes()).await?;
            stream.close().await
        });

        // Whoever asks for somebody else is warned.
        let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
        if let Err(error) = connector.connect("elsewhere.example", tcp).await {
            println!("the client: {error}");
        }

        let mut stream = connector.connect_tcp("localhost", port).await?;
        stream.write_all(b"hello").await?;
        stream.close().await?;
        let mut echo = String::new();
        stream.read_to_string(&mut echo).await?;
        println!("the echo is {echo:?}");
        server.await
    })
}
