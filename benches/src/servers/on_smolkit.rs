//! On smolkit.

use std::io;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use smolkit::http::Server;
use smolkit::net::udp::{BATCH_MAX, RecvBatch, Transmit};
use smolkit::net::{TcpListener, UdpSocket, copy_bidirectional};
use smolkit::{LocalExecutor, Runtime};

use super::{app, futures_io, tls, udp};

pub fn echo(listener: std::net::TcpListener, workers: usize, is_large: bool) -> io::Result<()> {
    let runtime = Runtime::builder().workers(workers).build()?;
    runtime.block_on(runtime.spawn(async move {
        let listener = TcpListener::try_from(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            if is_large {
                smolkit::spawn(futures_io::echo_large(stream)).detach();
            } else {
                smolkit::spawn(futures_io::echo(stream)).detach();
            }
        }
    }))
}

pub fn local_echo(listener: std::net::TcpListener, is_large: bool) -> io::Result<()> {
    let executor = LocalExecutor::new();
    smolkit::block_on(executor.run(async {
        let listener = TcpListener::try_from(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            if is_large {
                executor.spawn(futures_io::echo_large(stream)).detach();
            } else {
                executor.spawn(futures_io::echo(stream)).detach();
            }
        }
    }))
}

/// Joins every two connections.
pub fn proxy(listener: std::net::TcpListener, workers: usize) -> io::Result<()> {
    let runtime = Runtime::builder().workers(workers).build()?;
    runtime.block_on(runtime.spawn(async {
        let listener = TcpListener::try_from(listener)?;
        loop {
            let ((a, _), (b, _)) = (listener.accept().await?, listener.accept().await?);
            smolkit::spawn(async move { copy_bidirectional(&a, &b).await }).detach();
        }
    }))
}

/// Batch by batch.
pub fn udp(socket: std::net::UdpSocket, workers: usize, is_joined: bool) -> io::Result<()> {
    let runtime = Runtime::builder().workers(workers).build()?;
    runtime.block_on(runtime.spawn(async move {
        let socket = UdpSocket::try_from(socket)?;
        socket.set_gro(is_joined)?;
        let buffer_bytes = if is_joined { 65_536 } else { udp::BUFFER_BYTES };
        let mut batch = RecvBatch::new(BATCH_MAX, buffer_bytes)?;
        loop {
            socket.recv_batch(&mut batch).await?;
            let mut answers: Vec<_> = batch
                .iter()
                .map(|message| {
                    let answer = Transmit::new(message.bytes, message.from);
                    answer.in_segments(message.segment_bytes.max(1))
                })
                .collect();
            let mut rest = &mut answers[..];
            while !rest.is_empty() {
                let sent = socket.send_batch(rest).await?;
                rest = &mut rest[sent..];
            }
        }
    }))
}

/// Datagram by datagram.
pub fn udp_singly(socket: std::net::UdpSocket, workers: usize) -> io::Result<()> {
    let runtime = Runtime::builder().workers(workers).build()?;
    runtime.block_on(runtime.spawn(async {
        let socket = UdpSocket::try_from(socket)?;
        let mut buffer = [0; udp::BUFFER_BYTES];
        loop {
            let (count, from) = socket.recv_from(&mut buffer).await?;
            socket.send_to(&buffer[..count], from).await?;
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

pub fn tls(listener: std::net::TcpListener, workers: usize) -> io::Result<()> {
    let acceptor = smolkit_net::tls::TlsAcceptor::from(tls::config()?);
    let runtime = Runtime::builder().workers(workers).build()?;
    runtime.block_on(runtime.spawn(async move {
        let listener = TcpListener::try_from(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let acceptor = acceptor.clone();
            smolkit::spawn(async move {
                // The load generator hangs up when it has had enough.
                let _ = tls::serve(acceptor.accept(stream).await?).await;
                io::Result::Ok(())
            })
            .detach();
        }
    }))
}

pub fn tls_by_futures_rustls(listener: std::net::TcpListener, workers: usize) -> io::Result<()> {
    let acceptor = futures_rustls::TlsAcceptor::from(tls::config()?);
    let runtime = Runtime::builder().workers(workers).build()?;
    runtime.block_on(runtime.spawn(async move {
        let listener = TcpListener::try_from(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let acceptor = acceptor.clone();
            smolkit::spawn(async move {
                // The load generator hangs up when it has had enough.
                let _ = tls::serve(acceptor.accept(stream).await?).await;
                io::Result::Ok(())
            })
            .detach();
        }
    }))
}
