//! `kstate init` and `kstate new`: files to begin with.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::check::plain;
use super::context::Context;
use super::exit::{Exit, Failure};
use super::output::print_json;
use crate::lua::generate;
use crate::named_file;
use crate::scripts;
use crate::store::registry::is_ours;

/// Prepares a folder for writing scripts in an editor.
///
/// Writes .luarc.json and types/kstate.lua, by which lua-language-server completes and checks
/// `kstate`, and stylua.toml for the formatter. Run it again after an upgrade: types/kstate.lua is
/// renewed, and settings that you changed stay.
#[derive(Args)]
pub(super) struct Init {
    /// The folder
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Give files that differ from what would be written another name, and write ours
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
        let files = files.map(|(name, text)| {
            let file = self.folder.join(name);
            (plain(&file).to_owned(), text)
        });
        let left = write_files(context, &files, |there| {
            if generate::is_stubs(there) {
                Differing::Replaced
            } else if self.force {
                Differing::SetAside
            } else {
                Differing::Stays
            }
        })?;
        if !left.is_empty() {
            tracing::warn!(
                "left as it is, though other than ours: {}; --force gives it another name and writes ours",
                left.join(", ")
            );
        }
        tracing::info!("kstate new script NAME writes a script to begin with");
        Ok(Exit::DONE)
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
                write_new(context, &files)?;
                tracing::info!("kstate run {name} --dry-run runs it, kstate test its test");
            }
            What::Backend { name } => {
                let file = format!("backends/{name}.lua");
                let text = SHELF
                    .replace("examples/backends/shelf.lua", &file)
                    .replace("shelf", name);
                write_new(context, &[(PathBuf::from(&file), text)])?;
                tracing::info!("kstate --backend {file} backend test {name}://demo tests it");
            }
        }
        Ok(Exit::DONE)
    }
}

fn script_name(text: &str) -> Result<String, String> {
    if text.ends_with("_test") {
        return Err("the names of tests end in _test, and a test is written too".to_owned());
    }
    if scripts::embedded(text).is_some() {
        return Err(format!(
            "a script that ships with kstate has this name; kstate scripts eject {text} makes it yours"
        ));
    }
    plain_name(text)
}

fn plain_name(text: &str) -> Result<String, String> {
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
    if scripts::backends().any(|(_, schemes)| schemes.iter().any(|scheme| scheme == text)) {
        return Err(
            "a backend that ships with kstate has this scheme; kstate scripts list shows it"
                .to_owned(),
        );
    }
    plain_name(text)
}

fn write_new(context: &Context, files: &[(PathBuf, String)]) -> Result<(), Failure> {
    let left = write_files(context, files, |_| Differing::Stays)?;
    if left.is_empty() {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "there already, and other than what would be written: {}",
        left.join(", ")
    ))
    .hint("choose another name"))
}

/// What becomes of a file that is there, and differs from what would be written.
pub(super) enum Differing {
    Stays,
    SetAside,
    Replaced,
}

/// Writes files, and tells which; gives those that differ and stay.
pub(super) fn write_files(
    context: &Context,
    files: &[(PathBuf, String)],
    differing: impl Fn(&str) -> Differing,
) -> Result<Vec<String>, Failure> {
    let (mut written, mut left, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for (file, text) in files {
        let shown = file.display().to_string();
        let failed = |what: &str, error: std::io::Error| {
            Failure::new(Exit::FAILED, format!("cannot {what} {shown}: {error}"))
        };
        let there = named_file::text(file).map_err(|error| failed("read", error))?;
        if there.as_ref() == Some(text) {
            continue;
        }
        let fate = there.as_deref().map(&differing);
        if matches!(fate, Some(Differing::Stays)) {
            left.push(shown);
            continue;
        }
        if !context.dry_run() {
            if matches!(fate, Some(Differing::SetAside)) {
                let aside = named_file::set_aside(file).map_err(|error| failed("move", error))?;
                tracing::warn!("what was in {shown} is now in {}", aside.display());
                kept.push(aside);
            }
            let write = match fate {
                Some(Differing::Replaced) => named_file::replace,
                _ => named_file::create,
            };
            write(file, text).map_err(|error| failed("write", error))?;
        }
        written.push(file);
    }
    if context.json {
        print_json(&json!({ "written": written, "differing": left, "kept": kept }))?;
    } else {
        let mut out = std::io::stdout().lock();
        for file in &written {
            writeln!(out, "{}", file.display())?;
        }
    }
    if written.is_empty() && left.is_empty() {
        tracing::info!("all is there already, nothing was written");
    }
    Ok(left)
}
