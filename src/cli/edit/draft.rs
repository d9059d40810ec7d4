//! The text that a person works on, in a file that stays until what it holds is in the store.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::again::again;
use super::folder;
use super::notes;
use super::report::Problem;
use crate::cli::context::arguments;
use crate::cli::exit::{Exit, Failure};
use crate::merge::document::LARGEST;
use crate::store::registry::Env;

/// The file beside a draft that says what it was made from. No draft's name begins with a dot.
const ORIGIN: &str = ".origin.json";

/// The version of an object that a draft is a change of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Origin {
    /// The object's URL.
    pub(super) object: String,
    /// The version, where the store tells versions apart.
    pub(super) tag: Option<String>,
    /// Its text.
    pub(super) text: String,
}

/// A text that a person changes.
pub(super) struct Draft {
    folder: PathBuf,
    file: PathBuf,
    /// While it is open nobody else edits or prunes it.
    _taken: Option<File>,
    /// What it is a change of.
    pub(super) origin: Origin,
    /// The text as the person left it.
    pub(super) text: String,
    /// Whether the file may have lines of ours.
    has_notes: bool,
    /// Whether the file holds what can't be read, which is left alone.
    is_strange: bool,
}

impl Draft {
    /// A draft of an object, in a folder of its own that only the user sees.
    pub(super) fn new(
        env: &Env,
        name: &str,
        origin: Origin,
        text: String,
    ) -> Result<Self, Failure> {
        let draft = Self::at(folder::make(env)?, name, origin, text)?;
        draft.write_origin()?;
        Ok(draft)
    }

    /// The draft of an object that was kept in a file; `None` if the file is no draft.
    pub(super) fn resume(
        env: &Env,
        name: &str,
        object: &str,
        kept: &Path,
    ) -> Result<Option<Self>, Failure> {
        let text = read(kept)?;
        let file = fs::canonicalize(kept).map_err(|error| cannot("find", kept, &error))?;
        let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
        let origin = folder.join(ORIGIN);
        if !origin.exists() {
            return Ok(None);
        }
        let origin: Origin = serde_json::from_str(&read(&origin)?)
            .map_err(|error| cannot("read", &origin, &error))?;
        if origin.object != object {
            return Err(Failure::usage(format!(
                "{} is a text for {}, not for {object}",
                kept.display(),
                origin.object,
            )));
        }
        let text = notes::take(&text);
        // A folder is removed in the end, so it must be ours.
        if folder.parent() != fs::canonicalize(folder::home(env)?).ok().as_deref() {
            return Self::new(env, name, origin, text).map(Some);
        }
        let name = file.file_name().unwrap_or_default();
        Self::at(folder, name, origin, text).map(Some)
    }

    fn at(
        folder: PathBuf,
        name: impl AsRef<Path>,
        origin: Origin,
        text: String,
    ) -> Result<Self, Failure> {
        Ok(Self {
            _taken: folder::take(&folder)?,
            file: folder.join(name),
            folder,
            origin,
            text,
            has_notes: false,
            is_strange: false,
        })
    }

    /// The file that holds it.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// From now on it is a change of another version.
    pub(super) fn rebase(&mut self, tag: Option<String>, text: String) -> Result<(), Failure> {
        self.origin.tag = tag;
        self.origin.text = text;
        self.write_origin()
    }

    /// Writes the text for the person, below what is wrong with it. The file gets another name
    /// then: an editor that goes to where it was last in a file would pass over what is told.
    pub(super) fn show(&mut self, problem: Option<&Problem>) -> Result<(), Failure> {
        self.has_notes = problem.is_some();
        let Some(Problem { title, notes, .. }) = problem else {
            return self.write(&self.text);
        };
        self.write(&notes::put(&self.text, title, notes))?;
        let next = self.file.with_file_name(next(&self.file));
        rename(&self.file, &next).map_err(|error| cannot("rename", &self.file, &error))?;
        self.file = next;
        Ok(())
    }

    /// Takes over what the person wrote.
    pub(super) fn take(&mut self) -> Result<(), Failure> {
        let text = read(&self.file).inspect_err(|_| self.is_strange = self.file.exists())?;
        self.text = if self.has_notes {
            notes::take(&text)
        } else {
            text
        };
        Ok(())
    }

