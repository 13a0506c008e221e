//! Settings: a flag, else the environment variable of the same name, else the default.

use std::{net::SocketAddr, time::Duration};

use clap::{Parser, ValueEnum};
use tracing_subscriber::filter::{LevelFilter, Targets};

/// An HTTP service that keeps notes in memory.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Config {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, env, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// What to log: a level, or levels by module such as `debug,h2=warn`
    #[arg(long, env, value_name = "LEVEL", default_value = "info", value_parser = levels)]
    pub log_level: Targets,

    /// How to log
    #[arg(long, env, value_name = "FORMAT", default_value = "auto")]
    pub log_format: LogFormat,

    /// Largest request body, in bytes
    #[arg(long, env, value_name = "BYTES", default_value_t = 16 * 1024)]
    pub body_max: usize,

    /// How many notes are kept at most
    #[arg(long, env, value_name = "COUNT", default_value_t = 1000)]
    pub notes_max: usize,

    /// How long to keep accepting connections after /readyz has turned to 503
    #[arg(long, env, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub shutdown_delay: Duration,

    /// How long open requests may take to finish at shutdown
    #[arg(long, env, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub drain_timeout: Duration,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    /// `human` on a terminal, `json` otherwise
    Auto,
    /// One line of text per event
    Human,
    /// One JSON object per event
    Json,
}

/// Parses `info` or `debug,h2=warn`. A word alone would also pass as the name of a module.
fn levels(text: &str) -> Result<Targets, String> {
    let wrong = |part: &&str| !part.contains('=') && part.parse::<LevelFilter>().is_err();
    match text.split(',').find(wrong) {
        Some(word) => Err(format!("{word:?} is not off, error, warn, info, debug or trace")),
        None => text.parse().map_err(|error| format!("expected MODULE=LEVEL: {error}")),
    }
}

/// Parses `500ms`, `10s` or `2m`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let millis = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        _ => None,
    };
    number
        .parse::<u64>()
        .ok()
        .zip(millis)
        .and_then(|(number, millis)| number.checked_mul(millis))
        .map(Duration::from_millis)
        .ok_or_else(|| "expected a number and a unit, such as 500ms, 10s or 2m".into())
}
