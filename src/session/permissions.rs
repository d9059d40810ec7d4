//! What a run may do, and who said so.

use std::fmt;
use std::path::Path;

use crate::config::permissions::{EnvName, HostRule, Program};
use crate::store::{self, Error, Key, Place, Result, Store};

/// What was granted to a run. The default lets it write to every store that it can open, and
/// nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// No store may be written at all.
    pub read_only: Option<Origin>,
    /// The only places that may be written; `None` for all.
    pub write: Option<Vec<Granted<Target>>>,
    /// Whether stores in this process's memory may be written whatever `write` says.
    pub memory: bool,
    /// Hosts that a script may ask over HTTP.
    pub http: Vec<Granted<HostRule>>,
    /// Programs that a script may run.
    pub process: Vec<Granted<Program>>,
    /// Secret-looking environment variables that a script may read.
    pub env: Vec<Granted<EnvName>>,
}

/// One thing that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted<T> {
    /// The thing.
    pub what: T,
    /// Who granted it.
    pub by: Origin,
}

/// Who granted or forbade something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag on the command line.
    Flag,
    /// A named set in kstate's configuration.
    Set(String),
    /// The manifest of a script that ships with kstate.
    Manifest,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Set(name) => write!(f, "set '{name}'"),
            Self::Manifest => f.write_str("shipped script"),
        }
    }
}

/// A place that may be written, with everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its URL as it may be shown.
    pub url: String,
    /// Where it really is.
    pub place: Place,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl Target {
    /// The place of a store.
    #[must_use]
    pub fn of(store: &dyn Store) -> Self {
        Self {
            url: store.url().to_owned(),
            place: store.place(),
        }
    }
}

impl Grants {
    /// Adds what a script may do.
    pub fn add_script(
        &mut self,
        by: &Origin,
        http: &[HostRule],
        process: &[Program],
        env: &[EnvName],
    ) {
        fn granted<T: Clone>(what: &[T], by: &Origin) -> impl Iterator<Item = Granted<T>> {
            what.iter().map(|what| Granted {
                what: what.clone(),
                by: by.clone(),
            })
        }
        self.http.extend(granted(http, by));
        self.process.extend(granted(process, by));
        self.env.extend(granted(env, by));
    }

    /// Whether an object may be written or deleted.
    pub(super) fn check_write(
        &self,
        verb: &'static str,
        store: &dyn Store,
        key: &Key,
    ) -> Result<()> {
        if self.read_only.is_none() && self.write.is_none() {
            return Ok(());
        }
        if self.read_only.is_none() && self.memory && store.capabilities().ephemeral {
            return Ok(());
        }
        let place = store.place();
        let object = Place {
            prefix: place.full_key(key.as_str()),
            root: place.root,
        };
        self.check_place(verb, &object, store.url())
            .map_err(|error| error.at(store.url(), Some(key.as_str())))
    }

    /// Whether a file outside of all stores may be written, such as the user's `~/.kops.yaml`.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`](store::ErrorKind::PermissionDenied) with the flag that
    /// would allow it.
    pub fn check_file(&self, verb: &'static str, file: &Path) -> Result<()> {
        let shown = file.display().to_string();
        self.check_place(verb, &store::file::place_of(file), &shown)
            .map_err(|error| error.at(&shown, None))
    }

    fn check_place(&self, verb: &'static str, place: &Place, url: &str) -> Result<()> {
        if let Some(by) = &self.read_only {
            let undo = match by {
                Origin::Set(name) => {
                    format!("run it without -P {name}, which says 'read_only: true'")
                }
                _ => "run it without --read-only to let it write".to_owned(),
            };
            return Err(Error::denied(verb, "this run may write nowhere").hint(undo));
        }
        let Some(granted) = &self.write else {
            return Ok(());
        };
        if granted.iter().any(|one| one.what.place.contains(place)) {
            return Ok(());
        }
        let places: Vec<_> = granted.iter().map(|one| one.what.url.as_str()).collect();
        let message = match places.as_slice() {
            [] => "this run may write nowhere".to_owned(),
            places => format!("this run may write only to {}", places.join(", ")),
        };
        let is_namesake = |one: &Granted<Target>| {
            one.what.place.root != place.root
                && (one.what.url == url || url.starts_with(&format!("{}/", one.what.url)))
        };
        let hint = if granted.iter().any(is_namesake) {
            format!(
                "{url} was granted on another endpoint: give --allow-write the name of the store, or the \
                 URL with its options (?endpoint=…)"
            )
        } else {
            format!("{}", Wanted::new("allow-write", url))
        };
        Err(Error::denied(verb, message).hint(hint))
    }

    /// Whether a host may be asked.
    #[must_use]
    pub fn allows_http(&self, host: &HostRule) -> bool {
        self.http.iter().any(|rule| rule.what.covers(host))
    }

    /// Whether a program may be run.
    #[must_use]
    pub fn allows_process(&self, program: &Program) -> bool {
        self.process.iter().any(|granted| granted.what == *program)
    }

