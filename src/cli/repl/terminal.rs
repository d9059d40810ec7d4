//! The prompt on a terminal.

use std::io::Write;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use futures::FutureExt;
use rustyline::completion::{Completer, Pair};
use rustyline::config::{CompletionType, Config};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Editor, Helper, Highlighter, Hinter};

use super::staged::{Left, Staged};
use super::{shown, simple, told};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::LogFormat;
use crate::lua::Stop;
use crate::repl::{Evaluator, command};
use crate::session::journal;

/// So many entries are kept.
const HISTORY: usize = 10_000;

/// What the line editor asks of Lua.
#[derive(Helper, Highlighter, Hinter)]
struct Lua(Rc<Evaluator>);

impl Completer for Lua {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        // A bug in looking things up is no reason to lose what is typed.
        let complete = std::panic::AssertUnwindSafe(|| self.0.complete(line, cursor));
        let found = std::panic::catch_unwind(complete).unwrap_or_default();
        let pairs = found.candidates.into_iter().map(|candidate| Pair {
            display: candidate.shown,
            replacement: candidate.text,
        });
        Ok((found.start, pairs.collect()))
    }
}

impl Validator for Lua {
    fn validate(&self, context: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        let text = context.input();
        // When in doubt it is complete, and Lua says what is wrong: somebody who is asked for more
        // for ever can't get out.
        if command::parse(text).is_none() && self.0.is_incomplete(text) {
            return Ok(ValidationResult::Incomplete);
        }
        Ok(ValidationResult::Valid(None))
    }
}

/// A person at a terminal.
pub(super) struct Prompt {
    context: Arc<Context>,
    evaluator: Rc<Evaluator>,
    editor: Editor<Lua, FileHistory>,
    history: Option<PathBuf>,
    staged: Staged,
}

/// Whether the prompt goes on.
enum Next {
    Stay,
    Leave(u8),
}

impl Prompt {
    pub(super) fn new(
        context: &Arc<Context>,
        evaluator: Evaluator,
        staged: Staged,
    ) -> Result<Self, Failure> {
        let cannot = |error: ReadlineError| {
            Failure::new(Exit::FAILED, format!("cannot use the terminal: {error}"))
        };
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .max_history_size(HISTORY)
            .and_then(|config| config.history_ignore_dups(true))
            .map_err(cannot)?
            .history_ignore_space(true)
            .build();
        let mut editor = Editor::with_config(config).map_err(cannot)?;
        let evaluator = Rc::new(evaluator);
        editor.set_helper(Some(Lua(Rc::clone(&evaluator))));
        let journals = journal::Settings::folder(context.env());
        let history = journals.map(|journals| journals.with_file_name("repl_history"));
        if let Some(history) = &history {
            // There is none before the first entry.
            let _ = editor.load_history(history);
        }
        Ok(Self {
            context: Arc::clone(context),
            evaluator,
            editor,
            history,
            staged,
        })
    }

    /// What somebody should know who opens it for the first time.
    pub(super) fn greet(&self) {
        let version = env!("CARGO_PKG_VERSION");
        let writes = self.staged.explanation();
        say(&format!(
            "kstate {version}; {writes}; :help tells more, Ctrl-D leaves\n"
        ));
    }

    pub(super) async fn run(&mut self) -> Result<u8, Failure> {
        loop {
            let prompt = self.staged.prompt(&self.context);
            let next = match self.editor.readline(&prompt) {
                Ok(line) if line.trim().is_empty() => continue,
                Ok(line) => {
                    self.keep(&line);
                    let entry = std::panic::AssertUnwindSafe(self.entry(&line));
                    entry.catch_unwind().await.unwrap_or_else(|_| {
                        complain("this is a bug in kstate; the prompt goes on");
                        Next::Stay
                    })
                }
                // What was typed is dropped.
                Err(ReadlineError::Interrupted) => continue,
                Err(ReadlineError::Eof) => self.leave(Exit::DONE).await,
                Err(error) => {
                    self.staged.keep(&self.context);
                    let message = format!("cannot read from the terminal: {error}");
                    return Err(Failure::new(Exit::FAILED, message));
                }
            };
            if let Next::Leave(code) = next {
                return Ok(code);
            }
        }
    }

