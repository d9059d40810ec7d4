//! `kstate edit`

mod again;
mod draft;
mod editor;
mod folder;
mod notes;
mod report;
mod rules;
mod target;

use std::cell::RefCell;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use super::context::Context;
use super::exit::{Exit, Failure};
use crate::config::check::File;
use crate::config::clusters::trespass;
use crate::config::entry::{Clash, Entry, Saved};
use crate::config::validate::{Finding, Severity};
use crate::session::lock::{LockOptions, STORE_LOCK};
use crate::store::{self, Error, ErrorKind, Tag};
use crate::units;
use draft::{Draft, Origin};
use editor::Editor;
use report::{Problem, Report};
use rules::Rules;
use target::{Target, What};

/// How often a program in the place of a person may try.
const ROUNDS: usize = 10;

/// An editor that ends sooner than this is a program without a person before it, or has left a
/// window open.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Changes a cluster, an instance group or any other object in an editor.
///
/// The editor is what `KSTATE_EDITOR`, `VISUAL` or `EDITOR` says, a command with arguments that no
/// shell sees, else vi. A cluster and an instance group are checked before they are written, a
/// YAML file for its syntax: what is wrong is told at the top of the text, and the editor opens
/// again. What somebody else changed meanwhile is merged; when both changed the same, the editor
/// opens with both, between conflict markers. The lock of the store is taken only while the text
/// is written.
///
/// Whatever goes wrong, the text is kept, and it is told where. Save an empty text to give up.
#[derive(Args)]
#[command(override_usage = "kstate edit [OPTIONS] cluster NAME
       kstate edit [OPTIONS] instancegroup NAME --cluster CLUSTER
       kstate edit [OPTIONS] FILE")]
pub(super) struct Edit {
    /// `cluster`, `instancegroup` (or `ig`), or the URL or path of an object
    #[arg(value_name = "WHAT")]
    what: String,
    /// The name of the cluster or of the instance group
    name: Option<String>,
    #[arg(
        long,
        visible_alias = "name",
        value_name = "CLUSTER",
        help = "The cluster of the instance group [env: KOPS_CLUSTER_NAME]"
    )]
    cluster: Option<String>,
    /// Go on with a text that was kept, or take the text of another file
    #[arg(long, value_name = "KEPT")]
    from: Option<PathBuf>,
    /// Write fields that kOps doesn't know, too
    #[arg(long)]
    force_unknown: bool,
    /// Edit a file with keys, tokens or credentials, and show secrets in what --dry-run prints
    #[arg(long)]
    show_secrets: bool,
    /// How long to wait for another run that writes to the store
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = units::duration)]
    lock_wait: Duration,
}

/// How an edit ended well.
enum Outcome {
    /// Nothing was changed, and why.
    Nothing(&'static str),
    /// Nothing was changed, by an editor that may not have ended.
    TooSoon,
    /// The text is written.
    Written {
        text: String,
        merged: bool,
        warnings: Vec<Finding>,
    },
}

/// What became of an attempt to write the text.
enum Attempt {
    Done(Outcome),
    /// The person has to look at it again.
    Again(Problem),
}

impl Edit {
    pub(super) fn run(self, context: &Context) -> Result<u8, Failure> {
        let target = Target::find(&self, context)?;
        if target.is_secret() && !self.show_secrets {
            let message = format!("{} holds secrets", target.url());
            return Err(Failure::refused(message).hint("--show-secrets edits it all the same"));
        }
        // Better told now than after an hour in the editor.
        context.session.permit(&*target.store, &target.key)?;
        let editor = Editor::of(context.env())?;
        let mut draft = self.draft(context, &target)?;
        let report = Report {
            target: &target,
            context,
            show_secrets: self.show_secrets,
        };
        let outcome = match self.rounds(&report, &mut draft, &editor) {
            Ok(outcome) => outcome,
            Err(failure) => return Err(draft.keep(failure)),
        };
        match &outcome {
            Outcome::TooSoon => tracing::warn!(
                "the editor ended at once. If its window is still open: save the text there, and\n\
                 {}\nAn editor that waits needs none of this, such as EDITOR='code --wait'",
                draft.go_on(false)
            ),
            Outcome::Written { .. } if context.dry_run() => tracing::info!("{}", draft.kept(true)),
            _ => draft.remove(),
        }
        report.outcome(&draft.origin.text, &outcome)?;
        Ok(Exit::DONE)
    }

    fn draft(&self, context: &Context, target: &Target) -> Result<Draft, Failure> {
        let (env, name, object) = (context.env(), target.file_name(), target.url());
        if let Some(kept) = &self.from
            && let Some(draft) = Draft::resume(env, &name, &object, kept)?
        {
            return Ok(draft);
        }
        let now = context.interruptible(target.load())?;
        let text = match &self.from {
            Some(file) => draft::read(file)?,
            None => now.text.clone(),
        };
        let origin = Origin {
            object,
            tag: now.tag.map(|tag| tag.0),
            text: now.text,
        };
        Draft::new(env, &name, origin, text)
    }

