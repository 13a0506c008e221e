//! An HTTP service that keeps notes.
//!
//! `config` says what can be set, `routes` what is served, `notes` what is kept, `problem` what an
//! error looks like, and `telemetry` what is logged.
#![forbid(unsafe_code)]

mod config;
mod notes;
mod problem;
mod routes;
mod telemetry;

use std::{io, process::ExitCode};

use clap::Parser;
use smolkit::{Timer, http::Server, net::TcpListener, signal::shutdown_signal};
use tracing::{info, warn};

use crate::{config::Config, routes::Readiness};

fn main() -> ExitCode {
    let config = Config::parse();
    telemetry::init(&config);
    match smolkit::block_on(serve(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", env!("CARGO_PKG_NAME"));
            ExitCode::FAILURE
        }
    }
}

/// Serves until SIGINT or SIGTERM, then lets the open requests finish.
async fn serve(config: Config) -> io::Result<()> {
    let signal = shutdown_signal()?;
    let listener = TcpListener::bind(config.listen).await.map_err(|error| {
        let address = config.listen;
        let hint = "choose another address with --listen";
        io::Error::new(
            error.kind(),
            format!("cannot listen on {address}: {error}; {hint}"),
        )
    })?;
    info!("listening on http://{}", listener.local_addr()?);

    let ready = Readiness::default();
    let drained = Server::new(listener, routes::router(&config, ready.clone()))
        .drain_timeout(config.drain_timeout)
        .shutdown(async move {
            signal.await;
            info!("shutting down");
            // Balancers see the 503 and go elsewhere before the listener closes.
            ready.turn_off();
            Timer::after(config.shutdown_delay).await;
        })
        .run()
        .await?;

    if drained.aborted > 0 {
        warn!(
            connections = drained.aborted,
            "cut off at the drain timeout"
        );
    }
    info!("stopped");
    Ok(())
}
