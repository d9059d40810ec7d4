//! `kstate scripts`: what ships with kstate, and the user's own copies of it.

use std::io::Write;
use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use super::context::Context;
use super::exit::{Exit, Failure};
use super::output::print_json;
use crate::scripts::eject::{self, Ejected, Folders, Outcome};
use crate::scripts::{Kind, Shipped, shipped};
use crate::text::{did_you_mean, unified_diff};

/// The scripts that ship with kstate, and your own copies of them.
#[derive(Args)]
pub(super) struct Scripts {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List what ships with kstate, and which of it you have a copy of
    List,
    /// Print a script as it ships with kstate
    Show {
        /// Its name, as `kstate scripts list` shows it
        name: String,
    },
    /// Write a script to ./scripts, as yours to edit
    ///
    /// `kstate run NAME` runs the copy from then on. What it was made from is kept beside it, in
    /// .ejected: keep both in version control, and `kstate scripts diff` tells after an upgrade
    /// what changed in ours and what you changed. A file that is there is never overwritten.
    Eject {
        /// Its name, as `kstate scripts list` shows it
        name: String,
        /// Give a file that is in the way another name, and write the script all the same
        #[arg(long)]
        force: bool,
        /// Write it to your own folder, for all projects: `$XDG_DATA_HOME/kstate`
        #[arg(long)]
        user: bool,
    },
    /// Show what you changed in your copies, and what changed in ours since they were made
    ///
    /// Ends with 1 when anything differs.
    Diff {
        /// The name of one script; all by default
        name: Option<String>,
    },
}

impl Scripts {
    pub(super) fn run(self, context: &Context) -> Result<u8, Failure> {
        let folders = Folders::new(context.env());
        match self.command {
            Command::List => list(context, &folders),
            Command::Show { name } => {
                let text = named(&name)?.text;
                std::io::stdout().lock().write_all(text.as_bytes())?;
                Ok(Exit::DONE)
            }
            Command::Eject { name, force, user } => {
                let shipped = named(&name)?;
                let file = if user {
                    let file = folders.for_user(&shipped);
                    file.ok_or_else(|| {
                        Failure::usage("you have no home: set HOME or XDG_DATA_HOME")
                    })?
                } else {
                    Folders::here(&shipped)
                };
                write_out(context, &shipped, &file, force)
            }
            Command::Diff { name } => diff(context, &folders, name.as_deref()),
        }
    }
}

fn named(name: &str) -> Result<Shipped, Failure> {
    shipped().find(|one| one.name == name).ok_or_else(|| {
        let names: Vec<_> = shipped().map(|one| one.name).collect();
        let near = did_you_mean(name, names.iter().map(String::as_str));
        Failure::usage(format!("no script '{name}' ships with kstate{near}"))
            .hint("kstate scripts list shows those that do")
    })
}

fn find(folders: &Folders, shipped: &Shipped) -> Result<Option<Ejected>, Failure> {
    folders.find(shipped).map_err(|error| {
        Failure::new(
            Exit::FAILED,
            format!("cannot read your copy of {}: {error}", shipped.name),
        )
    })
}

/// How a copy differs from what it was made from, and that from what ships now.
struct Changes {
    yours: bool,
    ours: bool,
    /// The version that it was made from.
    since: Option<String>,
}

impl Changes {
    fn of(shipped: &Shipped, copy: &Ejected) -> Self {
        let base = copy.base.as_ref();
        Self {
            // Without what it was made from, all of the difference may be the person's.
            yours: copy.text != base.map_or(shipped.text, |base| &base.text),
            ours: base.is_some_and(|base| base.text != shipped.text),
            since: base.map(|base| base.version.clone()),
        }
    }

    fn words(&self) -> String {
        let mut words = Vec::new();
        if self.yours {
            words.push("changed by you".to_owned());
        }
        if self.ours {
            let since = self.since.as_deref().unwrap_or_default();
            words.push(format!("ours changed since {since}"));
        }
        words.join(", ")
    }
}

fn list(context: &Context, folders: &Folders) -> Result<u8, Failure> {
    let mut rows = Vec::new();
    for one in shipped() {
        let copy = find(folders, &one)?;
        rows.push((one, copy));
    }
    if context.json {
        let list = rows.iter().map(|(one, copy)| to_json(one, copy.as_ref()));
        print_json(&list.collect::<Json>())?;
        return Ok(Exit::DONE);
    }
    let width = rows.iter().map(|(one, _)| one.name.len()).max();
    let (width, mut out) = (width.unwrap_or_default(), std::io::stdout().lock());
    for (kind, title) in [
        (Kind::Script, "scripts, for kstate run:"),
        (Kind::Backend, "\nbackends, which open stores:"),
        (Kind::Module, "\nmodules, which scripts require:"),
    ] {
        writeln!(out, "{title}")?;
        for (one, copy) in rows.iter().filter(|(one, _)| one.kind == kind) {
            writeln!(out, "  {:width$}  {}", one.name, one.summary())?;
            if let Some(copy) = copy {
                let changes = Changes::of(one, copy).words();
                let file = copy.file.display();
                let changes = if changes.is_empty() {
                    "unchanged".to_owned()
                } else {
                    changes
                };
                writeln!(out, "  {:width$}  → {file} ({changes})", "")?;
            }
        }
    }
    Ok(Exit::DONE)
}

