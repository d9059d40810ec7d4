//! `kstate plan`

mod html;
mod json;
mod show;
#[cfg(test)]
mod tests;
mod text;
mod view;

use clap::{Args, Subcommand};

use super::context::Context;
use super::exit::Failure;

/// Looks at a plan: what a script would do, saved to be done later exactly so.
#[derive(Args)]
pub(super) struct Plan {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show what a plan would do
    Show(show::Show),
}

impl Plan {
    pub(super) fn run(self, context: &Context) -> Result<u8, Failure> {
        let Command::Show(show) = self.command;
        show.run(context)
    }
}
