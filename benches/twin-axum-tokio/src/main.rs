//! The service that `smolkit new` writes, as one writes it with axum and Tokio: the same routes, settings, metrics, logs and shutdown.
//! What axum's own server does not have, such as deadlines for a request's head and a limit of connections, is missing here too.
#![forbid(unsafe_code)]

mod config;
mod metrics;
mod notes;
mod problem;
mod routes;
mod telemetry;

use std::{io, process::ExitCode};

use clap::Parser;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use crate::{config::Config, routes::Readiness};

#[tokio::main]
async fn main() -> ExitCode {
    let config = Config::parse();
    telemetry::init(&config);
    match serve(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", env!("CARGO_PKG_NAME"));
            ExitCode::FAILURE
        }
    }
}

/// Serves until SIGINT or SIGTERM, then lets the open requests finish.
async fn serve(config: Config) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind(config.listen).await.map_err(|error| {
        let address = config.listen;
        let hint = "choose another address with --listen";
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}; {hint}"))
    })?;
    info!("listening on http://{}", listener.local_addr()?);

    let ready = Readiness::default();
    let router = routes::router(&config, ready.clone());
    let (stopping, stopped) = oneshot::channel();
    let mut server = tokio::spawn(async move {
        axum::serve(listener, router)
            .with_graceful_shutdown(async move {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                info!("shutting down");
                ready.turn_off();
                sleep(config.shutdown_delay).await;
                // Whoever waits for it has gone only if the server has ended already.
                let _ = stopping.send(());
            })
            .await
    });

    tokio::select! {
        ended = &mut server => ended.map_err(io::Error::other)??,
        _ = stopped => match timeout(config.drain_timeout, &mut server).await {
            Ok(ended) => ended.map_err(io::Error::other)??,
            Err(_elapsed) => warn!("cut off at the drain timeout"),
        },
    }
    info!("stopped");
    Ok(())
}
