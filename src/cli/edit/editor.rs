//! The person's editor.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::exit::{Exit, Failure};
use crate::store::registry::Env;

/// Where the editor is named, the first that is set.
const VARIABLES: [&str; 3] = ["KSTATE_EDITOR", "VISUAL", "EDITOR"];

/// How long an editor may take to save what it can when we are told to end.
const GRACE: Duration = Duration::from_secs(2);

/// A command that lets a person change a file.
pub(super) struct Editor {
    command: Vec<String>,
}

impl Editor {
    /// The editor that the environment names, else vi. The text is split into words as a shell
    /// does it, but no shell runs it.
    pub(super) fn of(env: &Env) -> Result<Self, Failure> {
        let named = VARIABLES
            .iter()
            .find_map(|name| Some((name, env.get(name)?)));
        let Some((name, text)) = named else {
            if !std::io::stdin().is_terminal() {
                return Err(
                    Failure::usage("no editor is set, and nobody is at a terminal").hint(
                        "set KSTATE_EDITOR, VISUAL or EDITOR to a program that changes the file",
                    ),
                );
            }
            return Ok(Self {
                command: vec!["vi".to_owned()],
            });
        };
        match shlex::split(text) {
            Some(command) if !command.is_empty() => Ok(Self { command }),
            _ => Err(Failure::usage(format!("{name} is no command: {text}"))
                .hint("write it as in a shell: PROGRAM ARGUMENTS, with quotes in pairs")),
        }
    }

    /// Lets the person change a file, until the editor ends. What it prints goes to standard
    /// error when standard output is for a program.
    pub(super) async fn edit(&self, file: &Path, for_program: bool) -> Result<(), Failure> {
        // A terminal sends Ctrl-C to both. It is for the editor, so it must not end us.
        let caught = [SignalKind::interrupt(), SignalKind::quit()].map(signal);
        let mut terminate = signal(SignalKind::terminate()).map_err(|error| self.failed(&error))?;
        let mut hangup = signal(SignalKind::hangup()).map_err(|error| self.failed(&error))?;
        let mut child = self.start(file, for_program).map_err(|error| {
            self.failed(&error)
                .hint("set KSTATE_EDITOR, VISUAL or EDITOR to one that is there")
        })?;
        let ended = tokio::select! {
            ended = child.wait() => ended,
            _ = terminate.recv() => return Err(stop(&mut child, Signal::TERM).await),
            _ = hangup.recv() => return Err(stop(&mut child, Signal::HUP).await),
        };
        drop(caught);
        match ended {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(self.failed(&status)),
            Err(error) => Err(self.failed(&error)),
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that starts an editor"
    )]
    fn start(&self, file: &Path, for_program: bool) -> std::io::Result<Child> {
        let mut words = self.command.iter().map(OsString::from);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).arg(file);
        if for_program {
            let stderr = std::io::stderr().as_fd().try_clone_to_owned()?;
            command.stdout(Stdio::from(stderr));
        }
        command.spawn()
    }

    fn failed(&self, why: &dyn std::fmt::Display) -> Failure {
        let command = self.command.join(" ");
        Failure::new(
            Exit::FAILED,
            format!("the editor '{command}' failed: {why}"),
        )
    }
}

/// Passes on that we are to end, so that the editor can save what it has.
async fn stop(child: &mut Child, signal: Signal) -> Failure {
    let number = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(pid) = number.and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
        // One that goes on has the file; what it holds now is all that we can keep.
        let _ = tokio::time::timeout(GRACE, child.wait()).await;
    }
    Failure::new(Exit::INTERRUPTED, "interrupted while the editor was open")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_is_set_counts_and_is_split_as_in_a_shell() {
        for (set, expected) in [
            (&[("EDITOR", "vim -f")][..], &["vim", "-f"][..]),
            (
                &[("EDITOR", "vi"), ("VISUAL", "code --wait")],
                &["code", "--wait"],
            ),
            (
                &[
                    ("VISUAL", "vi"),
                    ("KSTATE_EDITOR", "'/opt/my editor/e' -c 'set et'"),
                ],
                &["/opt/my editor/e", "-c", "set et"],
            ),
            (&[("VISUAL", ""), ("EDITOR", "ed")], &["ed"]),
        ] {
            let env = set.iter().copied().collect::<Env>();
            let editor = Editor::of(&env).expect("an editor");
            assert_eq!(editor.command, expected);
        }
        for wrong in ["vim 'x", " ", "# vim"] {
            let env = Env::from_iter([("EDITOR", wrong)]);
            assert!(Editor::of(&env).is_err(), "{wrong:?}");
        }
    }
}
