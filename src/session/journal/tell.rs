//! What a run did, for people.

use super::{Kept, New, Old, Run, State};
use crate::store::Result;

/// One change of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// `+` created, `~` changed, `-` deleted.
    pub sign: char,
    /// The store's printable URL.
    pub store: String,
    /// The object.
    pub key: String,
    /// Its size before, in bytes.
    pub before: Option<u64>,
    /// What else there is to know.
    pub note: Option<&'static str>,
}

impl Told {
    /// What the sign means.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.sign {
            '+' => "created",
            '-' => "deleted",
            _ => "changed",
        }
    }
}

impl Run {
    /// All changes, in the order in which they began. No contents: they may be secret.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::store::ErrorKind::Corrupt) when the log can't be read.
    pub fn tell(&self) -> Result<Vec<Told>> {
        let log = self.log()?;
        let changes = log.ops.iter().filter(|op| op.state != State::Void);
        Ok(changes
            .map(|op| {
                let (before, kept) = match &op.begin.old {
                    Old::Absent => (None, true),
                    Old::Object { size, kept, .. } => (Some(*size), *kept != Kept::Nothing),
                };
                let store = log.stores.get(&op.begin.store);
                Told {
                    sign: match (&op.begin.new, before) {
                        (New::Delete, _) => '-',
                        (_, None) => '+',
                        (_, Some(_)) => '~',
                    },
                    store: store.map_or_else(String::new, |store| store.url.clone()),
                    key: op.begin.key.clone(),
                    before,
                    note: match (&op.state, kept) {
                        (State::Unclear, _) => {
                            Some("interrupted: undo finds out whether it was done")
                        }
                        (_, false) => Some("too large to be kept: undo can't restore it"),
                        _ => None,
                    },
                }
            })
            .collect())
    }
}
