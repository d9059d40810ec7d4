//! What all ways to show a plan have in common: the words, and what must not be shown.

use crate::config::mask::mask;
use crate::session::plan::difference::{Detail, Difference, difference};
use crate::session::plan::summary::{Effect, Group, ObjectSummary, Summary, Totals};
use crate::session::plan::{Plan, PlannedChange, Step};
use crate::text::{count, human_size};

const HIDDEN: &str = "<hidden>";

/// A plan that is shown.
pub(super) struct View<'a> {
    pub(super) plan: &'a Plan,
    pub(super) summary: Summary,
    pub(super) detail: Detail,
    /// The command that carries it out.
    pub(super) apply: String,
}

impl<'a> View<'a> {
    pub(super) fn new(plan: &'a Plan, detail: Detail, file: &str) -> Self {
        let file = if file == "-" { "FILE" } else { file };
        Self {
            plan,
            summary: Summary::of(plan),
            detail,
            apply: format!("kstate apply {}", quoted(file)),
        }
    }

    /// The script and its arguments as one would type them.
    pub(super) fn command(&self) -> String {
        let words = std::iter::once(quoted(&self.script()));
        let args = self.args();
        let args = args.iter().map(|arg| quoted(arg));
        words.chain(args).collect::<Vec<_>>().join(" ")
    }

    /// The script as it was named.
    pub(super) fn script(&self) -> String {
        self.masked(&self.plan.origin.script)
    }

    /// The script's arguments, without the values of those that are called like secrets.
    pub(super) fn args(&self) -> Vec<String> {
        let mut flag = None;
        let args = self.plan.origin.args.iter();
        args.map(|arg| {
            let belongs_to = flag.take().filter(|_| !arg.starts_with("--"));
            let (name, value) = arg
                .split_once('=')
                .map_or((&**arg, None), |(name, value)| (name, Some(value)));
            if arg.starts_with('-') && value.is_none() {
                flag = Some(&**arg);
            }
            match (belongs_to, value) {
                (Some(flag), _) if self.hides(flag) => HIDDEN.to_owned(),
                (_, Some(_)) if self.hides(name) => format!("{name}={HIDDEN}"),
                _ => self.masked(arg),
            }
        })
        .collect()
    }

    fn hides(&self, name: &str) -> bool {
        self.masked(&format!("{name}=value")).contains(HIDDEN)
    }

    fn masked(&self, text: &str) -> String {
        if self.detail.show_secrets {
            text.to_owned()
        } else {
            mask(text)
        }
    }

    /// How a store is reached, as `name=value`.
    pub(super) fn options(&self, store: usize) -> Vec<String> {
        let options = self.plan.stores.get(store).map(|store| &store.options);
        let options = options.into_iter().flatten();
        options
            .map(|(name, value)| self.masked(&format!("{name}={value}")))
            .collect()
    }

