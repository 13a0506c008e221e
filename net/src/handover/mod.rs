//! Sockets from whoever has started this process, and for the process that takes over from it.
//!
//! A service that gets its listening sockets from outside can be started when the first client comes, and can be exchanged without
//! refusing anybody: the queue of connections belongs to the socket, which stays open as long as one process has it.
//!
//! - *Socket activation.* systemd (or `systemd-socket-activate`) listens, and leaves the sockets to the service by the variables `LISTEN_FDS`, `LISTEN_PID` and
//!   `LISTEN_FDNAMES`.
//! - *Hand-over.* A running process leaves its sockets to a successor that it starts ([`Sockets::successor`]), or that somebody else has started and that asks over
//!   a Unix socket ([`Sockets::send`]). It goes on accepting until the successor says that it is [`ready`](Sockets::ready); then it stops, and drains what
//!   it has. (A `smolkit::http::Server` does so when the future that was given to its `shutdown` has waited for [`Successor::ready`].)
//!
//! [`Sockets::inherited`] serves for both, and gives nothing to a process that was started by hand:
//!
//! ```
//! use smolkit_net::TcpListener;
//! use smolkit_net::handover::Sockets;
//! # use smolkit_runtime as smolkit;
//!
//! smolkit::block_on(async {
//!     let mut sockets = Sockets::inherited()?;
//!     let listener = match sockets.tcp_listener("http")? {
//!         Some(listener) => listener,
//!         None => TcpListener::bind("127.0.0.1:0").await?,
//!     };
//!     // Whoever had the sockets before stops accepting now.
//!     sockets.ready()?;
//! #   drop(listener);
//!     std::io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! # Children
//!
//! What is inherited is marked to be closed by `exec`, so that no child gets it by accident. The variables stay in the environment, because removing them is only
//! sound while no other thread reads the environment; children ignore them, because they name another process. Who starts one that must not even
//! see them takes them out of its command ([`VARIABLES`]), or removes them at the beginning of `main` ([`remove_variables`]).

mod inherited;
mod kind;
mod sockets;
mod successor;

pub use self::inherited::{VARIABLES, remove_variables};
pub use self::sockets::Sockets;
pub use self::successor::{HANDOVER_VARIABLE, Successor};
