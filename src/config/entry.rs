//! A manifest in a store, changed by compare-and-swap: what somebody else wrote meanwhile is
//! merged, and only what both changed is left to a person.

use std::time::Duration;

use crate::merge::document::{Document, LARGEST};
use crate::merge::lists::Lists;
use crate::merge::text::{Labels, three_way_text};
use crate::merge::three_way::{Conflict, three_way};
use crate::store::{
    Body, Error, ErrorKind, Key, Precondition, ReadOptions, Result, Store, Tag, WriteOptions,
};

/// How often a write that somebody else beat is tried again.
const ATTEMPTS: u32 = 500;

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// What the sides are called between conflict markers.
const LABELS: Labels<'_> = Labels {
    ours: "yours",
    theirs: "in the store",
};

/// A text as it was found under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The text; empty when there is no object.
    pub text: String,
    /// Its version; `None` when there is no object.
    pub tag: Option<Tag>,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq)]
pub enum Saved {
    /// The text is there already.
    Unchanged,
    /// It is written.
    Written {
        /// What is there now.
        text: String,
        /// Whether it has what somebody else changed meanwhile, too.
        merged: bool,
    },
    /// Somebody else changed the same, or deleted it; nothing was written.
    Clash(Box<Clash>),
}

/// A change that somebody else's change contradicts.
#[derive(Clone, Debug, PartialEq)]
pub struct Clash {
    /// What is in the store now.
    pub theirs: Entry,
    /// What both changed, by value; empty when the texts can only be compared by line.
    pub conflicts: Vec<Conflict>,
    /// The texts merged by line, with git's markers around what both changed.
    pub marked: String,
}

impl Entry {
    /// Reads what is under a key, if there is anything.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is no text or larger than [`LARGEST`]; those of the store.
    pub async fn load(store: &dyn Store, key: &Key) -> Result<Self> {
        let object = match store.read(key, ReadOptions::default()).await {
            Ok(object) => object,
            Err(error) if error.is_missing_key() || *error.kind() == ErrorKind::NotFound => {
                return Ok(Self {
                    key: key.clone(),
                    text: String::new(),
                    tag: None,
                });
            }
            Err(error) => return Err(error),
        };
        let wrong = |message: &str| {
            Error::new(ErrorKind::Invalid, "read", message).at(store.url(), Some(key.as_str()))
        };
        if object.meta.size > LARGEST as u64 {
            return Err(wrong("it is too large for a manifest"));
        }
        let mut tag = object.meta.tag;
        let bytes = object.body.collect(LARGEST as u64).await?;
        if tag.is_none() {
            tag = store.stat(key).await?.tag;
        }
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| wrong("it is no UTF-8 text"))?;
        Ok(Self {
            key: key.clone(),
            text,
            tag,
        })
    }

    /// Writes another text in its place, if it is still this one; else merges with what is there
    /// now, and tries again. `check` looks at each text before it is written.
    ///
    /// # Errors
    /// Those of `check` and of the store; [`ErrorKind::PreconditionFailed`] when others write
    /// without end.
    pub async fn save(
        &self,
        store: &dyn Store,
        text: &str,
        check: impl Fn(&str) -> Result<()>,
    ) -> Result<Saved> {
        let mut theirs = self.clone();
        let mut pause = Duration::from_millis(2);
        for _ in 0..ATTEMPTS {
            let is_ours = theirs.text == self.text;
            let is_deleted = theirs.tag.is_none() && self.tag.is_some();
            let merged = if is_deleted {
                // Whatever was changed, only a person can tell whether it shall be made anew.
                let by_line = three_way_text(&self.text, text, "", &LABELS);
                Err((Vec::new(), by_line.text))
            } else if is_ours {
                Ok(text.to_owned())
            } else {
                merge(&self.text, text, &theirs.text)
            };
            let merged = match merged {
                Ok(merged) => merged,
                Err((conflicts, marked)) => {
                    return Ok(Saved::Clash(Box::new(Clash {
                        theirs,
                        conflicts,
                        marked,
                    })));
                }
            };
            if merged == theirs.text && theirs.tag.is_some() {
                return Ok(Saved::Unchanged);
            }
            check(&merged)?;
            match theirs.replace(store, &merged).await {
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    return Ok(Saved::Written {
                        text: merged,
                        merged: !is_ours,
                    });
                }
            }
            tokio::time::sleep(pause.mul_f64(fastrand::f64())).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            theirs = Self::load(store, &self.key).await?;
        }
        let kind = ErrorKind::PreconditionFailed { found: theirs.tag };
        let message = "others change it all the time";
        Err(Error::new(kind, "write", message).at(store.url(), Some(self.key.as_str())))
    }

    /// Writes in the place of this version.
    async fn replace(&self, store: &dyn Store, text: &str) -> Result<()> {
        let able = store.capabilities();
        let precondition = match &self.tag {
            None => Precondition::IfAbsent,
            Some(tag) => Precondition::IfMatch(tag.clone()),
        };
        let body = || Body::from(text.to_owned().into_bytes());
        let believed = WriteOptions {
            believed: precondition.clone(),
            ..WriteOptions::default()
        };
        if able.can_check(&precondition) {
            let options = WriteOptions {
                precondition,
                ..believed.clone()
            };
            match store.write(&self.key, body(), options).await {
                // Some services say only now that they compare nothing.
                Err(error) if *error.kind() == ErrorKind::Unsupported => {}
                written => return written.map(drop),
            }
        }
        let now = store.find(&self.key).await?.and_then(|meta| meta.tag);
        if now != self.tag {
            let kind = ErrorKind::PreconditionFailed { found: now };
            let message = "somebody else changed it";
            return Err(Error::new(kind, "write", message).at(store.url(), Some(self.key.as_str())));
        }
        store.write(&self.key, body(), believed).await.map(drop)
    }
}

