//! `kstate stat`

use clap::Args;

use super::context::Context;
use super::exit::{Exit, Failure};
use super::ls::print_meta;

/// Shows an object's size, time, version tag, checksum and what else the store keeps.
#[derive(Args)]
pub(super) struct Stat {
    /// The object's URL or path
    object: String,
}

impl Stat {
    pub(super) async fn run(self, context: &Context) -> Result<u8, Failure> {
        let (store, key) = context.object(&self.object)?;
        print_meta(&store.stat(&key).await?, context)?;
        Ok(Exit::DONE)
    }
}
