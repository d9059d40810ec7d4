//! `kstate plan show`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::super::context::Context;
use super::super::exit::{Exit, Failure};
use super::super::output;
use super::view::View;
use super::{html, identities, json, text};
use crate::session::plan::difference::Detail;
use crate::session::plan::file;

/// Shows what a plan would do: each object by store and cluster, and how it differs.
///
/// Private keys, tokens and credentials are masked. Exit code 0: nothing to do, 6: there are
/// changes.
#[derive(Args)]
#[expect(clippy::struct_field_names, reason = "the flag is called so")]
pub(in super::super) struct Show {
    /// The plan's file; - for standard input
    file: PathBuf,
    /// Print a page to attach to a change ticket: one HTML file that needs nothing else
    #[arg(long)]
    html: bool,
    /// Show all lines of every difference, and what is in deleted files
    #[arg(long)]
    full: bool,
    /// Show secrets as they are
    #[arg(long)]
    show_secrets: bool,
    #[arg(
        long,
        value_name = "FILE",
        help = "A file with the age identity that opens an encrypted plan; may be given again \
                [env: KSTATE_AGE_IDENTITY]"
    )]
    identity: Vec<PathBuf>,
}

impl Show {
    pub(super) fn run(self, context: &Context) -> Result<u8, Failure> {
        if self.html && context.json {
            return Err(Failure::usage("--html and --json exclude each other"));
        }
        let plan = file::load(&self.file, &identities(self.identity, context))?;
        let detail = Detail {
            full: self.full,
            show_secrets: self.show_secrets,
        };
        let view = View::new(&plan, detail, &self.file.to_string_lossy());
        let stdout = std::io::stdout();
        let shown = if context.json {
            json::render(&view)
        } else if self.html {
            html::render(&view)
        } else {
            text::render(&view, output::color(&stdout))
        };
        let mut stdout = stdout.lock();
        stdout.write_all(shown.as_bytes())?;
        stdout.flush()?;
        Ok(if plan.changes_nothing() {
            Exit::DONE
        } else {
            Exit::CHANGES
        })
    }
}
