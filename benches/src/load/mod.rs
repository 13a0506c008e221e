//! What the servers are loaded with.

pub mod echo;
pub mod http;
pub mod proxy;
pub mod tls;
pub mod udp;
pub mod wrk;
