//! A server for HTTP/1 and HTTP/2 (prior knowledge) on one port, which takes an [axum](https://docs.rs/axum) router.
//!
//! ```
//! use axum::{Router, routing::get};
//! use smolkit_net::TcpListener;
//! use smolkit_service::http::Server;
//! # use smolkit_runtime as smolkit;
//!
//! smolkit::block_on(async {
//!     let app = Router::new().route("/", get(|| async { "hello" }));
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     // A service waits for `smolkit::signal::shutdown_signal()?` here.
//!     let stop = async {};
//!     let drained = Server::new(listener, app).shutdown(stop).run().await?;
//!     assert_eq!(drained.aborted, 0);
//!     std::io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! # Limits
//!
//! | what | default | set by | what happens |
//! |---|---|---|---|
//! | first byte of a connection | 10 s | [`first_byte_timeout`](Server::first_byte_timeout) | closed |
//! | a request's head, from its first byte | 10 s | [`header_timeout`](Server::header_timeout) | closed |
//! | the client takes or gives no data that a request waits for (1 KiB at least) | 30 s | [`stall_timeout`](Server::stall_timeout) | closed |
//! | no request on a connection | 60 s | [`idle_timeout`](Server::idle_timeout) | closed; HTTP/2: GOAWAY first |
//! | requests in flight at shutdown | 25 s | [`drain_timeout`](Server::drain_timeout) | cancelled |
//! | connections | 25,000 | [`max_connections`](Server::max_connections) | the next ones wait in the kernel's queue |
//! | size of a request's head | 64 KiB, 100 headers | | 431 |
//! | HTTP/2: streams of a connection | 200 | | refused |
//! | HTTP/2: header list | 16 KiB | | 431 or reset |
//! | HTTP/2: streams reset before they were served | 20 | | GOAWAY |
//! | HTTP/2: data waiting to be sent on a stream | 400 KiB | | the handler's body waits |
//!
//! A request may take as long as its handler likes; the size of a body is the router's business
//! (axum's `DefaultBodyLimit`, 2 MiB for its extractors). Time is taken from the coarse clock: a deadline is late by up to 20 ms.
//!
//! HTTP/2: the last 64 KiB of a response count as sent. A client that does not take them is cut by the idle timeout and the stall timeout together.
//!
//! A client that has sent its request and ended its direction gets the whole response. So a client that goes away
//! is noticed when the response is written, not before.
//!
//! # Panics of handlers
//!
//! A handler that panics answers 500; one whose body panics half-way ends its connection (HTTP/2: its stream). Either is logged and
//! counted in [`Drained::panics`]. Connection and server live on.

mod accept;
mod activity;
mod adapter;
mod backlog;
mod body;
mod clock;
mod connection;
mod detect;
mod hub;
mod io;
mod limits;
mod patience;
mod server;

pub use self::server::{Drained, Server};
