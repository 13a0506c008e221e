//! On smolkit.

use std::io;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use smolkit::http::Server;
use smolkit::net::TcpListener;
use smolkit::{LocalExecutor, Runtime};

use super::{app, futures_io};

pub fn echo(listener: std::net::TcpListener, workers: usize) -> io::Result<()> {
    let runtime = Runtime::builder().workers(workers).build()?;
    runtime.block_on(runtime.spawn(async {
        let listener = TcpListener::try_from(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            smolkit::spawn(futures_io::echo(stream)).detach();
        }
    }))
}

pub fn local_echo(listener: std::net::TcpListener) -> io::Result<()> {
    let executor = LocalExecutor::new();
    smolkit::block_on(executor.run(async {
        let listener = TcpListener::try_from(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            executor.spawn(futures_io::echo(stream)).detach();
        }
    }))
}

pub fn hyper(listener: std::net::TcpListener, workers: usize) -> io::Result<()> {
    let runtime = Runtime::builder().workers(workers).build()?;
    runtime.block_on(runtime.spawn(async {
        let listener = TcpListener::try_from(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let connection =
                http1::Builder::new().serve_connection(stream, service_fn(app::constant));
            smolkit::spawn(async {
                // The load generator hangs up when it has had enough.
                let _ = connection.await;
            })
            .detach();
        }
    }))
}

pub fn axum(listener: std::net::TcpListener, workers: usize) -> io::Result<()> {
    let runtime = Runtime::builder().workers(workers).build()?;
    runtime.block_on(runtime.spawn(async {
        let listener = TcpListener::try_from(listener)?;
        Server::new(listener, app::router()).run().await.map(drop)
    }))
}
