//! What the servers are loaded with.

pub mod echo;
pub mod http;
pub mod wrk;
