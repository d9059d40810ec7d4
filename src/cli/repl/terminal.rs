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

use super::keeper::Keeper;
use super::staged::{Left, Staged};
use super::{find, shown, simple, told};
use crate::cli::exit::{Exit, Failure};
use crate::cli::interrupts::remember_terminal;
use crate::cli::output::LogFormat;
use crate::lua::{ScriptError, Stop};
use crate::repl::{Evaluator, command};
use crate::session::journal;
use crate::text::count;

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
    keeper: Arc<Keeper>,
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
        evaluator: Evaluator,
        staged: Staged,
        keeper: Arc<Keeper>,
    ) -> Result<Self, Failure> {
        remember_terminal();
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
        let journals = journal::Settings::folder(keeper.context().env());
        let history = journals.map(|journals| journals.with_file_name("repl_history"));
        if let Some(history) = &history {
            // There is none before the first entry.
            let _ = editor.load_history(history);
        }
        Ok(Self {
            keeper,
            evaluator,
            editor,
            history,
            staged,
        })
    }

    /// What somebody should know who opens it for the first time.
    pub(super) fn greet(&self) {
        say(&self.staged.greeting());
    }

    /// Runs a script first. Its exit code, when it asked for one and the person doesn't stay.
    pub(super) async fn begin_with(
        &mut self,
        name: &str,
        args: &[String],
    ) -> Result<Option<u8>, Failure> {
        let source = find(name, self.keeper.context())?;
        match self.evaluator.load(&source, args).await {
            Ok(exit) if exit.0 == Exit::DONE => {}
            Ok(exit) => say(&format!("exit code {}\n", exit.0)),
            Err(error) => {
                if let Some(Stop::Exit(code)) = error.stop() {
                    return Ok(match self.leave(code).await {
                        Next::Leave(code) => Some(code),
                        Next::Stay => None,
                    });
                }
                self.complain(&error);
            }
        }
        Ok(None)
    }

    pub(super) async fn run(&mut self) -> Result<u8, Failure> {
        loop {
            if let Some(code) = self.keeper.asked() {
                self.keeper.keep();
                return Ok(code);
            }
            let prompt = self.staged.prompt(self.keeper.context());
            let next = match self.read(&prompt) {
                Ok(line) if line.trim().is_empty() => continue,
                Ok(line) => {
                    self.remember(&line);
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
                    self.keeper.keep();
                    let message = format!("cannot read from the terminal: {error}");
                    return Err(Failure::new(Exit::FAILED, message));
                }
            };
            if let Next::Leave(code) = next {
                return Ok(code);
            }
        }
    }

    /// Waits for a line. Its time is the person's, not the script's.
    fn read(&mut self, prompt: &str) -> rustyline::Result<String> {
        let _held = self.evaluator.runtime().stopper().hold();
        self.editor.readline(prompt)
    }

    /// Puts an entry into the history.
    fn remember(&mut self, line: &str) {
        let added = self.editor.add_history_entry(line);
        let Some(history) = self.history.as_ref().filter(|_| matches!(added, Ok(true))) else {
            return;
        };
        let folder = history
            .parent()
            .map_or(Ok(()), super::keeper::private_folder);
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
                Err(error) => {
                    if let Some(Stop::Exit(code)) = error.stop() {
                        return self.leave(code).await;
                    }
                    self.complain(&error);
                    return Next::Stay;
                }
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

    /// Shows what Lua raised.
    fn complain(&self, error: &ScriptError) {
        let failure = if error.stop() == Some(Stop::Cancelled) {
            // The terminal shows ^C.
            say("\n");
            Failure::new(Exit::INTERRUPTED, "interrupted")
        } else {
            told(error, &self.evaluator.runtime().render(error))
        };
        failure.report(LogFormat::Text);
    }

    async fn command(&mut self, name: &str, rest: &str) -> Result<String, Failure> {
        let context = Arc::clone(self.keeper.context());
        match name {
            "diff" => self.staged.diff(&context),
            "plan" => self.staged.plan(&context, rest),
            "drop" => self.staged.forget(&context, rest),
            "commit" => {
                let (staged, editor) = (&self.staged, &mut self.editor);
                let mut ask = |question: &str| agrees(editor, question);
                let runtime = self.evaluator.runtime();
                staged.commit(&self.keeper, runtime, &mut ask).await
            }
            _ => simple(&self.evaluator, name, rest, &context).await,
        }
    }

    /// Leaves, unless there are changes that would be lost.
    async fn leave(&mut self, code: u8) -> Next {
        let staged = self.keeper.staged();
        if staged == 0 {
            return Next::Leave(code);
        }
        let changes = count(staged as u64, "staged change");
        let question = format!("{changes} would be lost: (c)ommit, (d)rop or (s)tay? ");
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
                self.keeper.keep();
                Next::Leave(self.keeper.asked().unwrap_or(code))
            }
        }
    }

    fn answer(&mut self, question: &str) -> Left {
        match self.read(question) {
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
