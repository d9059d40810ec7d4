//! `kstate diff`

use std::io::Write;
use std::sync::Arc;

use clap::Args;
use futures::StreamExt;
use serde_json::json;

use super::context::Context;
use super::exit::{Exit, Failure};
use super::output::print_json;
use super::sync::{Selection, Verify};
use crate::config::layout::{Class, classify};
use crate::config::mask;
use crate::store::{Key, Store};
use crate::transfer::{self, CompareOptions, Difference, Kind, TextDiff, TextOptions, text_diff};

/// Shows what only one of two trees has and what differs, as unified diffs for text.
///
/// Private keys, tokens and credentials are masked. Exit code 0: no difference, 1: differences.
#[derive(Args)]
pub(super) struct Diff {
    /// The first tree, or with --object the first object
    a: String,
    /// The second
    b: String,
    /// Compare two objects instead of two trees
    #[arg(long)]
    object: bool,
    /// Only the names
    #[arg(long)]
    brief: bool,
    /// Show secrets as they are
    #[arg(long)]
    show_secrets: bool,
    /// What counts as proof that two objects are the same
    #[arg(long, value_enum, default_value_t = Verify::Checksum)]
    verify: Verify,
    #[command(flatten)]
    selection: Selection,
}

impl Diff {
    pub(super) async fn run(self, context: &Context) -> Result<u8, Failure> {
        let (a, b, only) = if self.object {
            let (a, key_a) = context.object(&self.a)?;
            let (b, key_b) = context.object(&self.b)?;
            if key_a != key_b {
                return Err(
                    Failure::usage("two objects are compared under the same name").hint(format!(
                        "'{key_a}' and '{key_b}' differ; copy one beside the other first"
                    )),
                );
            }
            (a, b, Some(key_a))
        } else {
            (
                context.store(Some(&self.a))?,
                context.store(Some(&self.b))?,
                None,
            )
        };
        let filter = match &only {
            Some(key) => transfer::Filter::only(&[globset::escape(key.as_str())])?,
            None => self.selection.filter()?,
        };
        let options = CompareOptions {
            filter,
            evidence: self.verify.evidence(),
            ..CompareOptions::default()
        };
        let mut differences = transfer::diff(&a, &b, &options);
        let mut found = false;
        while let Some(difference) = differences.next().await.transpose()? {
            found = true;
            self.show(context, &difference, &a, &b).await?;
        }
        Ok(if found { Exit::FAILED } else { Exit::DONE })
    }

    async fn show(
        &self,
        context: &Context,
        difference: &Difference,
        a: &Arc<dyn Store>,
        b: &Arc<dyn Store>,
    ) -> Result<(), Failure> {
        let text = match difference.kind {
            Kind::Changed if !self.brief => self.text(&difference.key, a, b).await?,
            _ => None,
        };
        if context.json {
            let mut value = json!(difference);
            if let Some(text) = text {
                value["diff"] = text.into();
            }
            return print_json(&value);
        }
        let sign = match difference.kind {
            Kind::Added => '+',
            Kind::Removed => '-',
            Kind::Changed => '~',
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{sign} {}", difference.key)?;
        if let Some(text) = text {
            write!(out, "{text}")?;
        }
        Ok(())
    }

    async fn text(
        &self,
        key: &str,
        a: &Arc<dyn Store>,
        b: &Arc<dyn Store>,
    ) -> Result<Option<String>, Failure> {
        let key = Key::parse(key).map_err(crate::store::Error::from)?;
        let sides = [a, b].map(|side| side.url().to_string());
        let hide = move |key: &Key, text: &str| hidden(&sides, key, text);
        let options = TextOptions {
            mask: (!self.show_secrets).then_some(&hide),
            ..TextOptions::default()
        };
        Ok(match text_diff(&**a, &**b, &key, options).await? {
            TextDiff::Unified(text) => Some(text),
            TextDiff::Masked => Some("(the difference is in secrets)\n".to_owned()),
            TextDiff::Binary => Some("(not text)\n".to_owned()),
            TextDiff::TooLarge => Some("(too large to show)\n".to_owned()),
            TextDiff::Same => None,
        })
    }
}

/// What may be shown of a file of these stores: of a secret nothing, of anything else all but what
/// looks secret.
fn hidden(sides: &[String], key: &Key, text: &str) -> String {
    let is_secret = |side: &String| is_all_secret(&format!("{side}/{key}"));
    if sides.iter().any(is_secret) {
        "(secret)\n".to_owned()
    } else {
        mask::mask(text)
    }
}

/// Whether a file is nothing but a secret. The trees that are compared may be stores, clusters or
/// folders of one, so any part of the way may be the cluster.
fn is_all_secret(place: &str) -> bool {
    place.match_indices('/').any(|(at, _)| {
        let kind = classify(&place[at + 1..]);
        kind.class == Class::Secret || kind.class == Class::Legacy && kind.secret
    })
}
