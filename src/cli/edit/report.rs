//! What a person, or a program, is told of an edit.

use std::fmt::Write as _;
use std::io::Write as _;

use serde_json::json;
use serde_yaml::Value;

use super::Outcome;
use super::notes::{Note, hunks};
use super::target::Target;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{print_json, show_operations};
use crate::config::mask::mask;
use crate::config::validate::{Finding, Severity};
use crate::merge::three_way::Conflict;
use crate::text::{count, unified_diff, visible};

/// How many characters of a value, and lines of a conflict, are shown.
const SHOWN: usize = 100;

/// Why the editor has to be opened again.
pub(super) struct Problem {
    /// The exit code when it is left so.
    pub(super) code: u8,
    /// What to do.
    pub(super) title: String,
    /// What it is.
    pub(super) notes: Vec<Note>,
    /// The same for whoever leaves it so, and doesn't see the text.
    message: String,
}

impl Problem {
    /// The errors among findings, with the warnings; `None` when there is no error.
    pub(super) fn of(findings: &[Finding], target: &Target) -> Option<Self> {
        let is_error = |finding: &&Finding| finding.severity == Severity::Error;
        let errors = findings.iter().filter(is_error).count();
        if errors == 0 {
            return None;
        }
        let file = target.url();
        let notes: Vec<_> = findings
            .iter()
            .map(|finding| note(finding, &file))
            .collect();
        let message = format!("{file} was not written: the text is wrong");
        Some(Self {
            code: Exit::FAILED,
            title: format!(
                "{}, nothing is written. Correct the text and save it, or leave it as it is to give up.",
                count(errors as u64, "error")
            ),
            message: with_lines(message, notes.iter().map(place)),
            notes,
        })
    }

    /// What both sides changed.
    pub(super) fn conflict(conflicts: &[Conflict], marked: &str, target: &Target) -> Self {
        let url = target.url();
        let message = format!("somebody else changed the same in {url}; nothing was written");
        let sides: Vec<String> = conflicts.iter().map(sides).collect();
        let message = if sides.is_empty() {
            let hunks = hunks(marked).take(SHOWN).collect::<Vec<_>>().join("\n");
            with_lines(message, mask(&hunks).lines().map(str::to_owned))
        } else {
            with_lines(message, sides.iter().cloned())
        };
        let notes = sides.into_iter().map(|text| Note { at: None, text });
        Self {
            code: Exit::CONFLICT,
            title: "Somebody else changed the same meanwhile. Leave of each conflict below what \
                    shall be, without its markers."
                .to_owned(),
            notes: notes.collect(),
            message,
        }
    }

    /// What was changed is no more.
    pub(super) fn deleted(target: &Target) -> Self {
        Self {
            code: Exit::CONFLICT,
            title: "Somebody else deleted it meanwhile. Save it without the markers to make it \
                    anew, or leave it as it is to give up."
                .to_owned(),
            notes: Vec::new(),
            message: format!(
                "somebody else deleted {} meanwhile; nothing was written",
                target.url()
            ),
        }
    }
}

fn with_lines(mut message: String, lines: impl Iterator<Item = String>) -> String {
    for line in lines {
        let _ = write!(message, "\n  {}", visible(&line));
    }
    message
}

/// A finding as a person reads it above the text.
fn note(finding: &Finding, file: &str) -> Note {
    let Finding {
        severity,
        line,
        column,
        message,
        hint,
        ..
    } = finding;
    let mut text = match severity {
        Severity::Error => message.clone(),
        Severity::Warning => format!("warning: {message}"),
    };
    if let Some(hint) = hint {
        let _ = write!(text, "; {hint}");
    }
    if finding.file == file {
        let at = Some((*line, *column));
        return Note { at, text };
    }
    let text = format!("{}: line {line}, column {column}: {text}", finding.file);
    Note { at: None, text }
}

