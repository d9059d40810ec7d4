//! Shipped texts as files of the user's own: writing them out, and what became of them since.
//!
//! Beside an ejected file, in the folder `.ejected`, lies the text as it was when it was ejected.
//! Against that a later kstate tells its own changes from the person's.

use std::io;
use std::path::{Path, PathBuf};

use super::{Kind, Shipped, data_folder};
use crate::named_file;
use crate::store::registry::Env;
use crate::store::{Algorithm, Checksum};

/// The folder with the texts as they were.
const BASES: &str = ".ejected";

/// The folders in which ejected files may lie.
#[derive(Clone, Debug)]
pub struct Folders {
    /// Where the user's own scripts are, for all projects.
    user: Option<PathBuf>,
}

/// A shipped text as a file of the user's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ejected {
    /// Where it is.
    pub file: PathBuf,
    /// What it holds now.
    pub text: String,
    /// What it was ejected from, unless that got lost.
    pub base: Option<Base>,
}

/// What a file was ejected from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// The version of kstate that it came with.
    pub version: String,
    /// The text.
    pub text: String,
}

/// What ejecting did.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The file was written.
    Written {
        /// Where what lay there before is now.
        kept: Option<PathBuf>,
    },
    /// The file has this very text already.
    AlreadyThere,
    /// There is another file, and nothing was written.
    InTheWay,
}

impl Folders {
    /// The folders of this user.
    #[must_use]
    pub fn new(env: &Env) -> Self {
        Self {
            user: data_folder(env),
        }
    }

    /// Where a shipped text goes in this project.
    #[must_use]
    pub fn here(shipped: &Shipped) -> PathBuf {
        Path::new("scripts").join(shipped.path())
    }

    /// Where it goes for all projects of the user, if they have a home.
    #[must_use]
    pub fn for_user(&self, shipped: &Shipped) -> Option<PathBuf> {
        let folder = self.user.as_deref()?;
        Some(match shipped.kind {
            Kind::Backend => folder.join(shipped.path()),
            Kind::Script | Kind::Module => folder.join("scripts").join(shipped.path()),
        })
    }

    /// The file that was ejected from a shipped text; this project's before the user's.
    ///
    /// # Errors
    /// Those of reading it.
    pub fn find(&self, shipped: &Shipped) -> io::Result<Option<Ejected>> {
        for file in std::iter::once(Self::here(shipped)).chain(self.for_user(shipped)) {
            if let Some(text) = named_file::text(&file)? {
                let base = Base::read(&file)?;
                return Ok(Some(Ejected { file, text, base }));
            }
        }
        Ok(None)
    }
}

/// Writes a shipped text to a file. What lies there is never overwritten: with `force` it gets
/// another name.
///
/// # Errors
/// Those of reading and writing.
pub fn eject(shipped: &Shipped, file: &Path, force: bool) -> io::Result<Outcome> {
    let kept = match named_file::text(file)? {
        None => None,
        Some(text) if text == shipped.text => {
            Base::write(file, shipped.text)?;
            return Ok(Outcome::AlreadyThere);
        }
        Some(_) if !force => return Ok(Outcome::InTheWay),
        Some(_) => Some(named_file::set_aside(file)?),
    };
    Base::write(file, shipped.text)?;
    named_file::create(file, shipped.text)?;
    Ok(Outcome::Written { kept })
}

impl Base {
    fn path(file: &Path) -> PathBuf {
        let name = file.file_name().unwrap_or_default();
        file.parent()
            .unwrap_or(Path::new(""))
            .join(BASES)
            .join(name)
    }

    fn write(file: &Path, text: &str) -> io::Result<()> {
        let version = env!("CARGO_PKG_VERSION");
        let kept = format!("-- kstate {version} sha256:{}\n{text}", sha256(text));
        named_file::replace(&Self::path(file), &kept)
    }

    /// What a file came from; `None` when nobody knows, also because it was changed.
    fn read(file: &Path) -> io::Result<Option<Self>> {
        let Some(kept) = named_file::text(&Self::path(file))? else {
            return Ok(None);
        };
        let Some((first, text)) = kept.split_once('\n') else {
            return Ok(None);
        };
        let words: Vec<_> = first.split(' ').collect();
        Ok(match words[..] {
            ["--", "kstate", version, sum] if sum == format!("sha256:{}", sha256(text)) => {
                Some(Self {
                    version: version.to_owned(),
                    text: text.to_owned(),
                })
            }
            _ => None,
        })
    }
}

fn sha256(text: &str) -> String {
    Checksum::of(Algorithm::Sha256, text.as_bytes()).hex()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_came_from_is_known_until_somebody_changes_that() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("scripts/lib/x.lua");
        let shipped = |text| Shipped {
            name: "lib.x".to_owned(),
            kind: Kind::Module,
            text,
        };
        let written = |kept| Outcome::Written { kept };
        let old = shipped("return 1\n");
        assert_eq!(eject(&old, &file, false).unwrap(), written(None));
        assert_eq!(eject(&old, &file, false).unwrap(), Outcome::AlreadyThere);

        let base = Base::read(&file).unwrap().unwrap();
        assert_eq!(base.version, env!("CARGO_PKG_VERSION"));
        assert_eq!(base.text, "return 1\n");

        let new = shipped("return 2\n");
        assert_eq!(eject(&new, &file, false).unwrap(), Outcome::InTheWay);
        assert_eq!(Base::read(&file).unwrap().unwrap().text, "return 1\n");
        for number in ["", "2"] {
            let kept = PathBuf::from(format!("{}.old{number}", file.display()));
            assert_eq!(eject(&new, &file, true).unwrap(), written(Some(kept)));
            named_file::replace(&file, "mine").unwrap();
        }
        assert_eq!(Base::read(&file).unwrap().unwrap().text, "return 2\n");

        let kept = named_file::text(&Base::path(&file)).unwrap().unwrap();
        named_file::replace(&Base::path(&file), &kept.replace("return 2", "return 3")).unwrap();
        assert_eq!(Base::read(&file).unwrap(), None);
    }
}