    /// Whether a secret-looking variable may be read.
    #[must_use]
    pub fn allows_env(&self, name: &str) -> bool {
        self.env.iter().any(|granted| granted.what.as_str() == name)
    }
}

/// What would have to be granted, as the end of a hint: the flag, and the line of a set.
pub struct Wanted<'a> {
    flag: &'static str,
    value: &'a str,
}

impl<'a> Wanted<'a> {
    /// A value of a flag such as `allow-http`.
    #[must_use]
    pub fn new(flag: &'static str, value: &'a str) -> Self {
        Self { flag, value }
    }

    /// The flag with the value as a shell takes it.
    #[must_use]
    pub fn flag(&self) -> String {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
        let value = if self.value.chars().all(is_plain) && !self.value.is_empty() {
            self.value.to_owned()
        } else {
            format!("'{}'", self.value.replace('\'', "'\\''"))
        };
        format!("--{} {value}", self.flag)
    }
}

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Commands have stores to write too; all else is for scripts.
        let place = match self.flag {
            "allow-write" => "",
            _ => " before the script's name",
        };
        write!(
            f,
            "allow it with {}{place}, or in a set of permissions (-P NAME) with '{}: [{:?}]'",
            self.flag(),
            self.flag.replace('-', "_"),
            self.value
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{ErrorKind, StoreUrl, mem};

    fn store(url: &str) -> mem::MemStore {
        mem::Buckets::default().open(&StoreUrl::parse(url).expect("a literal URL"))
    }

    fn only(urls: &[&str]) -> Grants {
        let granted = urls.iter().map(|url| Granted {
            what: Target::of(&store(url)),
            by: Origin::Flag,
        });
        Grants {
            write: Some(granted.collect()),
            ..Grants::default()
        }
    }

    #[test]
    fn memory_may_be_granted_beside_places() {
        let mut grants = only(&[]);
        assert!(check(&grants, "memfs://b", "x").is_err());
        grants.memory = true;
        assert!(check(&grants, "memfs://b", "x").is_ok());
        grants.read_only = Some(Origin::Flag);
        assert!(check(&grants, "memfs://b", "x").is_err());
    }

    fn check(grants: &Grants, url: &str, key: &str) -> Result<()> {
        grants.check_write("write", &store(url), &Key::parse(key).expect("a key"))
    }

    #[test]
    fn a_place_is_granted_with_what_lies_below_it_by_whole_names() {
        let grants = only(&["memfs://b/pro", "memfs://other"]);
        for (url, key) in [
            ("memfs://b/pro", "x"),
            ("memfs://b", "pro/x"),
            ("memfs://b/pro/a", "x"),
            ("memfs://other", "x"),
        ] {
            check(&grants, url, key).expect(url);
        }
        for (url, key) in [
            ("memfs://b/prod", "x"),
            ("memfs://b", "prod/x"),
            ("memfs://b", "pr"),
            ("memfs://b2/pro", "x"),
            ("memfs://other2", "x"),
        ] {
            let error = check(&grants, url, key).expect_err(url);
            assert!(matches!(error.kind(), ErrorKind::PermissionDenied { .. }));
            assert!(error.is_own_refusal());
            let hint = error.hint_text().expect("a hint");
            assert!(hint.contains(&format!("--allow-write {url}, or")), "{hint}");
        }
        check(&Grants::default(), "memfs://any", "x").expect("nothing is forbidden");
        assert!(check(&only(&[]), "memfs://b", "x").is_err());
    }

    #[test]
    fn read_only_wins_and_says_who_wants_it() {
        let mut grants = only(&["memfs://b"]);
        grants.read_only = Some(Origin::Flag);
        let hint = |grants: &Grants| {
            let error = check(grants, "memfs://b", "x").expect_err("read-only");
            error.hint_text().expect("a hint").to_owned()
        };
        assert!(hint(&grants).contains("without --read-only"));
        grants.read_only = Some(Origin::Set("look".to_owned()));
        assert!(hint(&grants).contains("without -P look"));
    }

    #[test]
    fn the_same_url_on_another_endpoint_is_another_place() {
        let mut grants = only(&["memfs://b"]);
        grants.write.as_mut().expect("places")[0].what.place.root = "elsewhere".to_owned();
        let error = check(&grants, "memfs://b/a", "x").expect_err("another root");
        let hint = error.hint_text().expect("a hint");
        assert!(hint.contains("on another endpoint"), "{hint}");
    }

    #[test]
    fn a_flag_can_be_pasted_into_a_shell() {
        let flag = |value: &str| Wanted::new("allow-http", value).flag();
        assert_eq!(flag("a.b:80"), "--allow-http a.b:80");
        assert_eq!(flag("*.b"), "--allow-http '*.b'");
        assert_eq!(flag("a'b"), r"--allow-http 'a'\''b'");
        let all = Wanted::new("allow-http", "*.b").to_string();
        assert!(all.contains("'allow_http: [\"*.b\"]'"), "{all}");
    }
}
