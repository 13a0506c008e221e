//! On Tokio.

use std::io;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::{Builder, Runtime};

use super::futures_io::{BUFFER_BYTES, LARGE_BUFFER_BYTES};
use super::tls::{self, CHUNK_BYTES, REQUEST_BYTES, Request};
use super::{app, udp};

fn runtime(workers: usize) -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(workers).enable_all().build()
}

async fn echo_connection(stream: TcpStream) {
    echo_through(&mut [0; BUFFER_BYTES], stream).await;
}

async fn echo_large_connection(stream: TcpStream) {
    echo_through(&mut vec![0; LARGE_BUFFER_BYTES], stream).await;
}

async fn echo_through(buffer: &mut [u8], mut stream: TcpStream) {
    while let Ok(count @ 1..) = stream.read(buffer).await {
        if stream.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

async fn echo_listener(listener: std::net::TcpListener, is_large: bool) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        if is_large {
            tokio::spawn(echo_large_connection(stream));
        } else {
            tokio::spawn(echo_connection(stream));
        }
    }
}

pub fn echo(listener: std::net::TcpListener, workers: usize, is_large: bool) -> io::Result<()> {
    let runtime = runtime(workers)?;
    runtime.block_on(runtime.spawn(echo_listener(listener, is_large)))?
}

pub fn local_echo(listener: std::net::TcpListener, is_large: bool) -> io::Result<()> {
    Builder::new_current_thread().enable_all().build()?.block_on(echo_listener(listener, is_large))
}

/// Joins every two connections, with buffers of this size.
pub fn proxy(
    listener: std::net::TcpListener,
    workers: usize,
    buffer_bytes: usize,
) -> io::Result<()> {
    let runtime = runtime(workers)?;
    runtime.block_on(runtime.spawn(async move {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let ((mut a, _), (mut b, _)) = (listener.accept().await?, listener.accept().await?);
            tokio::spawn(async move {
                copy_bidirectional_with_sizes(&mut a, &mut b, buffer_bytes, buffer_bytes).await
            });
        }
    }))?
}

pub fn udp(socket: std::net::UdpSocket, workers: usize) -> io::Result<()> {
    let runtime = runtime(workers)?;
    runtime.block_on(runtime.spawn(async {
        let socket = UdpSocket::from_std(socket)?;
        let mut buffer = [0; udp::BUFFER_BYTES];
        loop {
            let (count, from) = socket.recv_from(&mut buffer).await?;
            socket.send_to(&buffer[..count], from).await?;
        }
    }))?
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

async fn tls_connection(mut stream: tokio_rustls::server::TlsStream<TcpStream>) -> io::Result<()> {
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

pub fn tls(listener: std::net::TcpListener, workers: usize) -> io::Result<()> {
    let acceptor = tokio_rustls::TlsAcceptor::from(tls::config()?);
    let runtime = runtime(workers)?;
    runtime.block_on(runtime.spawn(async move {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let acceptor = acceptor.clone();
            tokio::spawn(async move { tls_connection(acceptor.accept(stream).await?).await });
        }
    }))?
}
