//! A person at a real pseudo-terminal.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::screen::Screen;
use crate::support::Desk;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// kstate at a terminal.
pub(super) struct Person {
    child: Child,
    keys: Option<ChildStdin>,
    seen: Arc<(Mutex<Screen>, Condvar)>,
    /// The row in which the last thing was typed.
    row: usize,
}

impl Person {
    /// Starts kstate, and waits for its prompt.
    pub(super) fn at(desk: &Desk, args: &[&str]) -> Self {
        Self::running(desk, &desk.kstate(args))
    }

    /// Starts a command, and waits for a prompt.
    pub(super) fn running(desk: &Desk, command: &Command) -> Self {
        let mut person = Self::typed(desk, command);
        person.wait(|screen| is_prompt(&screen.current()));
        person.row = person.seen.0.lock().expect("no panic").row;
        person
    }

    /// Starts a command.
    pub(super) fn typed(desk: &Desk, command: &Command) -> Self {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words = words.map(|word| word.to_str().expect("UTF-8"));
        let line = shlex::try_join(words).expect("no NUL");
        let tty = shlex::try_quote(&desk.arg("tty"))
            .expect("no NUL")
            .into_owned();
        let pid = shlex::try_quote(&desk.arg("pid"))
            .expect("no NUL")
            .into_owned();
        let line = format!("stty rows 24 cols 80; tty > {tty}; echo $$ > {pid}; exec {line}");
        let mut script = Command::new("script");
        script
            .args([
                "--quiet",
                "--return",
                "--flush",
                "--command",
                &line,
                "/dev/null",
            ])
            .env_clear()
            .envs(
                command
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .env("SHELL", "/bin/sh")
            .env("PATH", "/usr/bin:/bin")
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = script.spawn().expect("script runs");
        let keys = child.stdin.take();
        let mut output = child.stdout.take().expect("a pipe");
        let seen = Arc::new((Mutex::new(Screen::default()), Condvar::new()));
        let shown = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            loop {
                let read = output.read(&mut bytes).unwrap_or(0);
                let mut screen = shown.0.lock().expect("no panic");
                screen.write(&bytes[..read]);
                screen.has_ended = read == 0;
                shown.1.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        Self {
            child,
            keys,
            seen,
            row: 0,
        }
    }

    /// Closes the terminal, and waits for the end of kstate.
    pub(super) fn hang_up(&mut self, desk: &Desk) {
        self.child.kill().expect("it runs");
        let pid = desk.read("pid");
        let waited = Command::new("tail")
            .args(["--pid", pid.trim(), "-s", "0.02", "-f", "/dev/null"])
            .status();
        assert!(waited.expect("tail runs").success());
    }

    /// Presses keys.
    pub(super) fn press(&mut self, keys: &str) {
        let pipe = self.keys.as_mut().expect("it runs");
        pipe.write_all(keys.as_bytes()).expect("it reads");
        pipe.flush().expect("it reads");
    }

    /// Waits until the screen is so.
    #[track_caller]
    fn wait(&self, is_so: impl Fn(&Screen) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut screen = self.seen.0.lock().expect("no panic");
        while !is_so(&screen) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "not so:\n{}",
                screen.lines_from(0).join("\n")
            );
            screen = self.seen.1.wait_timeout(screen, left).expect("no panic").0;
        }
    }

    /// Waits until a text is shown, since something was typed last.
    #[track_caller]
    pub(super) fn sees(&self, text: &str) {
        self.wait(|screen| screen.lines_from(self.row).join("\n").contains(text));
    }

    /// Waits for the next prompt; gives what was shown before it, and the prompt.
    #[track_caller]
    pub(super) fn prompt(&mut self) -> Vec<String> {
        let row = self.row;
        self.wait(|screen| screen.row > row && is_prompt(&screen.current()));
        let screen = self.seen.0.lock().expect("no panic");
        self.row = screen.row;
        screen.lines_from(row + 1)
    }

    /// Types a line; gives what is shown then, and the next prompt.
    #[track_caller]
    pub(super) fn enter(&mut self, line: &str) -> Vec<String> {
        self.press(line);
        self.press("\r");
        self.prompt()
    }

    /// The whole screen.
    pub(super) fn screen(&self) -> String {
        self.seen
            .0
            .lock()
            .expect("no panic")
            .lines_from(0)
            .join("\n")
    }

    /// The line that is being typed.
    #[track_caller]
    pub(super) fn typing(&self, line: &str) {
        self.wait(|screen| screen.current() == line);
    }

    /// The terminal gets another width.
    pub(super) fn resize(&self, desk: &Desk, columns: usize) {
        self.seen.0.lock().expect("no panic").columns = Some(columns);
        let tty = desk.read("tty");
        let resized = Command::new("stty")
            .args(["-F", tty.trim(), "cols", &columns.to_string()])
            .status();
        assert!(resized.expect("stty runs").success());
    }

    /// Waits for the end; gives the exit code.
    #[track_caller]
    pub(super) fn ends(&mut self) -> Option<i32> {
        self.wait(|screen| screen.has_ended);
        let code = self.child.wait().expect("a child").code();
        self.keys = None;
        code
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to the kstate of a desk.
pub(super) fn signal(desk: &Desk, name: &str) {
    let pid = desk.read("pid");
    let sent = Command::new("kill").args(["-s", name, pid.trim()]).status();
    assert!(sent.expect("kill runs").success());
}

fn is_prompt(line: &str) -> bool {
    let is_ours = line.starts_with("kstate") || line.starts_with("debug");
    is_ours && line.ends_with('>') && !line.contains("> ")
}
