//! Plans in files: one JSON object a line, sealed by a checksum, encrypted on demand.

mod check;
mod lines;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

pub use crate::crypt::Recipients;

use super::Plan;
use crate::crypt::{self, Identities};
use crate::named_file::{self, read, unreadable};
use crate::store::{Error, ErrorKind, Result};

/// Writes a plan to a file, as a whole: a reader sees what was there before or the plan, also
/// after a power cut. Only the user may read it. With recipients it is encrypted to them.
///
/// # Errors
/// When the plan is not in order, or the file can't be written.
pub fn save(plan: &Plan, path: &Path, recipients: &Recipients) -> Result<()> {
    check::check(plan).map_err(|fault| broken(path, "save the plan to", &fault))?;
    let failed = |error: io::Error| {
        Error::new(ErrorKind::Other, "save the plan to", error.to_string())
            .at(path.display(), None)
            .hint("name a file in a folder that you may write to")
    };
    named_file::write_whole(path, 0o600, |file| write_to(file, plan, recipients)).map_err(failed)
}

/// Reads a plan from a file, or from standard input when the path is `-`. `identities` are files
/// with the secret keys that open an encrypted one.
///
/// # Errors
/// When the file can't be read or decrypted, is no plan, was written by another version of
/// kstate, was cut or edited, or contradicts itself.
pub fn load(path: &Path, identities: &[PathBuf]) -> Result<Plan> {
    let bytes = read(path).map_err(|error| unreadable(path, "read the plan", &error))?;
    let bytes = if crypt::is_encrypted(&bytes) {
        let label = path.display().to_string();
        crypt::decrypt(&bytes, &label, &Identities::load(identities)?)?
    } else {
        bytes
    };
    parse(&bytes).map_err(|fault| broken(path, "use the plan", &fault))
}

fn parse(bytes: &[u8]) -> Result<Plan, Fault> {
    let plan = lines::decode(bytes)?;
    check::check(&plan)?;
    Ok(plan)
}

/// What is wrong with a plan.
#[derive(Debug)]
struct Fault {
    kind: ErrorKind,
    message: String,
    hint: &'static str,
}

impl Fault {
    /// The file is not what was saved.
    fn damaged(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Corrupt,
            message: message.into(),
            hint: "a plan is never edited by hand; plan the script again",
        }
    }
}

fn broken(path: &Path, operation: &'static str, fault: &Fault) -> Error {
    Error::new(fault.kind.clone(), operation, &fault.message)
        .at(path.display(), None)
        .hint(fault.hint)
}

fn write_to(file: &File, plan: &Plan, recipients: &Recipients) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    match recipients.encryptor() {
        Some(encryptor) => {
            let mut sealed = encryptor?.wrap_output(&mut out)?;
            lines::encode(plan, &mut sealed)?;
            sealed.finish()?;
        }
        None => lines::encode(plan, &mut out)?,
    }
    out.flush()
}
