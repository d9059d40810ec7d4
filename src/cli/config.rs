//! `kstate config`

use std::io::Write;

use clap::{Args, Subcommand};

use super::context::Context;
use super::exit::{Exit, Failure};
use super::output::print_json;

/// Shows where the state store is.
#[derive(Args)]
pub(super) struct Config {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Every place that can name the state store, what it says, and which one won and why
    Explain,
}

impl Config {
    pub(super) fn run(self, context: &Context) -> Result<u8, Failure> {
        let Command::Explain = self.command;
        let resolution = context.state_store();
        if context.json {
            let value = serde_json::to_value(&resolution)
                .map_err(|error| Failure::new(Exit::FAILED, error.to_string()))?;
            print_json(&value)?;
        } else {
            write!(std::io::stdout().lock(), "{resolution}")?;
        }
        Ok(Exit::DONE)
    }
}