/// Both sides of a conflict, on one line.
fn sides(conflict: &Conflict) -> String {
    let Conflict {
        path,
        base,
        ours,
        theirs,
    } = conflict;
    let [base, ours, theirs] = [base, ours, theirs].map(|value| shown(value.as_ref()));
    // By the name of the field it is seen whether it is a secret.
    let name = path.to_string();
    let is_secret = mask(&format!("{name}: {ours}\n")) != format!("{name}: {ours}\n")
        || mask(&format!("{name}: {theirs}\n")) != format!("{name}: {theirs}\n");
    if is_secret {
        return format!("{name}: both sides changed it");
    }
    format!("{name}: yours {ours}, in the store {theirs}, before {base}")
}

fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else {
        return "nothing".to_owned();
    };
    let text = serde_json::to_string(value).unwrap_or_else(|_| "something else".to_owned());
    let text = visible(&text);
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

/// Tells how an edit ends.
pub(super) struct Report<'a> {
    pub(super) target: &'a Target,
    pub(super) context: &'a Context,
    pub(super) show_secrets: bool,
}

impl Report<'_> {
    /// Tells of an edit that ended well. `old` is the text that was changed.
    pub(super) fn outcome(&self, old: &str, outcome: &Outcome) -> Result<(), Failure> {
        let Self {
            target, context, ..
        } = self;
        match outcome {
            Outcome::Nothing(_) | Outcome::TooSoon if context.json => {
                print_json(&self.json(false, false))
            }
            Outcome::Nothing(why) => self.say(why),
            Outcome::TooSoon => self.say("Nothing is written"),
            Outcome::Written {
                text,
                merged,
                warnings,
            } => {
                for finding in warnings {
                    tracing::warn!("{}", told(finding));
                }
                let dry_run = context.dry_run();
                if context.json {
                    let mut value = self.json(true, *merged);
                    if dry_run {
                        value["dry_run"] = true.into();
                        value["diff"] = self.diff(old, text).into();
                    }
                    return print_json(&value);
                }
                if *merged {
                    tracing::info!("merged with what somebody else changed");
                }
                if !dry_run {
                    return self.say(&format!("{} is written", target.url()));
                }
                std::io::stdout().write_all(self.diff(old, text).as_bytes())?;
                show_operations(context)
            }
        }
    }

    /// Tells of a problem that is left as it is.
    pub(super) fn given_up(&self, problem: &Problem) -> Result<Failure, Failure> {
        if self.context.json {
            let mut value = self.json(false, false);
            value["conflict"] = (problem.code == Exit::CONFLICT).into();
            value["problems"] = problem.notes.iter().map(place).collect();
            print_json(&value)?;
        }
        Ok(Failure::new(problem.code, problem.message.clone()))
    }

    fn json(&self, changed: bool, merged: bool) -> serde_json::Value {
        json!({
            "changed": changed,
            "merged": merged,
            "store": self.target.store.url(),
            "key": self.target.key.as_str(),
        })
    }

    fn say(&self, line: &str) -> Result<(), Failure> {
        if !self.context.quiet {
            writeln!(std::io::stdout(), "{line}")?;
        }
        Ok(())
    }

    fn diff(&self, old: &str, new: &str) -> String {
        let hide = |text: &str| {
            if self.show_secrets {
                text.to_owned()
            } else {
                mask(text)
            }
        };
        let (old, new) = (hide(old), hide(new));
        if old == new {
            return "(the difference is in secrets)\n".to_owned();
        }
        let url = self.target.url();
        unified_diff((&url, &old), (&url, &new), 3)
    }
}

/// A note with its place in the text that is kept.
fn place(note: &Note) -> String {
    match note.at {
        Some((line, column)) => format!("line {line}, column {column}: {}", note.text),
        None => note.text.clone(),
    }
}

/// A finding without its severity, which the log says.
fn told(finding: &Finding) -> String {
    let text = finding.to_string();
    let severity = format!("{}: ", finding.severity);
    visible(text.strip_prefix(&severity).unwrap_or(&text)).into_owned()
}
