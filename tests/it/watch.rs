//! `kstate run --watch`: runs again when a file changes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use crate::support::Desk;

/// A run that is ended with the test.
struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_script_runs_again_when_it_or_what_it_requires_changes() {
    watches(&[]);
}

#[test]
fn a_script_whose_log_programs_read_is_watched_too() {
    watches(&["--log-format", "json"]);
}

fn watches(flags: &[&str]) {
    let desk = Desk::new();
    desk.write("x.lua", "local part = require('part') print(part)");
    let mut command = desk.kstate(&[flags, &["run", "--watch", "x.lua"]].concat());
    command
        .current_dir(desk.path(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut watching = Watching(command.spawn().expect("the binary runs"));
    let stdout = watching.0.stdout.take().expect("a pipe");
    let stderr = watching.0.stderr.take().expect("a pipe");
    let (mut lines, mut errors) = (
        BufReader::new(stdout).lines(),
        BufReader::new(stderr).lines(),
    );
    let mut next = || lines.next().expect("a line").expect("UTF-8");

    // In one step, as editors do, so that nothing half is run.
    let save = |name: &str, text: &str| {
        desk.write("new", text);
        std::fs::rename(desk.path("new"), desk.path(name)).expect("a rename");
    };

    // A module that is missing is waited for too.
    let missing = errors.next().expect("a line").expect("UTF-8");
    assert!(missing.contains("there is no module 'part'"), "{missing}");
    save("part.lua", "return 'one'");
    assert_eq!(next(), "one");
    save("part.lua", "return 'the second'");
    assert_eq!(next(), "the second");
    save("x.lua", "print('alone')");
    assert_eq!(next(), "alone");

    let id = rustix::process::Pid::from_child(&watching.0);
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("a signal");
    assert_eq!(watching.0.wait().expect("an end").code(), Some(130));
}

#[test]
fn what_is_no_file_can_not_be_watched() {
    let desk = Desk::new();
    let ended = desk.run_here(&["run", "--watch", "move_bucket"]).with(2);
    ended.says("kstate scripts eject move_bucket");
}
