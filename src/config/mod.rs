//! Where the state store is, what kstate itself is told, and what the files of a cluster mean.

pub mod change;
pub mod check;
pub mod clusters;
pub mod entry;
pub mod fields;
mod host;
pub mod layout;
pub mod location;
pub mod manifest;
pub mod mask;
pub mod overlay;
pub mod permissions;
pub mod references;
pub mod rewrite;
pub mod settings;
pub mod state_store;
pub mod validate;

use crate::store::{Error, ErrorKind};

/// The schemes of kOps, past and present.
const SCHEMES: [&str; 15] = [
    "file",
    "memfs",
    "s3",
    "do",
    "scw",
    "linode",
    "hos",
    "gs",
    "azureblob",
    "swift",
    "oss",
    "k8s",
    "vault",
    "ssh",
    "http",
];

/// An error in a text of a user's: what it is, where it stands (`file, line, column`).
fn invalid(label: &str, message: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Invalid, "use", message.to_string()).at(label, None)
}
