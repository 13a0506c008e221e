//! The command line.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand, error::ErrorKind};

use crate::failure::Failure;

/// What was asked for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Print a text: the help or the version.
    Show(String),
    /// Write a project.
    New(New),
    /// Show the templates.
    List,
}

/// Writes complete async projects.
#[derive(Debug, Parser)]
#[command(name = "smolkit", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Commands,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the machine refused: folder not writable, disk full, port in use, cargo missing
  2  the command line cannot be right: bad name, unknown template, folder not empty
  With --run, once the service is up, its own exit code.";

#[derive(Debug, Subcommand)]
enum Commands {
    /// Write a new project
    New(New),
    /// Show the templates
    List,
}

/// Writes a new project: all of it, or nothing.
///
/// From a checkout of smolkit the project depends on that checkout, otherwise on this version.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct New {
    /// Name of the project: lower-case letters, digits, '-' and '_'
    pub(crate) name: OsString,

    /// What to write; `smolkit list` shows the choice
    #[arg(long, default_value = "http")]
    pub(crate) template: String,

    /// Folder that becomes the project, instead of ./NAME
    ///
    /// It must not exist yet, or be empty; its parent must exist.
    #[arg(long, value_name = "DIR")]
    pub(crate) path: Option<PathBuf>,

    /// Build and start the project in release mode; Ctrl-C stops it
    #[arg(long)]
    pub(crate) run: bool,

    /// Where the started service listens; port 0 takes a free one
    #[arg(
        long,
        value_name = "ADDR",
        requires = "run",
        default_value = "127.0.0.1:8080",
        value_parser = address,
    )]
    pub(crate) listen: SocketAddr,

    /// Only show the files that would be written
    #[arg(long, conflicts_with = "run")]
    pub(crate) dry_run: bool,
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "expected an IP address and a port, such as 127.0.0.1:8080")
}

pub(crate) fn parse() -> Result<Command, Failure> {
    match Cli::try_parse() {
        Ok(Cli { command: Commands::New(new) }) => Ok(Command::New(new)),
        Ok(Cli { command: Commands::List }) => Ok(Command::List),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                Ok(Command::Show(error.to_string()))
            }
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Err(Failure::usage(
                "nothing to do: try `smolkit new NAME`, `smolkit list` or `smolkit --help`",
            )),
            _ => Err(Failure::usage(one_line(&error.to_string()))),
        },
    }
}

/// The first paragraphs of clap's report, without the usage that follows, as a line.
fn one_line(report: &str) -> String {
    let lines = report
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty());
    let line = lines.collect::<Vec<_>>().join(" ");
    format!("{}; see `smolkit --help`", line.trim_start_matches("error: "))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_report_becomes_a_line() {
        let report =
            "error: bad\n\n  tip: good\n\nUsage: x\n\nFor more information, try '--help'.\n";
        assert_eq!(one_line(report), "bad tip: good; see `smolkit --help`");
    }
}