    /// Opens the editor until the text is written or given up.
    fn rounds(
        &self,
        report: &Report<'_>,
        draft: &mut Draft,
        editor: &Editor,
    ) -> Result<Outcome, Failure> {
        let context = report.context;
        let Some(io) = context.io() else {
            return Err(Failure::silent(Exit::FAILED));
        };
        let is_person = std::io::stdin().is_terminal();
        let mut problem = match &self.from {
            Some(_) => context.interruptible(self.look(report.target, draft))?,
            None => None,
        };
        let mut hasty = 0;
        loop {
            draft.show(problem.as_ref())?;
            let before = draft.text.clone();
            let started = Instant::now();
            let edited = io.block_on(editor.edit(draft.file(), context.json));
            let is_too_soon = is_person && started.elapsed() < AT_ONCE;
            let taken = draft.take();
            edited?;
            taken?;
            match &problem {
                _ if draft.text == draft.origin.text && is_too_soon => {
                    return Ok(Outcome::TooSoon);
                }
                _ if draft.text == draft.origin.text => {
                    return Ok(Outcome::Nothing("Edit cancelled: no changes made"));
                }
                None if draft.is_empty() && self.from.is_none() => {
                    return Ok(Outcome::Nothing("Edit cancelled: the text is empty"));
                }
                // What stood there before is not nothing.
                problem if draft.is_empty() => {
                    draft.text = before;
                    let code = problem.as_ref().map_or(Exit::FAILED, |it| it.code);
                    return Err(Failure::new(code, "given up: the text is empty"));
                }
                Some(problem) if draft.text == before => return Err(report.given_up(problem)?),
                _ => {}
            }
            let next = match context.interruptible(self.write(report, draft))? {
                Attempt::Done(outcome) => return Ok(outcome),
                Attempt::Again(next) => next,
            };
            // A program that changed the text would do so to the other side's changes, too.
            if next.code == Exit::CONFLICT && !is_person {
                return Err(report.given_up(&next)?);
            }
            let is_program = is_too_soon || !is_person;
            hasty = if is_program { hasty + 1 } else { 0 };
            if hasty == ROUNDS {
                let rounds = format!("it is still wrong after {ROUNDS} rounds of the editor");
                return Err(report.given_up(&next)?.hint(rounds));
            }
            problem = Some(next);
        }
    }

    /// What is wrong with the text, if anything is.
    async fn look(&self, target: &Target, draft: &Draft) -> Result<Option<Problem>, Failure> {
        let rules = Rules::load(target, &draft.origin.text, self.force_unknown).await?;
        let mut findings = rules.check(&draft.text);
        if let What::Cluster(_) = target.what {
            let file = File {
                label: &target.url(),
                text: &draft.text,
            };
            findings.extend(trespass(&*target.store, file, Some(&draft.origin.text)).await?);
        }
        Ok(Problem::of(&findings, target))
    }

    /// Writes the text, or tells why it can't be written so.
    async fn write(&self, report: &Report<'_>, draft: &mut Draft) -> Result<Attempt, Failure> {
        let (target, session) = (report.target, &report.context.session);
        // Whoever mistyped something need not wait for the lock to hear of it.
        if let Some(problem) = self.look(target, draft).await? {
            return Ok(Attempt::Again(problem));
        }
        let options = LockOptions::of_command(self.lock_wait);
        let lock = session.lock(&target.store, STORE_LOCK, &options).await?;
        lock.protect(self.save(target, draft)).await?
    }

    async fn save(&self, target: &Target, draft: &mut Draft) -> Result<Attempt, Failure> {
        let rules = Rules::load(target, &draft.origin.text, self.force_unknown).await?;
        let base = Entry {
            key: target.key.clone(),
            text: draft.origin.text.clone(),
            tag: draft.origin.tag.clone().map(Tag),
        };
        let seen: RefCell<(String, Vec<Finding>)> = RefCell::default();
        let check = |text: &str| {
            let findings = rules.check(text);
            let is_wrong = findings
                .iter()
                .any(|finding| finding.severity == Severity::Error);
            seen.replace((text.to_owned(), findings));
            if is_wrong {
                return Err(Error::new(ErrorKind::Invalid, "write", "it is wrong"));
            }
            store::Result::Ok(())
        };
        let saved = base.save(&*target.store, &draft.text, check).await;
        let (text, findings) = seen.into_inner();
        match saved {
            Ok(Saved::Unchanged) => {
                let same = "Nothing to do: somebody else made the same change";
                Ok(Attempt::Done(Outcome::Nothing(same)))
            }
            Ok(Saved::Written { text, merged }) => Ok(Attempt::Done(Outcome::Written {
                text,
                merged,
                warnings: findings,
            })),
            Ok(Saved::Clash(clash)) => {
                let Clash {
                    theirs,
                    marked,
                    conflicts,
                } = *clash;
                let problem = match &theirs.tag {
                    Some(_) => Problem::conflict(&conflicts, &marked, target),
                    None => Problem::deleted(target),
                };
                draft.text = marked;
                draft.rebase(theirs.tag.map(|tag| tag.0), theirs.text)?;
                Ok(Attempt::Again(problem))
            }
            Err(error) => match Problem::of(&findings, target) {
                // The text may be the one with what somebody else changed.
                Some(problem) => {
                    draft.text = text;
                    Ok(Attempt::Again(problem))
                }
                None => Err(error.into()),
            },
        }
    }
}