    /// Puts an entry into the history.
    fn keep(&mut self, line: &str) {
        let added = self.editor.add_history_entry(line);
        let Some(history) = self.history.as_ref().filter(|_| matches!(added, Ok(true))) else {
            return;
        };
        let folder = history
            .parent()
            .map_or(Ok(()), super::staged::private_folder);
        let folder = folder.map_err(ReadlineError::Io);
        if let Err(error) = folder.and_then(|()| self.editor.append_history(history)) {
            tracing::warn!(
                "what you type is not remembered in {}: {error}",
                history.display()
            );
            self.history = None;
        }
    }

    async fn entry(&mut self, line: &str) -> Next {
        let done = match command::parse(line) {
            Some(Err(unknown)) => Err(Failure::usage(unknown)),
            Some(Ok(("quit", _))) => return self.leave(Exit::DONE).await,
            Some(Ok((name, rest))) => self.command(name, rest).await,
            None => match self.evaluator.eval(line).await {
                Ok(values) => Ok(shown(self.evaluator.runtime(), &values)),
                Err(error) => match error.stop() {
                    Some(Stop::Exit(code)) => return self.leave(code).await,
                    Some(Stop::Cancelled) => {
                        // The terminal shows ^C.
                        say("\n");
                        Err(Failure::new(Exit::INTERRUPTED, "interrupted"))
                    }
                    _ => Err(told(&error, &self.evaluator.runtime().render(&error))),
                },
            },
        };
        match done {
            Ok(shown) => say(&shown),
            Err(failure) => {
                failure.report(LogFormat::Text);
            }
        }
        Next::Stay
    }

    async fn command(&mut self, name: &str, rest: &str) -> Result<String, Failure> {
        let context = Arc::clone(&self.context);
        match name {
            "diff" => self.staged.diff(&context),
            "plan" => self.staged.plan(&context, rest),
            "drop" => self.staged.drop_all(&context),
            "commit" => {
                let (staged, editor) = (&self.staged, &mut self.editor);
                let mut ask = |question: &str| agrees(editor, question);
                staged
                    .commit(&context, self.evaluator.runtime(), &mut ask)
                    .await
            }
            _ => simple(&self.evaluator, name, rest, &context).await,
        }
    }

    /// Leaves, unless there are changes that would be lost.
    async fn leave(&mut self, code: u8) -> Next {
        let question = self.staged.question(&self.context);
        let Some(question) = question else {
            return Next::Leave(code);
        };
        let context = Arc::clone(&self.context);
        match self.answer(&question) {
            Left::Commit => match self.command("commit", "").await {
                Ok(shown) => {
                    say(&shown);
                    Next::Leave(code)
                }
                Err(failure) => {
                    failure.report(LogFormat::Text);
                    Next::Stay
                }
            },
            Left::Drop => Next::Leave(code),
            Left::Stay => Next::Stay,
            Left::Gone => {
                self.staged.keep(&context);
                Next::Leave(code)
            }
        }
    }

    fn answer(&mut self, question: &str) -> Left {
        match self.editor.readline(question) {
            Ok(answer) => Left::of(&answer),
            Err(ReadlineError::Interrupted) => Left::Stay,
            Err(_) => Left::Gone,
        }
    }
}

/// Whether the person says yes.
fn agrees(editor: &mut Editor<Lua, FileHistory>, question: &str) -> bool {
    let answer = editor.readline(&format!("{question} [y/N] "));
    matches!(answer.as_deref().map(str::trim), Ok("y" | "Y" | "yes"))
}

/// Shows something on the terminal.
fn say(text: &str) {
    // A terminal that is gone ends the prompt when it is read.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn complain(text: &str) {
    Failure::new(Exit::FAILED, text).report(LogFormat::Text);
}
