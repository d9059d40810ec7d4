//! Plans, applying them, and taking runs back: through the built binary.

mod again;
mod apply;
mod history;
mod kill;
mod locked;
mod plan;
mod stale;
mod undo;

use std::process::Command;

use crate::s3_double::S3Double;
use crate::support::{Desk, Ended};

/// A script of a test's own.
pub(crate) fn script(desk: &Desk, text: &str) -> String {
    desk.write("script.lua", text);
    desk.arg("script.lua")
}

/// A run with a double as the S3 there is.
pub(crate) fn on(desk: &Desk, double: &S3Double, args: &[&str]) -> Ended {
    Ended::of(command(desk, double, args))
}

pub(crate) fn command(desk: &Desk, double: &S3Double, args: &[&str]) -> Command {
    let mut command = desk.kstate(args);
    command.envs(double.env());
    command
}

/// What a program sees of the runs, the newest first.
pub(crate) fn history(desk: &Desk) -> Vec<serde_json::Value> {
    let listed = desk.run(&["history", "--json"]).with(0);
    let list: serde_json::Value = serde_json::from_str(&listed.stdout).expect("JSON");
    list.as_array().expect("a list").clone()
}

/// The id of the newest run.
pub(crate) fn newest(desk: &Desk) -> String {
    let runs = history(desk);
    let id = runs.first().expect("a run")["id"].as_str();
    id.expect("an id").to_owned()
}
