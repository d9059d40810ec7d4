//! Encrypted plans, by age (age-encryption.org): to public keys, opened with secret ones.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use age::{DecryptError, Decryptor, Encryptor, Identity, IdentityFile, x25519};

use super::{read, unreadable};
use crate::store::{Error, ErrorKind, Result};

/// How every file of age begins.
const MAGIC: &[u8] = b"age-encryption.org/";

/// Who may open an encrypted plan; nobody means that it is not encrypted.
#[derive(Default)]
pub struct Recipients(Vec<x25519::Recipient>);

impl Recipients {
    /// Reads public keys (`age1…`) and files with one a line.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is no key, and the file's own when it can't be read.
    pub fn parse(texts: &[String]) -> Result<Self> {
        let mut recipients = Vec::new();
        for text in texts {
            if text.starts_with("AGE-SECRET-KEY-") {
                return Err(invalid("this is a secret key")
                    .hint("name the public key, age1…; take the secret one out of your history"));
            }
            if text.starts_with("age1") {
                let recipient = text.parse().map_err(|why: &str| {
                    invalid(why)
                        .at(text, None)
                        .hint("age-keygen -y FILE prints the public key of an identity")
                })?;
                recipients.push(recipient);
            } else {
                of_file(Path::new(text), &mut recipients)?;
            }
        }
        Ok(Self(recipients))
    }

    pub(super) fn encryptor(&self) -> Option<io::Result<Encryptor>> {
        if self.0.is_empty() {
            return None;
        }
        let recipients = self.0.iter().map(|one| one as &dyn age::Recipient);
        Some(Encryptor::with_recipients(recipients).map_err(io::Error::other))
    }
}

fn of_file(path: &Path, recipients: &mut Vec<x25519::Recipient>) -> Result<()> {
    let bytes = read(path).map_err(|error| unreadable(path, "read the recipients in", &error))?;
    let before = recipients.len();
    for (at, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let recipient = line.parse().map_err(|why| {
            // The line itself may be a secret key.
            invalid(format!("line {}: {why}", at + 1))
                .at(path.display(), None)
                .hint("write one public key, age1…, on each line")
        })?;
        recipients.push(recipient);
    }
    if recipients.len() == before {
        return Err(invalid("there is no key in it")
            .at(path.display(), None)
            .hint("write one public key, age1…, on each line"));
    }
    Ok(())
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "encrypt to", message)
}

/// Whether these are the bytes of an encrypted file.
pub(super) fn is_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Decrypts the plan in a file with the first identity that fits.
pub(super) fn open(bytes: &[u8], path: &Path, identities: &[PathBuf]) -> Result<Vec<u8>> {
    let failed = |error: &DecryptError| {
        let (kind, message, hint) = match error {
            DecryptError::NoMatchingKeys => (
                denied(),
                "it was encrypted to others: no identity opens it".to_owned(),
                "give the identity of one of its recipients: --identity FILE",
            ),
            other => (
                ErrorKind::Corrupt,
                format!("it was cut or edited: {other}"),
                "get the file anew, or plan the script again",
            ),
        };
        Error::new(kind, "decrypt the plan", message)
            .at(path.display(), None)
            .hint(hint)
    };
    let decryptor = Decryptor::new(bytes).map_err(|error| failed(&error))?;
    if identities.is_empty() {
        return Err(Error::new(
            denied(),
            "decrypt the plan",
            "it is encrypted, and no identity was given",
        )
        .at(path.display(), None)
        .hint("give the file with your age identity: --identity FILE, or KSTATE_AGE_IDENTITY"));
    }
    let mut keys = Vec::new();
    for identity in identities {
        keys.extend(keys_of(identity)?);
    }
    let mut reader = decryptor
        .decrypt(keys.iter().map(|key| &**key as &dyn Identity))
        .map_err(|error| failed(&error))?;
    let mut plain = Vec::new();
    reader
        .read_to_end(&mut plain)
        .map_err(|error| failed(&DecryptError::Io(error)))?;
    Ok(plain)
}

fn keys_of(path: &Path) -> Result<Vec<Box<dyn Identity + Send + Sync>>> {
    let bytes = read(path).map_err(|error| unreadable(path, "read the identity", &error))?;
    // What age says of a bad line may repeat it.
    let keys = IdentityFile::from_buffer(&bytes[..])
        .ok()
        .and_then(|file| file.into_identities().ok())
        .filter(|keys| !keys.is_empty());
    keys.ok_or_else(|| {
        Error::new(
            ErrorKind::Invalid,
            "read the identity",
            "there is no secret key of age in it",
        )
        .at(path.display(), None)
        .hint("it must hold AGE-SECRET-KEY-1… lines, as age-keygen writes them; one with a passphrase is decrypted with age first")
    })
}

fn denied() -> ErrorKind {
    ErrorKind::PermissionDenied {
        action: None,
        resource: None,
    }
}
