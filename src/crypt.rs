//! Encryption by age (age-encryption.org): to public keys, opened with secret ones.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;

use age::{DecryptError, Decryptor, Encryptor, Identity, IdentityFile, x25519};

use crate::named_file::{read, unreadable};
use crate::store::{Error, ErrorKind, Result};

/// How every file of age begins.
const MAGIC: &[u8] = b"age-encryption.org/";

/// How every secret key of age begins.
const SECRET: &str = "AGE-SECRET-KEY-";

/// Who may open what is encrypted; nobody means that it is not encrypted.
#[derive(Default)]
pub struct Recipients(BTreeMap<String, x25519::Recipient>);

impl Recipients {
    /// Reads public keys (`age1…`) and files with one a line.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is no key, and the file's own when it can't be read.
    pub fn parse(texts: &[String]) -> Result<Self> {
        let mut recipients = Self::default();
        for text in texts {
            if text.starts_with(SECRET) {
                return Err(invalid("this is a secret key")
                    .hint("name the public key, age1…; take the secret one out of your history"));
            }
            if text.starts_with("age1") {
                let recipient = text.parse().map_err(|why: &str| {
                    invalid(why)
                        .at(text, None)
                        .hint("age-keygen -y FILE prints the public key of an identity")
                })?;
                recipients.add(recipient);
            } else {
                recipients.add_file(Path::new(text))?;
            }
        }
        Ok(recipients)
    }

    fn add(&mut self, recipient: x25519::Recipient) {
        self.0.insert(recipient.to_string(), recipient);
    }

    fn add_file(&mut self, path: &Path) -> Result<()> {
        let bytes =
            read(path).map_err(|error| unreadable(path, "read the recipients in", &error))?;
        let mut found = false;
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
            self.add(recipient);
            found = true;
        }
        if !found {
            return Err(invalid("there is no key in it")
                .at(path.display(), None)
                .hint("write one public key, age1…, on each line"));
        }
        Ok(())
    }

    /// The public keys, each once, in byte order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What encrypts a stream; `None` when there is nobody to encrypt to.
    pub(crate) fn encryptor(&self) -> Option<io::Result<Encryptor>> {
        if self.0.is_empty() {
            return None;
        }
        let recipients = self.0.values().map(|one| one as &dyn age::Recipient);
        Some(Encryptor::with_recipients(recipients).map_err(io::Error::other))
    }

    /// Encrypts bytes; the same bytes are never the same again.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is nobody to encrypt to.
    pub fn encrypt(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let failed = |error: io::Error| invalid(error.to_string());
        let encryptor = self.encryptor().ok_or_else(|| {
            invalid("nobody is named who may open it").hint("name a public key, age1…")
        })?;
        let mut sealed = Vec::new();
        let mut writer = encryptor
            .and_then(|encryptor| encryptor.wrap_output(&mut sealed))
            .map_err(failed)?;
        writer.write_all(bytes).map_err(failed)?;
        writer.finish().map_err(failed)?;
        Ok(sealed)
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "encrypt to", message)
}

/// Secret keys.
#[derive(Default)]
pub struct Identities(Vec<Box<dyn Identity + Send + Sync>>);

impl Identities {
    /// Reads files with secret keys.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a file without one, and the file's own when it can't be read.
    pub fn load(paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<Self> {
        let mut keys = Vec::new();
        for path in paths {
            let path = path.as_ref();
            let bytes =
                read(path).map_err(|error| unreadable(path, "read the identity", &error))?;
            // What age says of a bad line may repeat it.
            let found = IdentityFile::from_buffer(&bytes[..])
                .ok()
                .and_then(|file| file.into_identities().ok())
                .filter(|keys| !keys.is_empty());
            keys.extend(found.ok_or_else(|| {
                Error::new(
                    ErrorKind::Invalid,
                    "read the identity",
                    "there is no secret key of age in it",
                )
                .at(path.display(), None)
                .hint("it must hold AGE-SECRET-KEY-1… lines, as age-keygen writes them; one with a passphrase is decrypted with age first")
            })?);
        }
        Ok(Self(keys))
    }
}

/// Whether these are the bytes of an encrypted file.
#[must_use]
pub fn is_encrypted(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Decrypts bytes with the first identity that fits. `label` is what errors call them.
///
/// # Errors
/// [`ErrorKind::PermissionDenied`] when no identity opens them, [`ErrorKind::Corrupt`] when they
/// are not what was encrypted.
pub fn decrypt(bytes: &[u8], label: &str, identities: &Identities) -> Result<Vec<u8>> {
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
                "get the file anew from where it was encrypted",
            ),
        };
        Error::new(kind, "decrypt", message)
            .at(label, None)
            .hint(hint)
    };
    let decryptor = Decryptor::new(bytes).map_err(|error| failed(&error))?;
    if identities.0.is_empty() {
        return Err(Error::new(
            denied(),
            "decrypt",
            "it is encrypted, and no identity was given",
        )
        .at(label, None)
        .hint("give the file with your age identity: --identity FILE, or KSTATE_AGE_IDENTITY"));
    }
    let mut reader = decryptor
        .decrypt(identities.0.iter().map(|key| &**key as &dyn Identity))
        .map_err(|error| failed(&error))?;
    let mut plain = Vec::new();
    reader
        .read_to_end(&mut plain)
        .map_err(|error| failed(&DecryptError::Io(error)))?;
    Ok(plain)
}

fn denied() -> ErrorKind {
    ErrorKind::PermissionDenied {
        action: None,
        resource: None,
    }
}
