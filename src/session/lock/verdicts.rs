//! What probes have shown, kept for a week in the user's cache folder.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::strength::Judgement;
use crate::store::registry::Env;

/// How long a verdict is good for: services change.
const VALID: Duration = Duration::days(7);

/// The verdicts of earlier runs.
pub(super) struct Verdicts {
    /// `None` without a home.
    file: Option<PathBuf>,
    /// Those of this run, which needn't be read again.
    own: Mutex<BTreeMap<String, Judgement>>,
}

#[derive(Default, Serialize, Deserialize)]
struct Kept {
    /// By [`Place::root`](crate::store::Place).
    stores: BTreeMap<String, Verdict>,
}

#[derive(Serialize, Deserialize)]
struct Verdict {
    /// Seconds since 1970.
    at: i64,
    #[serde(flatten)]
    judgement: Judgement,
}

impl Verdicts {
    pub(super) fn new(env: &Env) -> Self {
        let cache = env
            .get("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| Some(env.home()?.join(".cache")));
        Self {
            file: cache.map(|cache| cache.join("kstate/probes.json")),
            own: Mutex::default(),
        }
    }

    /// What is known of a store.
    pub(super) fn of(&self, root: &str) -> Option<Judgement> {
        if let Some(own) = self.own().get(root) {
            return Some(own.clone());
        }
        let verdict = self.load()?.stores.remove(root)?;
        let age = OffsetDateTime::now_utc().unix_timestamp() - verdict.at;
        (0..VALID.whole_seconds())
            .contains(&age)
            .then_some(verdict.judgement)
    }

    /// Keeps a verdict; where that can't be, the next run probes again.
    pub(super) fn remember(&self, root: &str, judgement: &Judgement) {
        self.own().insert(root.to_owned(), judgement.clone());
        let Some(file) = &self.file else {
            return;
        };
        let mut kept = self.load().unwrap_or_default();
        let verdict = Verdict {
            at: OffsetDateTime::now_utc().unix_timestamp(),
            judgement: judgement.clone(),
        };
        kept.stores.insert(root.to_owned(), verdict);
        let saved = serde_json::to_vec_pretty(&kept)
            .map_err(std::io::Error::from)
            .and_then(|bytes| replace(file, &bytes));
        if let Err(error) = saved {
            tracing::debug!("cannot keep the verdict in {}: {error}", file.display());
        }
    }

    fn own(&self) -> MutexGuard<'_, BTreeMap<String, Judgement>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file that can't be read is as good as none.
    #[expect(clippy::disallowed_methods, reason = "a cache, no state")]
    fn load(&self) -> Option<Kept> {
        let bytes = std::fs::read(self.file.as_ref()?).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

/// Replaces the file as a whole, so that a run beside this one reads the old or the new.
#[expect(clippy::disallowed_methods, reason = "a cache, no state")]
fn replace(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let temporary = file.with_extension(format!("{:016x}", fastrand::u64(..)));
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut opened| opened.write_all(bytes))
        .and_then(|()| std::fs::rename(&temporary, file));
    if written.is_err() {
        // Nothing to tell: the error above is the reason.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests look at files")]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::strength::Strength;
    use super::*;

    fn judgement() -> Judgement {
        Judgement {
            strength: Strength::Atomic,
            why: "it was seen".to_owned(),
        }
    }

    fn at(folder: &Path) -> (Verdicts, PathBuf) {
        let env = Env::from_iter([("XDG_CACHE_HOME", folder.to_str().unwrap())]);
        (Verdicts::new(&env), folder.join("kstate/probes.json"))
    }

    #[test]
    fn a_verdict_is_kept_for_its_store_alone_and_for_the_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (verdicts, file) = at(folder.path());
        assert_eq!(verdicts.of("s3+x/b"), None);
        verdicts.remember("s3+x/b", &judgement());
        verdicts.remember("s3+x/c", &judgement());
        for verdicts in [verdicts, at(folder.path()).0] {
            assert_eq!(verdicts.of("s3+x/b"), Some(judgement()));
            assert_eq!(verdicts.of("s3+x/d"), None);
        }
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let files = std::fs::read_dir(file.parent().unwrap()).unwrap();
        assert_eq!(files.count(), 1, "no temporary file");
    }

    #[test]
    fn an_old_verdict_and_a_broken_file_count_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (verdicts, file) = at(folder.path());
        verdicts.remember("s3+x/b", &judgement());
        let text = std::fs::read_to_string(&file).unwrap();
        let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let now = json["stores"]["s3+x/b"]["at"].as_i64().unwrap();
        for (age, is_known) in [(0, true), (6, true), (7, false), (-1, false)] {
            json["stores"]["s3+x/b"]["at"] = (now - age * 24 * 60 * 60).into();
            std::fs::write(&file, json.to_string()).unwrap();
            let (verdicts, _) = at(folder.path());
            assert_eq!(verdicts.of("s3+x/b").is_some(), is_known, "{age} days");
        }
        std::fs::write(&file, "{").unwrap();
        let (verdicts, _) = at(folder.path());
        assert_eq!(verdicts.of("s3+x/b"), None);
        verdicts.remember("s3+x/b", &judgement());
        assert_eq!(verdicts.of("s3+x/b"), Some(judgement()));
    }

    #[test]
    fn without_a_home_it_is_known_to_the_run_alone() {
        let verdicts = Verdicts::new(&Env::default());
        verdicts.remember("s3+x/b", &judgement());
        assert_eq!(verdicts.of("s3+x/b"), Some(judgement()));
        assert_eq!(Verdicts::new(&Env::default()).of("s3+x/b"), None);
    }
}