fn to_json(shipped: &Shipped, copy: Option<&Ejected>) -> Json {
    let copy = copy.map(|copy| {
        let changes = Changes::of(shipped, copy);
        json!({
            "file": copy.file,
            "from_version": changes.since,
            "changed_by_you": changes.yours,
            "changed_by_us": changes.ours,
        })
    });
    json!({
        "name": shipped.name,
        "kind": shipped.kind.word(),
        "summary": shipped.summary(),
        "copy": copy,
    })
}

fn write_out(
    context: &Context,
    shipped: &Shipped,
    file: &Path,
    force: bool,
) -> Result<u8, Failure> {
    let shown = file.display();
    if context.dry_run() {
        tracing::info!("{} would be written to {shown}", shipped.name);
        return Ok(Exit::DONE);
    }
    let outcome = eject::eject(shipped, file, force)
        .map_err(|error| Failure::new(Exit::FAILED, format!("cannot write {shown}: {error}")))?;
    match &outcome {
        Outcome::Written { kept } => {
            if let Some(kept) = kept {
                tracing::warn!("what was in {shown} is now in {}", kept.display());
            }
            tracing::info!(
                "{} is now in {shown}; {}",
                shipped.name,
                used(shipped, file)
            );
        }
        Outcome::AlreadyThere => tracing::info!("{shown} has the same text already"),
        Outcome::InTheWay => {
            return Err(Failure::refused(format!(
                "{shown} is there already, and is another text; nothing was written"
            ))
            .hint(format!(
                "kstate scripts diff {} shows how it differs; --force gives it another name",
                shipped.name
            )));
        }
    }
    if context.json {
        let kept = match outcome {
            Outcome::Written { kept } => kept,
            _ => None,
        };
        print_json(&json!({ "file": file, "kept": kept }))?;
    }
    Ok(Exit::DONE)
}

/// How the copy comes to be used.
fn used(shipped: &Shipped, file: &Path) -> String {
    let name = &shipped.name;
    match shipped.kind {
        Kind::Script => format!("kstate run {name} runs that"),
        Kind::Module => {
            format!("scripts in that folder that require \"{name}\" get that, ours don't")
        }
        Kind::Backend if file.is_absolute() => "it opens its stores from now on".to_owned(),
        Kind::Backend => format!("kstate --backend {} opens its stores", file.display()),
    }
}

fn diff(context: &Context, folders: &Folders, name: Option<&str>) -> Result<u8, Failure> {
    let wanted = match name {
        Some(name) => vec![named(name)?],
        None => shipped().collect(),
    };
    let mut differs = false;
    let mut list = Vec::new();
    for one in wanted {
        let Some(copy) = find(folders, &one)? else {
            if let Some(name) = name {
                return Err(Failure::usage(format!("you have no copy of {name}"))
                    .hint(format!("kstate scripts eject {name} makes one")));
            }
            continue;
        };
        let changes = Changes::of(&one, &copy);
        differs |= changes.yours || changes.ours;
        let (yours, ours) = diffs(&one, &copy, &changes);
        if context.json {
            let mut object = to_json(&one, Some(&copy));
            object["yours"] = yours.into();
            object["ours"] = ours.into();
            list.push(object);
        } else {
            show(&one, &copy, &changes, &yours, &ours)?;
        }
    }
    if context.json {
        print_json(&Json::Array(list))?;
    }
    Ok(if differs { Exit::FAILED } else { Exit::DONE })
}

/// What the person changed, and what changed in ours.
fn diffs(shipped: &Shipped, copy: &Ejected, changes: &Changes) -> (String, String) {
    let file = copy.file.display().to_string();
    let now = format!("kstate {}", env!("CARGO_PKG_VERSION"));
    let then = changes
        .since
        .as_ref()
        .map(|since| format!("kstate {since}"));
    let before = (then.as_ref().unwrap_or(&now), copy.base.as_ref());
    let before = (
        before.0.as_str(),
        before.1.map_or(shipped.text, |base| &base.text),
    );
    let yours = unified_diff(before, (&file, &copy.text), 3);
    let ours = unified_diff(before, (&now, shipped.text), 3);
    (yours, ours)
}

fn show(
    shipped: &Shipped,
    copy: &Ejected,
    changes: &Changes,
    yours: &str,
    ours: &str,
) -> Result<(), Failure> {
    let file = copy.file.display();
    let mut out = std::io::stdout().lock();
    let name = &shipped.name;
    if changes.since.is_none() {
        writeln!(
            out,
            "{name}: what {file} was made from is not known, so this is how it differs from ours:\n{yours}"
        )?;
        return Ok(());
    }
    if changes.yours {
        writeln!(out, "{name}: what you changed:\n{yours}")?;
    }
    if changes.ours {
        writeln!(
            out,
            "{name}: what changed in ours since you made your copy:\n{ours}"
        )?;
    }
    if !changes.yours && !changes.ours {
        writeln!(out, "{name}: {file} is as it ships")?;
    }
    Ok(())
}