    pub(super) fn url(&self, store: usize) -> &'a str {
        self.plan.stores.get(store).map_or("", |store| &store.url)
    }

    /// The full URL of what a step copies.
    pub(super) fn source(&self, step: &Step) -> Option<String> {
        match &step.change {
            PlannedChange::Copy { store, key, .. } => {
                Some(format!("{}/{key}", self.url(*store).trim_end_matches('/')))
            }
            _ => None,
        }
    }

    /// The user metadata that a write gives its object.
    pub(super) fn user(&self, step: &Step) -> Vec<(String, String)> {
        let PlannedChange::Write { user, .. } = &step.change else {
            return Vec::new();
        };
        let shown = |(name, value): (&String, &String)| {
            let value = if self.hides(name) {
                HIDDEN.to_owned()
            } else {
                self.masked(value)
            };
            (name.clone(), value)
        };
        user.iter().map(shown).collect()
    }

    /// What a write says of the object beside its bytes.
    pub(super) fn metadata(&self, step: &Step) -> Vec<(String, String)> {
        let content_type = match &step.change {
            PlannedChange::Write { content_type, .. } => content_type.clone(),
            _ => None,
        };
        let content_type = content_type.map(|value| ("content type".to_owned(), value));
        content_type.into_iter().chain(self.user(step)).collect()
    }

    /// Where most copies of a cluster come from: the place that has them under the same names.
    pub(super) fn source_base(&self, group: &Group) -> Option<String> {
        group.objects.iter().find_map(|object| {
            let step = object
                .steps
                .iter()
                .find_map(|at| self.plan.steps.get(*at))?;
            let source = self.source(step)?;
            let base = source.strip_suffix(&object.name)?.strip_suffix('/')?;
            Some(base.to_owned())
        })
    }

    /// The full URL of what a step copies, where `base` doesn't say it already.
    pub(super) fn source_beside(
        &self,
        base: Option<&str>,
        object: &ObjectSummary,
        step: &Step,
    ) -> Option<String> {
        let told = base.map(|base| format!("{base}/{}", object.name));
        self.source(step)
            .filter(|source| told.as_ref() != Some(source))
    }

    /// The SHA-256 of what a step writes, unless some of it is hidden: a short secret can be
    /// guessed from it.
    pub(super) fn hash<'b>(&self, object: &ObjectSummary, step: &'b Step) -> Option<&'b str> {
        match &step.change {
            PlannedChange::Write { content, .. } if !self.hides_some(object, Some(content)) => {
                Some(content)
            }
            _ => None,
        }
    }

    /// Whether the version that a step expects may be shown. It may be a hash of a secret.
    pub(super) fn shows_version(&self, object: &ObjectSummary, step: &Step) -> bool {
        !self.hides_some(object, step.before.as_deref())
    }

    /// Whether any of an object's bytes may not be shown.
    fn hides_some(&self, object: &ObjectSummary, content: Option<&str>) -> bool {
        let bytes = content.and_then(|hash| self.plan.contents.get(hash));
        let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
        let is_masked = text.is_some_and(|text| self.masked(text) != text);
        self.hides_object(object) || is_masked
    }

    /// Whether nothing of an object's bytes may be shown.
    fn hides_object(&self, object: &ObjectSummary) -> bool {
        object.is_secret && !self.detail.show_secrets
    }

    pub(super) fn difference(&self, object: &ObjectSummary, step: &Step) -> Difference {
        difference(self.plan, step, object.is_secret, self.detail)
    }

    /// What is said of a step beside the name of its object: sizes, and what stands in for a
    /// difference that can't be shown.
    pub(super) fn about(
        &self,
        object: &ObjectSummary,
        step: &Step,
        difference: &Difference,
    ) -> String {
        let remark = remark(difference, step);
        let hash = match difference {
            Difference::Binary | Difference::TooLarge | Difference::Unknown => {
                self.hash(object, step)
            }
            _ => None,
        };
        let hash = hash.map(|hash| format!("SHA-256 {}…", hash.get(..16).unwrap_or(hash)));
        let parts = [Some(sizes(step)), remark.map(str::to_owned), hash];
        let parts = parts.into_iter().flatten().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(", ")
    }

    /// What the plan was computed from.
    pub(super) fn observed(&self) -> String {
        let observed = &self.plan.observed;
        format!(
            "{} and {}",
            count(observed.objects.len() as u64, "object"),
            count(observed.listings.len() as u64, "listing")
        )
    }

    /// The locks that are held while it is applied.
    pub(super) fn locks(&self) -> Vec<String> {
        let locks = self.plan.locks.iter();
        locks
            .map(|lock| format!("{} in {}", lock.name, self.url(lock.store)))
            .collect()
    }
}

/// A word as a shell reads it as one.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=,@%+<>".contains(c);
    let is_plain = |word: &str| !word.is_empty() && word.chars().all(is_plain);
    if is_plain(word) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// `1 to create, 2 to change; 1.2 KiB to write`.