/// Both changes of a text as one text; else what contradicts itself, by value and by line.
///
/// Values decide. Where the texts merged by line mean the same, they are taken; else the merged
/// values are put into one of the texts. A comment that one side added is lost in neither case:
/// it makes a conflict if it can't be kept.
fn merge(base: &str, ours: &str, theirs: &str) -> Result<String, (Vec<Conflict>, String)> {
    let by_line = three_way_text(base, ours, theirs, &LABELS);
    let documents = [base, ours, theirs].map(Document::parse);
    let [Ok(base), Ok(ours), Ok(merged)] = documents else {
        return match by_line.conflicts {
            0 => Ok(by_line.text),
            _ => Err((Vec::new(), by_line.text)),
        };
    };
    let parts = base.values().count();
    if ours.values().count() != parts || merged.values().count() != parts {
        return match by_line.conflicts {
            0 => Ok(by_line.text),
            _ => Err((Vec::new(), by_line.text)),
        };
    }
    let lists = Lists::kops();
    let mut conflicts = Vec::new();
    let mut intended = Vec::new();
    let sides = base.values().zip(ours.values()).zip(merged.values());
    for ((base, ours), theirs) in sides {
        let (value, open) = three_way(base, ours, theirs, &lists);
        conflicts.extend(open);
        intended.push(value);
    }
    if !conflicts.is_empty() {
        return Err((conflicts, by_line.text));
    }
    if by_line.conflicts == 0
        && Document::parse(&by_line.text).is_ok_and(|text| text.values().eq(intended.iter()))
    {
        return Ok(by_line.text);
    }
    // The merged values in their text, or in ours: whichever loses nobody's comment.
    let (our_text, their_text) = (ours.text().to_owned(), merged.text().to_owned());
    let sides = [(merged, &our_text), (ours, &their_text)];
    for (mut document, other) in sides {
        let values = intended.iter().enumerate();
        let applied = values
            .into_iter()
            .try_for_each(|(part, value)| document.apply(part, value));
        let mut added = comments(other).filter(|comment| !base.text().contains(comment));
        if applied.is_ok() && added.all(|comment| document.text().contains(comment)) {
            return Ok(document.text().to_owned());
        }
    }
    Err((Vec::new(), by_line.text))
}

