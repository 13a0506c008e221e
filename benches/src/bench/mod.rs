//! The benches, one question each.

pub mod build;
pub mod echo;
pub mod http;
pub mod instructions;
pub mod sizes;
pub mod stress;
pub mod tasks;
pub mod timers;
