//! `kstate man` and `kstate completions`: the command line, told to man and to shells.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man as Page;

use super::Cli;
use super::context::Context;
use super::exit::{Exit, Failure};
use super::init::{Differing, write_files};

/// Writes the manual pages: kstate.1, and one for each command.
///
/// Without a folder, prints kstate.1: `kstate man | man -l -`
#[derive(Args)]
pub(super) struct Man {
    /// Where to write them, such as ~/.local/share/man/man1
    folder: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(&self, context: &Context) -> Result<u8, Failure> {
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        let Some(folder) = &self.folder else {
            Page::new(command).render(&mut std::io::stdout().lock())?;
            return Ok(Exit::DONE);
        };
        let mut pages = Vec::new();
        collect(command, &mut pages)?;
        for (file, _) in &mut pages {
            *file = folder.join(&file);
        }
        // They are nobody's own: an upgrade writes them again.
        write_files(context, &pages, |_| Differing::Replaced)?;
        Ok(Exit::DONE)
    }
}

/// The pages of a command and of those below it.
fn collect(command: clap::Command, pages: &mut Vec<(PathBuf, String)>) -> Result<(), Failure> {
    let below: Vec<_> = command.get_subcommands().cloned().collect();
    let page = Page::new(command);
    let mut text = Vec::new();
    page.render(&mut text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    pages.push((page.get_filename().into(), text));
    below.into_iter().try_for_each(|one| collect(one, pages))
}

/// Prints what completes kstate's commands and flags in a shell.
///
/// bash: kstate completions bash > ~/.local/share/bash-completion/completions/kstate
///
/// zsh: kstate completions zsh > _kstate, in a folder of $fpath
///
/// fish: kstate completions fish > ~/.config/fish/completions/kstate.fish
#[derive(Args)]
pub(super) struct Completions {
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "kstate", &mut script);
        std::io::stdout().write_all(&script)?;
        Ok(Exit::DONE)
    }
}