pub(super) fn totals(totals: &Totals) -> String {
    let parts: Vec<String> = counts(totals)
        .map(|(effect, number)| match effect {
            Effect::Nothing => format!("{number} as before in the end"),
            effect => format!("{number} to {}", verb(effect)),
        })
        .collect();
    let bytes = bytes(totals);
    match (parts.is_empty(), bytes.is_empty()) {
        (true, _) => "nothing to do".to_owned(),
        (false, true) => parts.join(", "),
        (false, false) => format!("{}; {bytes}", parts.join(", ")),
    }
}

/// `… 1 more line`, `… 2 more lines`.
pub(super) fn more(number: usize, what: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("… {number} more {what}{end}")
}

/// How many objects change in each way, without those in which none does.
pub(super) fn counts(totals: &Totals) -> impl Iterator<Item = (Effect, u64)> {
    [
        (Effect::Create, totals.created),
        (Effect::Change, totals.changed),
        (Effect::Delete, totals.deleted),
        (Effect::Copy, totals.copied),
        (Effect::Replace, totals.replaced),
        (Effect::Nothing, totals.untouched),
    ]
    .into_iter()
    .filter(|(_, number)| *number > 0)
}

/// `1.2 KiB to write, 3.0 MiB to copy`; empty when no bytes are.
pub(super) fn bytes(totals: &Totals) -> String {
    let parts: Vec<String> = [
        (totals.bytes_written, "to write"),
        (totals.bytes_copied, "to copy"),
        (totals.bytes_deleted, "to delete"),
    ]
    .into_iter()
    .filter(|(bytes, _)| *bytes > 0)
    .map(|(bytes, what)| format!("{} {what}", human_size(bytes)))
    .collect();
    parts.join(", ")
}

pub(super) fn verb(effect: Effect) -> &'static str {
    match effect {
        Effect::Create => "create",
        Effect::Change => "change",
        Effect::Delete => "delete",
        Effect::Copy => "copy",
        Effect::Replace => "replace by a copy",
        Effect::Nothing => "leave",
    }
}

/// The sizes before and after a step: `1.0 KiB`, `1.0 KiB → 2.0 KiB`.
fn sizes(step: &Step) -> String {
    let after = match step.change {
        PlannedChange::Write { size, .. } | PlannedChange::Copy { size, .. } => Some(size),
        PlannedChange::Delete => None,
    };
    let exact = |size: u64| match size {
        0..1024 => human_size(size),
        _ => format!("{} ({size} B)", human_size(size)),
    };
    match (step.size_before, after) {
        (Some(before), Some(after)) if before == after => exact(after),
        (Some(before), Some(after)) if human_size(before) == human_size(after) => {
            format!("{before} B → {after} B")
        }
        (Some(before), Some(after)) => format!("{} → {}", human_size(before), human_size(after)),
        (Some(size), None) | (None, Some(size)) => human_size(size),
        (None, None) => String::new(),
    }
}

/// Why no difference is shown, where that needs a word.
fn remark(difference: &Difference, step: &Step) -> Option<&'static str> {
    if matches!(step.change, PlannedChange::Copy { .. }) {
        return None;
    }
    match difference {
        Difference::Same => Some("the same bytes"),
        Difference::Secret => Some("a secret, not shown"),
        Difference::Binary => Some("not text"),
        Difference::TooLarge => Some("too large to show"),
        Difference::Unknown => Some("what it replaces is not text, or too large to show"),
        Difference::Deleted | Difference::Text(_) => None,
    }
}

/// What the difference of a text doesn't show, and the flag that shows it.
pub(super) fn reservations(difference: &Difference) -> Vec<(&'static str, &'static str)> {
    let Difference::Text(text) = difference else {
        return Vec::new();
    };
    let all = [
        (text.comments, "comments change too", "--full"),
        (text.hidden, "some of it is hidden", "--show-secrets"),
    ];
    let all = all.into_iter().filter(|(is_so, ..)| *is_so);
    all.map(|(_, words, flag)| (words, flag)).collect()
}
