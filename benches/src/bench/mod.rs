//! The benches, one question each.

pub mod build;
pub mod channels;
pub mod contest;
pub mod echo;
pub mod files;
pub mod http;
pub mod idle;
pub mod instructions;
pub mod method;
pub mod processes;
pub mod proxy;
pub mod scaling;
pub mod sizes;
pub mod stress;
pub mod sync;
pub mod tasks;
pub mod timers;
pub mod tls;
pub mod udp;
