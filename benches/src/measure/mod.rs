//! Processes, clocks, counters and tables.

pub mod callgrind;
pub mod child;
pub mod cpu;
pub mod machine;
pub mod statistics;
pub mod syscalls;
pub mod table;
