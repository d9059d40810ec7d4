//! `kstate plan`

mod html;
mod json;
mod make;
mod show;
#[cfg(test)]
mod tests;
mod text;
mod view;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::Global;
use super::context::Context;
use super::exit::Failure;
use crate::session::{self, plan::difference::Detail};
use make::Make;
use view::View;

/// Runs a script without writing anything, and saves what it would do as a plan: `kstate apply`
/// does exactly that later, if everything that the script looked at is still the same.
///
/// Exit code 0: there is nothing to do; 6: there are changes.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Plan {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    make: Make,
}

#[derive(Subcommand)]
enum Command {
    /// Show what a plan would do
    Show(show::Show),
}

/// The identity files for encrypted plans: those that were named, else the one of the environment.
pub(super) fn identities(named: Vec<PathBuf>, context: &Context) -> Vec<PathBuf> {
    if !named.is_empty() {
        return named;
    }
    let env = context.env().get("KSTATE_AGE_IDENTITY");
    env.map(PathBuf::from).into_iter().collect()
}

/// What a plan would do, as a terminal shows it.
pub(super) fn shown(plan: &session::Plan, file: &str, color: bool) -> String {
    text::render(&View::new(plan, Detail::default(), file), color)
}

/// What staged changes would do, as a terminal shows it; in full with every line that differs.
pub(super) fn staged(plan: &session::Plan, full: bool, color: bool) -> String {
    let detail = Detail {
        full,
        ..Detail::default()
    };
    let view = View {
        apply: ":commit".to_owned(),
        ..View::new(plan, detail, "")
    };
    text::render(&view, color)
}

impl Plan {
    /// Takes the flags of this command out of the script's arguments. Whether a script is run.
    pub(super) fn lift_flags(&mut self, global: &mut Global) -> bool {
        let makes = self.command.is_none();
        if makes {
            self.make.lift_flags(global);
        }
        makes
    }

    pub(super) fn run(self, context: &Arc<Context>) -> Result<u8, Failure> {
        match self.command {
            Some(Command::Show(show)) => show.run(context),
            None => self.make.run(context),
        }
    }
}
