//! Naming another state store in the file that named the old one.

use std::path::Path;

use super::key_of;
use crate::config::{host, invalid};
use crate::merge::document::{Document, Path as YamlPath};
use crate::store::{Error, ErrorKind, Result};

/// A configuration file's text with another state store in it. Comments, order, quoting and line
/// ends stay.
///
/// # Errors
/// [`ErrorKind::Invalid`] when the text is no YAML, has no key `kops_state_store`, or can't be
/// changed without changing more than that.
pub fn set_in_file(text: &str, new_value: &str) -> Result<String> {
    let label = "the configuration file";
    let mut document = Document::parse(text).map_err(|fault| invalid(label, fault))?;
    let Some((key, _)) = key_of(&document) else {
        return Err(invalid(label, "it has no key kops_state_store")
            .hint(format!("add the line 'kops_state_store: {new_value}'")));
    };
    document
        .set(0, &YamlPath::keys(&[&key]), new_value)
        .map_err(|fault| {
            invalid(label, fault).hint(format!("change the line to '{key}: {new_value}' by hand"))
        })?;
    Ok(document.text().to_owned())
}

/// Writes another state store into the configuration file that named the old one. The file is
/// replaced as a whole; nothing is written when it says so already.
///
/// # Errors
/// As [`set_in_file`], or what the file system says.
pub fn update_file(file: &Path, new_value: &str) -> Result<()> {
    change(file, new_value, true)
}

/// Whether [`update_file`] would succeed, as far as that can be told without writing.
///
/// # Errors
/// As [`update_file`].
pub fn check_file(file: &Path, new_value: &str) -> Result<()> {
    change(file, new_value, false)
}

fn change(file: &Path, new_value: &str, write: bool) -> Result<()> {
    let failed = |error: std::io::Error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            std::io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied {
                action: None,
                resource: Some(file.display().to_string()),
            },
            _ => ErrorKind::Other,
        };
        Error::new(kind, "update", error.to_string())
            .at(file.display(), None)
            .hint(format!("set 'kops_state_store: {new_value}' in it by hand"))
            .because(error)
    };
    let before = host::read(file).map_err(failed)?;
    let after = set_in_file(&before, new_value).map_err(|error| error.at(file.display(), None))?;
    if before == after || !write {
        return Ok(());
    }
    host::replace(file, &after).map_err(failed)
}