/// What may be a comment, at the end of a line or on one of its own.
fn comments(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let at = match line.find(" #") {
            _ if line.starts_with('#') => 0,
            at => at? + 1,
        };
        Some(line[at..].trim_end())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::session::{Mode, Session};
    use crate::store::StoreUrl;
    use crate::store::registry::Env;

    const BASE: &str = "spec:\n  # how many\n  max: 1\n  cloudLabels: {}\n";

    fn store() -> (Session, Arc<dyn Store>) {
        let session = Session::new(Env::default(), Mode::Direct);
        let url = StoreUrl::parse("memfs://entry").expect("a literal URL");
        let store = session.open(&url).expect("a store");
        (session, store)
    }

    async fn filled(store: &dyn Store) -> Entry {
        let key = Key::parse("c/config").expect("a literal key");
        let none = Entry::load(store, &key).await.expect("nothing");
        assert_eq!((none.text.as_str(), &none.tag), ("", &None));
        let saved = none.save(store, BASE, |_| Ok(())).await.expect("saved");
        assert!(matches!(saved, Saved::Written { merged: false, .. }));
        Entry::load(store, &key).await.expect("the object")
    }

    #[tokio::test]
    async fn what_somebody_else_changed_meanwhile_is_merged() {
        let (_session, store) = store();
        let entry = filled(&*store).await;
        let theirs = BASE.replace("max: 1", "max: 1\n  min: 1 # theirs");
        entry
            .save(&*store, &theirs, |_| Ok(()))
            .await
            .expect("theirs");
        let ours = BASE.replace("max: 1", "max: 2");
        let saved = entry.save(&*store, &ours, |_| Ok(())).await.expect("ours");
        let now = Entry::load(&*store, &entry.key).await.expect("both").text;
        let written = Saved::Written {
            text: now.clone(),
            merged: true,
        };
        assert_eq!(saved, written);
        assert!(
            now.contains("max: 2") && now.contains("min: 1 # theirs"),
            "{now}"
        );
        let again = Entry::load(&*store, &entry.key).await.expect("both");
        let saved = again.save(&*store, &now, |_| Ok(())).await.expect("same");
        assert_eq!(saved, Saved::Unchanged);
    }

    #[tokio::test]
    async fn what_both_changed_is_left_to_a_person() {
        let (_session, store) = store();
        let entry = filled(&*store).await;
        let theirs = BASE.replace("max: 1", "max: 3");
        entry
            .save(&*store, &theirs, |_| Ok(()))
            .await
            .expect("theirs");
        let ours = BASE.replace("max: 1", "max: 2");
        let saved = entry.save(&*store, &ours, |_| Ok(())).await.expect("ours");
        let Saved::Clash(clash) = saved else {
            panic!("{saved:?}");
        };
        assert_eq!(clash.theirs.text, theirs);
        assert_eq!(clash.conflicts.len(), 1);
        assert_eq!(clash.conflicts[0].path.to_string(), "spec.max");
        assert!(
            clash.marked.contains("<<<<<<< yours\n  max: 2\n"),
            "{}",
            clash.marked
        );
        let now = Entry::load(&*store, &entry.key).await.expect("theirs");
        assert_eq!(now.text, theirs, "nothing was written");
    }

    #[tokio::test]
    async fn what_somebody_else_deleted_is_not_made_anew() {
        let (_session, store) = store();
        let entry = filled(&*store).await;
        store
            .delete(&entry.key, Precondition::None)
            .await
            .expect("deleted");
        // Of a mere comment the merged value is that nothing is there.
        for ours in [BASE.replace('1', "2"), format!("{BASE}# why\n")] {
            let saved = entry.save(&*store, &ours, |_| Ok(())).await.expect("ours");
            let Saved::Clash(clash) = saved else {
                panic!("{saved:?}");
            };
            assert_eq!(clash.theirs.tag, None);
            let marked = format!("<<<<<<< yours\n{ours}=======\n>>>>>>> in the store\n");
            assert_eq!(clash.marked, marked);
        }
        let now = Entry::load(&*store, &entry.key).await.expect("nothing");
        assert_eq!(now.tag, None);
    }

    #[test]
    fn no_comment_is_lost_without_a_word() {
        let base = "a: 1\nb: 1\n";
        let theirs = "a: 1\nb: 2 # theirs\n";
        let merged = merge(base, "# why\na: 2 # ours\nb: 1\n", theirs);
        assert!(merged.is_err(), "{merged:?}");
        let merged = merge(base, "a: 1 # only a comment\nb: 1\n", theirs);
        assert!(merged.is_err(), "{merged:?}");
        let merged = merge(base, "a: 2\nb: 1\n", theirs);
        assert_eq!(merged.as_deref(), Ok("a: 2\nb: 2 # theirs\n"));
        let merged = merge(base, "a: 2 # ours\nb: 1\n", "a: 1\nb: 2\n");
        assert_eq!(merged.as_deref(), Ok("a: 2 # ours\nb: 2\n"));
    }

    #[tokio::test]
    async fn nothing_that_the_check_refuses_is_written() {
        let (_session, store) = store();
        let entry = filled(&*store).await;
        let refused = entry.save(&*store, "x: 1\n", |_| {
            Err(Error::new(ErrorKind::Invalid, "write", "no"))
        });
        refused.await.expect_err("refused");
        let now = Entry::load(&*store, &entry.key).await.expect("as before");
        assert_eq!(now, entry);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_64_that_each_add_a_label_none_is_lost() {
        let (_session, store) = store();
        let key = filled(&*store).await.key;
        let adding = (0..64).map(|n| {
            let (store, key) = (Arc::clone(&store), key.clone());
            tokio::spawn(async move {
                let entry = Entry::load(&*store, &key).await.expect("the object");
                let mut document = Document::parse(&entry.text).expect("YAML");
                let path = ["spec", "cloudLabels", &format!("k{n}")].map(String::from);
                let path = path.map(crate::merge::path::Step::Key);
                let path = crate::merge::path::Path(path.to_vec());
                document.set(0, &path, "v").expect("set");
                entry.save(&*store, document.text(), |_| Ok(())).await
            })
        });
        for saved in futures::future::join_all(adding).await {
            let saved = saved.expect("a task").expect("saved");
            assert!(matches!(saved, Saved::Written { .. }), "{saved:?}");
        }
        let text = Entry::load(&*store, &key).await.expect("all").text;
        assert_eq!(
            (0..64)
                .filter(|n| text.contains(&format!("k{n}: v")))
                .count(),
            64
        );
        assert!(text.contains("# how many"));
    }
}
