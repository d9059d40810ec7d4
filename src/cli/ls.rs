//! `kstate ls`

use std::io::Write;

use clap::Args;
use futures::StreamExt;
use serde_json::json;

use super::context::Context;
use super::exit::{Exit, Failure};
use super::output::{meta_json, print_json, timestamp};
use crate::store::{Entry, ListOptions, is_reserved};
use crate::text;

/// Lists in byte order of the names, as it reads.
#[derive(Args)]
pub(super) struct Ls {
    /// The store or a folder in one; the state store by default
    store: Option<String>,
    /// At every depth
    #[arg(short, long)]
    recursive: bool,
    /// With size and time
    #[arg(short, long)]
    long: bool,
    /// Also kstate's own objects (.kstate/)
    #[arg(short, long)]
    all: bool,
}

impl Ls {
    pub(super) async fn run(self, context: &Context) -> Result<u8, Failure> {
        let store = context.store(self.store.as_deref())?;
        let mut listing = store.list(ListOptions {
            one_level: !self.recursive,
            ..ListOptions::default()
        });
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        let mut seen = false;
        while let Some(entry) = listing.next().await.transpose()? {
            if !self.all && is_reserved(entry.name().trim_end_matches('/')) {
                continue;
            }
            seen = true;
            if context.json {
                writeln!(out, "{}", entry_json(&entry))?;
            } else if self.long {
                writeln!(out, "{}", long_line(&entry))?;
            } else {
                writeln!(out, "{}", entry.name())?;
            }
            if let Entry::Foreign { name, reason, .. } = &entry {
                tracing::warn!("{name:?} can't be read as an object: {reason}");
            }
        }
        out.flush()?;
        if !seen && !context.json && !context.quiet {
            tracing::info!("{} is empty", store.url());
        }
        Ok(Exit::DONE)
    }
}

fn entry_json(entry: &Entry) -> serde_json::Value {
    match entry {
        Entry::Object(meta) => meta_json(meta),
        Entry::Prefix(name) => json!({ "prefix": name }),
        Entry::Foreign { name, size, reason } => {
            json!({ "foreign": name, "size": size, "reason": reason })
        }
    }
}

fn long_line(entry: &Entry) -> String {
    let (size, time) = match entry {
        Entry::Object(meta) => (
            text::human_size(meta.size),
            meta.modified.and_then(timestamp).unwrap_or_default(),
        ),
        Entry::Prefix(_) => (String::new(), String::new()),
        Entry::Foreign { size, .. } => (
            size.map_or_else(String::new, text::human_size),
            String::new(),
        ),
    };
    format!("{size:>10}  {time:20}  {}", entry.name())
}

/// Kept beside the listing because both show the same fields.
pub(super) fn print_meta(meta: &crate::store::Meta, context: &Context) -> Result<(), Failure> {
    let value = meta_json(meta);
    if context.json {
        return print_json(&value);
    }
    let mut out = std::io::stdout().lock();
    for (name, value) in value.as_object().into_iter().flatten() {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        writeln!(out, "{:13} {value}", format!("{name}:"))?;
    }
    Ok(())
}
