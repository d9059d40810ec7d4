//! `kstate cat`

use std::io::Write;

use clap::Args;
use futures::StreamExt;

use super::context::Context;
use super::exit::{Exit, Failure};
use crate::store::ReadOptions;

/// Prints an object's bytes as they are.
#[derive(Args)]
pub(super) struct Cat {
    /// The objects' URLs or paths
    #[arg(required = true)]
    object: Vec<String>,
}

impl Cat {
    pub(super) async fn run(self, context: &Context) -> Result<u8, Failure> {
        for object in &self.object {
            let (store, key) = context.object(object)?;
            let mut chunks = store
                .read(&key, ReadOptions::default())
                .await?
                .body
                .into_stream();
            while let Some(chunk) = chunks.next().await.transpose()? {
                std::io::stdout().write_all(&chunk)?;
            }
        }
        std::io::stdout().flush()?;
        Ok(Exit::DONE)
    }
}
