//! On Tokio.

use std::io;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use super::app;
use super::futures_io::BUFFER_BYTES;

fn runtime(workers: usize) -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(workers).enable_all().build()
}

async fn echo_connection(mut stream: TcpStream) {
    let mut buffer = [0; BUFFER_BYTES];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

async fn echo_listener(listener: std::net::TcpListener) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(echo_connection(stream));
    }
}

pub fn echo(listener: std::net::TcpListener, workers: usize) -> io::Result<()> {
    let runtime = runtime(workers)?;
    runtime.block_on(runtime.spawn(echo_listener(listener)))?
}

pub fn local_echo(listener: std::net::TcpListener) -> io::Result<()> {
    Builder::new_current_thread().enable_all().build()?.block_on(echo_listener(listener))
}

pub fn hyper(listener: std::net::TcpListener, workers: usize) -> io::Result<()> {
    let runtime = runtime(workers)?;
    runtime.block_on(runtime.spawn(async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let connection = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(app::constant));
            tokio::spawn(connection);
        }
    }))?
}

pub fn axum(listener: std::net::TcpListener, workers: usize) -> io::Result<()> {
    let runtime = runtime(workers)?;
    runtime.block_on(runtime.spawn(async {
        use axum::serve::ListenerExt;
        let listener = TcpListener::from_std(listener)?.tap_io(|stream| {
            // It is a question of latency only; the answer is one write.
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, app::router()).await
    }))?
}
