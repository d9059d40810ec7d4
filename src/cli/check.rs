//! `kstate check`: mistakes in scripts, found without running them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::{Value as Json, json};

use super::context::Context;
use super::exit::{Exit, Failure};
use super::output::print_json;
use super::run::told;
use crate::lua::{self, Finding, Host, Output, Runtime, ScriptError, Source};
use crate::scripts;
use crate::text::count;

/// Finds mistakes in scripts, modules and backends without running them.
///
/// Syntax; globals that are assigned, or read and unknown; fields, methods and options that
/// `kstate` doesn't have; flags, permissions and backends that would not be accepted. What can't
/// be known without running is passed over. Ends with 1 when a mistake is found, or a file can't be
/// read.
#[derive(Args)]
pub(super) struct Check {
    /// Files, and folders of which all *.lua files are checked; default: the folder that you are in
    paths: Vec<PathBuf>,
}

impl Check {
    pub(super) fn run(self, context: &Context) -> Result<u8, Failure> {
        let files = files(&self.paths)?;
        if files.is_empty() {
            return Err(
                Failure::usage("there is nothing to check here: no file ends in .lua")
                    .hint("kstate new script NAME writes a script to begin with"),
            );
        }
        let findings = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(lua::CHECK_STACK);
            let thread = thread.spawn_scoped(scope, || check(context, &files));
            let thread = thread.map_err(|error| {
                Failure::new(Exit::FAILED, format!("cannot start a thread: {error}"))
            })?;
            // What panics there has said so.
            thread.join().map_err(|_| Failure::silent(Exit::FAILED))?
        })?;
        if context.json {
            let list = findings
                .iter()
                .map(|(file, finding)| to_json(file, finding));
            print_json(&json!({ "files": files.len(), "findings": list.collect::<Json>() }))?;
        } else {
            let mut out = std::io::stdout().lock();
            for (file, finding) in &findings {
                write(&mut out, file, finding)?;
            }
        }
        let checked = count(files.len() as u64, "file");
        let mistakes = findings.iter().filter(|(_, finding)| finding.is_mistake());
        let mistakes = mistakes.count();
        let found = count(mistakes as u64, "mistake");
        tracing::info!("{checked} checked, {found} found");
        Ok(if mistakes == 0 {
            Exit::DONE
        } else {
            Exit::FAILED
        })
    }
}

fn check<'a>(context: &Context, files: &'a [PathBuf]) -> Result<Vec<(&'a Path, Finding)>, Failure> {
    let told = |error: ScriptError| told(&error, &error.to_string());
    let Some(io) = context.io() else {
        return Err(Failure::silent(Exit::FAILED));
    };
    let nowhere = Output::new(std::io::sink());
    let host = Host::new(io.clone(), Arc::clone(&context.session), nowhere);
    let runtime = Runtime::new(host).map_err(told)?;
    let mut findings = Vec::new();
    for file in files {
        let found = match Source::read(file) {
            Ok(source) => runtime.check(&source),
            Err(error) => vec![Finding::unreadable(&error)],
        };
        findings.extend(found.into_iter().map(|finding| (file.as_path(), finding)));
    }
    Ok(findings)
}

/// The files that are meant by paths, each once; without any, those of the folder that one is in.
pub(super) fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let here = [PathBuf::from(".")];
    let paths = if paths.is_empty() { &here[..] } else { paths };
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = scripts::files(path).map_err(|error| {
                Failure::new(
                    Exit::FAILED,
                    format!("cannot look into {}: {error}", path.display()),
                )
            })?;
            files.extend(found);
        } else {
            files.push(path.clone());
        }
    }
    let mut files: Vec<_> = files.iter().map(|file| plain(file).to_owned()).collect();
    files.sort_unstable();
    files.dedup();
    Ok(files)
}

/// A path without the `./` that nobody needs.
pub(super) fn plain(path: &Path) -> &Path {
    path.strip_prefix(".").unwrap_or(path)
}

fn write(out: &mut impl Write, file: &Path, finding: &Finding) -> Result<(), Failure> {
    let Finding {
        line,
        column,
        message,
        hint,
        ..
    } = finding;
    writeln!(out, "{}:{line}:{column}: {message}", file.display())?;
    if let Some(hint) = hint {
        writeln!(out, "  hint: {hint}")?;
    }
    Ok(())
}

fn to_json(file: &Path, finding: &Finding) -> Json {
    json!({
        "file": file,
        "line": finding.line,
        "column": finding.column,
        "rule": finding.rule.name(),
        "message": finding.message,
        "hint": finding.hint,
    })
}
