//! `kstate backend`: the kinds of stores, and whether a store keeps its word.

mod register;
mod show;
mod test;

use std::io::Write;

use clap::{Args, Subcommand};

use super::context::Context;
use super::exit::{Exit, Failure};
use crate::store::k8s;

pub(super) use register::register;

/// The kinds of stores that there are, and tests of a store.
#[derive(Args)]
pub(super) struct Backend {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the kinds of stores
    List,
    /// Show what a kind of store can do, and what it may be told
    Show {
        /// The scheme of its URLs, such as s3, or a store
        kind: String,
    },
    /// Test whether a store does what kstate relies on
    ///
    /// Writes to a folder of its own below .kstate/test in the store, and removes it again;
    /// nothing else is touched. Ends with 1 when the store doesn't keep its word.
    Test(test::Test),
    /// Print the least that a k8s:// store must be allowed in Kubernetes, for kubectl apply -f -
    Rbac {
        /// The store, such as `k8s:///NAMESPACE`; default: the state store, if it is one
        store: Option<String>,
    },
}

impl Backend {
    pub(super) async fn run(self, context: &Context) -> Result<u8, Failure> {
        match self.command {
            Command::List => show::list(context),
            Command::Show { kind } => show::show(context, &kind),
            Command::Test(test) => test.run(context).await,
            Command::Rbac { store } => rbac(context, store.as_deref()),
        }
    }
}

/// The namespace of who names none.
const NAMESPACE: &str = "kops-state";

fn rbac(context: &Context, store: Option<&str>) -> Result<u8, Failure> {
    let url = match store {
        Some(store) => Some(context.url(store)?),
        None => context.url("state").ok(),
    };
    let namespace = match &url {
        Some(url) if url.scheme == "k8s" => url.authority.rsplit('/').next(),
        Some(url) if store.is_some() => {
            return Err(Failure::usage(format!(
                "{url} is no store in Kubernetes: it needs no Role"
            ))
            .hint("kstate backend rbac k8s:///NAMESPACE"));
        }
        _ => None,
    };
    if namespace.is_none() {
        tracing::info!(
            "the namespace stands for yours; for another one: kstate backend rbac k8s:///NAMESPACE"
        );
    }
    let role = k8s::rbac(namespace.unwrap_or(NAMESPACE))?;
    std::io::stdout().lock().write_all(role.as_bytes())?;
    Ok(Exit::DONE)
}
