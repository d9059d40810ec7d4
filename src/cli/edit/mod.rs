//! `kstate edit`

mod draft;
mod editor;
mod notes;
mod report;
mod rules;
mod target;

use std::cell::RefCell;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::context::Context;
use super::exit::{Exit, Failure};
use crate::config::entry::{Clash, Entry, Saved};
use crate::config::validate::{Finding, Severity};
use crate::session::lock::{LockOptions, STORE_LOCK};
use crate::store::{self, Error, ErrorKind, Tag};
use crate::units;
use draft::{Draft, Origin};
use editor::Editor;
use report::{Problem, Report};
use rules::Rules;
use target::Target;

/// How often a program in the place of a person may try.
const ROUNDS: usize = 10;

/// Changes a cluster, an instance group or any other object in an editor.
///
/// The editor is what `KSTATE_EDITOR`, `VISUAL` or `EDITOR` says, a command with arguments that no
/// shell sees, else vi. A cluster and an instance group are checked before they are written: what is wrong is
/// told at the top of the text, and the editor opens again. What somebody else changed meanwhile
/// is merged; when both changed the same, the editor opens with both, between conflict markers.
/// The lock of the store is taken only while the text is written.
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
        let now = context.interruptible(target.load())?;
        let mut draft = self.draft(context, &target, now)?;
        let report = Report {
            target: &target,
            context,
            show_secrets: self.show_secrets,
        };
        let ended = self.rounds(&report, &mut draft, &editor);
        match ended {
            Ok(outcome) => {
                let unwritten = context.dry_run() && matches!(outcome, Outcome::Written { .. });
                let old = if unwritten {
                    draft.leave(&self.again(context))
                } else {
                    draft.remove()
                };
                report.outcome(&old, &outcome)?;
                Ok(Exit::DONE)
            }
            Err(failure) => Err(draft.keep(failure, &self.again(context))),
        }
    }

    fn draft(&self, context: &Context, target: &Target, now: Entry) -> Result<Draft, Failure> {
        let origin = Origin {
            object: target.url(),
            tag: now.tag.map(|tag| tag.0),
            text: now.text,
        };
        let name = target.file_name();
        if let Some(kept) = &self.from {
            return Draft::resume(context.env(), &name, origin, kept);
        }
        let text = origin.text.clone();
        Draft::new(context.env(), &name, origin, text)
    }

    /// The command that goes on with this edit.
    fn again(&self, context: &Context) -> Vec<String> {
        let mut words = vec!["kstate".to_owned(), "edit".to_owned()];
        let config = context.inputs.config_flag.as_ref();
        for (flag, value) in [
            ("--config", config.map(|file| file.display().to_string())),
            ("--state", context.inputs.state_flag.clone()),
        ] {
            let value = value.into_iter().flat_map(|value| [flag.to_owned(), value]);
            words.splice(1..1, value);
        }
        words.push(self.what.clone());
        words.extend(self.name.clone());
        if let Some(cluster) = &self.cluster {
            words.extend(["--cluster".to_owned(), cluster.clone()]);
        }
        for (flag, is_set) in [
            ("--force-unknown", self.force_unknown),
            ("--show-secrets", self.show_secrets),
        ] {
            words.extend(is_set.then(|| flag.to_owned()));
        }
        words
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
        for _ in 0..if is_person { usize::MAX } else { ROUNDS } {
            let notes = problem
                .as_ref()
                .map(|problem| (problem.title.as_str(), &problem.notes[..]));
            draft.show(notes)?;
            let before = draft.text.clone();
            let edited = io.block_on(editor.edit(draft.file(), context.json));
            let taken = draft.take();
            edited?;
            taken?;
            let is_empty = draft
                .text
                .trim_matches(['\u{feff}', ' ', '\t', '\r', '\n'])
                .is_empty();
            match &problem {
                _ if draft.text == draft.origin.text => {
                    return Ok(Outcome::Nothing("Edit cancelled: no changes made"));
                }
                None if is_empty && self.from.is_none() => {
                    return Ok(Outcome::Nothing("Edit cancelled: the text is empty"));
                }
                // What stood there before is not nothing.
                problem if is_empty => {
                    draft.text = before;
                    let code = problem
                        .as_ref()
                        .map_or(Exit::FAILED, |problem| problem.code);
                    return Err(Failure::new(code, "given up: the text is empty"));
                }
                Some(problem) if draft.text == before => return Err(report.given_up(problem)?),
                _ => {}
            }
            match context.interruptible(self.write(report, draft))? {
                Attempt::Done(outcome) => return Ok(outcome),
                // A program that changed the text would do so to the other side's changes, too.
                Attempt::Again(problem) if problem.code == Exit::CONFLICT && !is_person => {
                    return Err(report.given_up(&problem)?);
                }
                Attempt::Again(next) => problem = Some(next),
            }
        }
        let rounds = format!("it is still wrong after {ROUNDS} rounds of the editor");
        Err(match &problem {
            Some(problem) => report.given_up(problem)?.hint(rounds),
            None => Failure::new(Exit::FAILED, rounds),
        })
    }

    /// What is wrong with the text, if anything is.
    async fn look(&self, target: &Target, draft: &Draft) -> Result<Option<Problem>, Failure> {
        let rules = Rules::load(target, &draft.origin.text, self.force_unknown).await?;
        Ok(Problem::of(&rules.check(&draft.text), target))
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
                let problem = Problem::conflict(&conflicts, &marked, theirs.tag.is_none());
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
