//! What choices are called on the command line, and in tables.

use clap::ValueEnum;

/// The name of one of them.
pub fn word(choice: &impl ValueEnum) -> String {
    choice.to_possible_value().expect("no variant is skipped").get_name().to_owned()
}
