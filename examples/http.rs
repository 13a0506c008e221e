//! An HTTP server with an axum router; it asks itself one question, and stops gracefully.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io;

use axum::{Router, extract::Path, routing::get};
use smolkit::http::Server;
use smolkit::net::{TcpListener, TcpStream};
use smolkit::prelude::*;

fn main() -> io::Result<()> {
    smolkit::block_on(async {
        let router = Router::new().route("/hello/{name}", get(hello));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;

        // The client stands in for the signal that would end a real service: see `smolkit::signal`.
        let client = smolkit::spawn(async move {
            let mut stream = TcpStream::connect(addr).await?;
            stream
                .write_all(b"GET /hello/world HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                .await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            println!("{answer}");
            io::Result::Ok(())
        });
        let done = async move {
            if let Err(error) = client.await {
                eprintln!("the client failed: {error}");
            }
        };
        let drained = Server::new(listener, router).shutdown(done).run().await?;
        println!("{drained:?}");
        Ok(())
    })
}

async fn hello(Path(name): Path<String>) -> String {
    format!("hello, {name}")
}
