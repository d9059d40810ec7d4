//! `kstate cp`

use std::io::Write;

use clap::Args;
use futures::{StreamExt, stream};
use tokio::io::AsyncReadExt;

use super::context::Context;
use super::exit::{Exit, Failure};
use super::sync::{Manner, Selection, copy_tree};
use crate::store::{Body, Error, ErrorKind, Precondition, WriteOptions};
use crate::text;
use crate::transfer::{Route, copy_object};

/// Copies an object, and verifies the copy; with -r a tree, as sync without deleting.
#[derive(Args)]
pub(super) struct Cp {
    /// The object to copy; `-` reads standard input
    source: String,
    /// Where to: an object, or a folder if it ends in a slash
    target: String,
    /// A whole tree
    #[arg(short, long)]
    recursive: bool,
    /// Fail when the target exists
    #[arg(short, long)]
    no_clobber: bool,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    manner: Manner,
}

impl Cp {
    pub(super) async fn run(self, context: &Context) -> Result<u8, Failure> {
        let precondition = if self.no_clobber {
            Precondition::IfAbsent
        } else {
            Precondition::None
        };
        if self.recursive {
            let options = self.manner.options(self.selection.filter()?);
            let lock = self.manner.lock();
            return copy_tree(context, &self.source, &self.target, options, lock).await;
        }
        if self.source == "-" && self.target != "-" {
            let (target, key) = context.object(&self.target)?;
            let options = WriteOptions {
                precondition,
                ..WriteOptions::default()
            };
            let meta = target.write(&key, standard_input(), options).await?;
            return said(context, &self.source, &self.target, meta.size, None);
        }
        if self.target == "-" {
            return Err(Failure::usage("`-` is no target").hint("kstate cat prints an object"));
        }
        let (source, from) = context.object(&self.source)?;
        let target = if self.target.ends_with('/') {
            format!("{}{}", self.target, from.name())
        } else {
            self.target
        };
        let (store, key) = context.object(&target)?;
        if source.place().full_key(from.as_str()) == store.place().full_key(key.as_str())
            && source.place().root == store.place().root
        {
            return Err(Failure::refused(format!("{target} is the object itself")));
        }
        let meta = source.stat(&from).await?;
        let evidence = self.manner.verify.evidence();
        let copied = copy_object(&source, &meta, &store, &key, &precondition, evidence).await?;
        said(
            context,
            &self.source,
            &target,
            meta.size,
            Some(copied.route),
        )
    }
}

fn said(
    context: &Context,
    source: &str,
    target: &str,
    size: u64,
    route: Option<Route>,
) -> Result<u8, Failure> {
    if !context.quiet && !context.dry_run() {
        let how = match route {
            Some(Route::Server) => ", copied by the server",
            _ => "",
        };
        writeln!(
            std::io::stdout(),
            "{source} -> {target} ({}{how})",
            text::human_size(size)
        )?;
    }
    Ok(Exit::DONE)
}

fn standard_input() -> Body {
    const CHUNK: usize = 256 << 10;
    let chunks = stream::try_unfold(tokio::io::stdin(), |mut input| async move {
        let mut chunk = bytes::BytesMut::with_capacity(CHUNK);
        let read = input.read_buf(&mut chunk).await.map_err(|error| {
            Error::new(ErrorKind::Other, "read", error.to_string()).at("standard input", None)
        })?;
        Ok((read > 0).then(|| (chunk.freeze(), input)))
    });
    Body::stream(None, chunks.boxed())
}
