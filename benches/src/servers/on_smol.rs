//! On smol.

use std::io;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::service::TowerToHyperService;
use smol::net::{TcpListener, TcpStream, UdpSocket};
use smol::{Async, LocalExecutor};
use smol_hyper::rt::FuturesIo;

use super::{app, futures_io, tls, udp};

/// smol starts as many threads as the environment says, when it is first needed.
fn set_workers(workers: usize) {
    // SAFETY: this process has one thread so far.
    unsafe { std::env::set_var("SMOL_THREADS", workers.to_string()) };
}

fn listener(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    Ok(TcpListener::from(Async::new(listener)?))
}

pub fn echo(std: std::net::TcpListener, workers: usize, is_large: bool) -> io::Result<()> {
    set_workers(workers);
    smol::block_on(smol::spawn(async move {
        let listener = listener(std)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            if is_large {
                smol::spawn(futures_io::echo_large(stream)).detach();
            } else {
                smol::spawn(futures_io::echo(stream)).detach();
            }
        }
    }))
}

pub fn local_echo(std: std::net::TcpListener, is_large: bool) -> io::Result<()> {
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let listener = listener(std)?;
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
pub fn proxy(std: std::net::TcpListener, workers: usize) -> io::Result<()> {
    set_workers(workers);
    smol::block_on(smol::spawn(async {
        let listener = listener(std)?;
        loop {
            let ((a, _), (b, _)) = (listener.accept().await?, listener.accept().await?);
            smol::spawn(futures_io::proxy(a, b)).detach();
        }
    }))
}

pub fn udp(socket: std::net::UdpSocket, workers: usize) -> io::Result<()> {
    set_workers(workers);
    smol::block_on(smol::spawn(async {
        let socket = UdpSocket::from(Async::new(socket)?);
        let mut buffer = [0; udp::BUFFER_BYTES];
        loop {
            let (count, from) = socket.recv_from(&mut buffer).await?;
            socket.send_to(&buffer[..count], from).await?;
        }
    }))
}

pub fn hyper(std: std::net::TcpListener, workers: usize) -> io::Result<()> {
    serve(std, workers, |stream| {
        let connection = http1::Builder::new()
            .serve_connection(FuturesIo::new(stream), service_fn(app::constant));
        smol::spawn(async {
            // The load generator hangs up when it has had enough.
            let _ = connection.await;
        })
        .detach();
    })
}

pub fn axum(std: std::net::TcpListener, workers: usize) -> io::Result<()> {
    let router = app::router();
    serve(std, workers, move |stream| {
        let service = TowerToHyperService::new(router.clone());
        let connection = http1::Builder::new().serve_connection(FuturesIo::new(stream), service);
        smol::spawn(async {
            // The load generator hangs up when it has had enough.
            let _ = connection.await;
        })
        .detach();
    })
}

fn serve(
    std: std::net::TcpListener,
    workers: usize,
    connection: impl Fn(TcpStream) + Send + 'static,
) -> io::Result<()> {
    set_workers(workers);
    smol::block_on(smol::spawn(async move {
        let listener = listener(std)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            connection(stream);
        }
    }))
}

pub fn tls(std: std::net::TcpListener, workers: usize) -> io::Result<()> {
    set_workers(workers);
    let acceptor = futures_rustls::TlsAcceptor::from(tls::config()?);
    smol::block_on(smol::spawn(async move {
        let listener = listener(std)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let acceptor = acceptor.clone();
            smol::spawn(async move {
                // The load generator hangs up when it has had enough.
                let _ = tls::serve(acceptor.accept(stream).await?).await;
                io::Result::Ok(())
            })
            .detach();
        }
    }))
}