    /// Whether there is nothing to see in the text.
    pub(super) fn is_empty(&self) -> bool {
        let blank = ['\u{feff}', ' ', '\t', '\r', '\n'];
        self.text.trim_matches(blank).is_empty()
    }

    fn is_changed(&self) -> bool {
        self.is_strange || self.text != self.origin.text
    }

    /// Keeps the text after a failure, when there is something to lose, and tells where.
    pub(super) fn keep(self, failure: Failure) -> Failure {
        if !self.is_changed() {
            self.remove();
            return failure;
        }
        failure.and_hint(self.kept(false))
    }

    /// Sees to it that the person's text is in the file, and says how to go on with it: as now,
    /// or so that it is written at last.
    pub(super) fn kept(&self, writes: bool) -> String {
        // What the person wrote is in the file already, if below notes.
        if !self.is_strange
            && let Err(error) = replace(&self.file, &self.text)
        {
            tracing::warn!("the notes stay in the text: {error}");
        }
        // Some editors replace the file by a new one.
        if let Err(error) = fs::set_permissions(&self.file, private()) {
            tracing::warn!("{}: {error}", self.file.display());
        }
        format!(
            "what you wrote is kept in {}\n{}",
            self.file.display(),
            self.go_on(writes)
        )
    }

    /// How to go on with it.
    pub(super) fn go_on(&self, writes: bool) -> String {
        format!("go on with: {}", again(&arguments(), &self.file, writes))
    }

    /// Removes it: what it held is in the store, or nobody wants it.
    pub(super) fn remove(&self) {
        if let Err(error) = folder::remove(&self.folder) {
            tracing::warn!("{} stays: {error}", self.folder.display());
        }
    }

    fn write_origin(&self) -> Result<(), Failure> {
        let path = self.folder.join(ORIGIN);
        let text =
            serde_json::to_string(&self.origin).map_err(|error| cannot("write", &path, &error))?;
        replace(&path, &text).map_err(|error| cannot("write", &path, &error))
    }

    fn write(&self, text: &str) -> Result<(), Failure> {
        replace(&self.file, text).map_err(|error| cannot("write", &self.file, &error))
    }
}

fn private() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o600)
}

/// Reads a text that a person may have written with anything.
#[expect(clippy::disallowed_methods, reason = "the person's own text")]
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| cannot("read", path, error);
    // A pipe would be waited for without end.
    let is_file = fs::metadata(path)
        .map_err(|error| failed(&error))?
        .is_file();
    if !is_file {
        return Err(failed(&"it is no regular file"));
    }
    let file = File::open(path).map_err(|error| failed(&error))?;
    let mut bytes = Vec::new();
    let limit = LARGEST as u64 + 1;
    let read = file.take(limit).read_to_end(&mut bytes);
    read.map_err(|error| failed(&error))?;
    if bytes.len() > LARGEST {
        return Err(failed(&format!("it has more than {} MiB", LARGEST >> 20)));
    }
    String::from_utf8(bytes).map_err(|error| failed(&format!("it is no UTF-8 text: {error}")))
}

/// The name of the file in the next round: `NAME.try-2.yaml` after `NAME.yaml`.
fn next(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let (stem, round) = stem
        .rsplit_once(".try-")
        .and_then(|(stem, round)| Some((stem, round.parse::<u32>().ok()?)))
        .unwrap_or((&stem, 1));
    let ending = file.extension().unwrap_or_default().to_string_lossy();
    format!("{stem}.try-{}.{ending}", round.saturating_add(1))
}

#[expect(clippy::disallowed_methods, reason = "the drafts' own files")]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

/// Writes a file whole: what was there is there until the new text is on the disk.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    rename(&temporary, path)
}

pub(super) fn cannot(verb: &str, path: &Path, error: &dyn std::fmt::Display) -> Failure {
    let message = format!("cannot {verb} {}: {error}", path.display());
    Failure::new(Exit::FAILED, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_has_a_file_of_another_name() {
        for (name, expected) in [
            ("/f/a.example.com.yaml", "a.example.com.try-2.yaml"),
            ("/f/a.example.com.try-2.yaml", "a.example.com.try-3.yaml"),
            ("/f/a.try-x.json", "a.try-x.try-2.json"),
        ] {
            assert_eq!(next(Path::new(name)), expected);
        }
    }
}
