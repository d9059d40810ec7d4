//! `kstate init` and `kstate new`: files to begin with.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::context::Context;
use super::exit::{Exit, Failure};
use super::output::print_json;
use crate::lua::generate;
use crate::named_file;
use crate::store::registry::is_ours;

/// Prepares a folder for writing scripts in an editor.
///
/// Writes .luarc.json and types/kstate.lua, by which lua-language-server completes and checks
/// `kstate`, and stylua.toml for the formatter. Run it again after an upgrade.
#[derive(Args)]
pub(super) struct Init {
    /// The folder
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Also replace files that differ from what would be written
    #[arg(long)]
    force: bool,
}

impl Init {
    pub(super) fn run(&self, context: &Context) -> Result<u8, Failure> {
        let files = [
            (
                ".luarc.json",
                include_str!("templates/luarc.json").to_owned(),
            ),
            (
                "stylua.toml",
                include_str!("templates/stylua.toml").to_owned(),
            ),
            ("types/kstate.lua", generate::stubs()),
        ];
        let files = files.map(|(name, text)| (self.folder.join(name), text));
        write_files(context, &files, self.force, "--force replaces them")
    }
}

/// Writes a script or a backend to begin with.
#[derive(Args)]
pub(super) struct New {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Write scripts/NAME.lua, which kstate run NAME runs, and a test of it
    Script {
        /// Its name: small letters, digits and _
        #[arg(value_parser = script_name)]
        name: String,
    },
    /// Write backends/NAME.lua, which opens stores at NAME://
    Backend {
        /// Its name, and the scheme of its stores: small letters and digits
        #[arg(value_parser = scheme_name)]
        name: String,
    },
}

const OTHER_NAME: &str = "choose another name";

const SHELF: &str = include_str!("../../examples/backends/shelf.lua");

impl New {
    pub(super) fn run(&self, context: &Context) -> Result<u8, Failure> {
        match &self.what {
            What::Script { name } => {
                let files = [
                    (".lua", include_str!("templates/script.lua")),
                    ("_test.lua", include_str!("templates/script_test.lua")),
                ];
                let files = files.map(|(ending, text)| {
                    let file = PathBuf::from(format!("scripts/{name}{ending}"));
                    (file, text.replace("NAME", name))
                });
                write_files(context, &files, false, OTHER_NAME)?;
                tracing::info!("kstate run {name} --dry-run runs it, kstate test its test");
            }
            What::Backend { name } => {
                let file = format!("backends/{name}.lua");
                let text = SHELF
                    .replace("examples/backends/shelf.lua", &file)
                    .replace("shelf", name);
                write_files(context, &[(PathBuf::from(&file), text)], false, OTHER_NAME)?;
                tracing::info!("kstate --backend {file} backend test {name}://demo tests it");
            }
        }
        Ok(Exit::DONE)
    }
}

fn script_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err("a name is small letters, digits and _, a letter first".to_owned())
}

fn scheme_name(text: &str) -> Result<String, String> {
    if text.contains('_') {
        return Err("a scheme has no _".to_owned());
    }
    if is_ours(text) {
        return Err("kstate's own stores have this scheme".to_owned());
    }
    script_name(text)
}

/// Writes files, and leaves alone those that are there: one that differs is refused, unless it is
/// to be replaced.
pub(super) fn write_files(
    context: &Context,
    files: &[(PathBuf, String)],
    force: bool,
    hint: &str,
) -> Result<u8, Failure> {
    let mut written = Vec::new();
    let mut differing = Vec::new();
    for (file, text) in files {
        let shown = file.display();
        let failed = |what: &str, error: std::io::Error| {
            Failure::new(Exit::FAILED, format!("cannot {what} {shown}: {error}"))
        };
        match named_file::text(file).map_err(|error| failed("read", error))? {
            Some(there) if there == *text => {}
            Some(_) if !force => differing.push(shown.to_string()),
            there => {
                if !context.dry_run() {
                    let written = match there {
                        Some(_) => named_file::replace(file, text),
                        None => named_file::create(file, text),
                    };
                    written.map_err(|error| failed("write", error))?;
                }
                written.push(file);
            }
        }
    }
    if context.json {
        print_json(&json!({ "written": written, "differing": differing }))?;
    } else {
        let mut out = std::io::stdout().lock();
        for file in &written {
            writeln!(out, "{}", file.display())?;
        }
    }
    if differing.is_empty() {
        return Ok(Exit::DONE);
    }
    Err(Failure::refused(format!(
        "there already, and other than what would be written: {}",
        differing.join(", ")
    ))
    .hint(hint))
}
