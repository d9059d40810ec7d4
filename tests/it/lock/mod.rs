//! Locks between runs: processes and sessions, over stores as they are reached in earnest.

mod advisory;
pub(crate) mod command;
mod lost;
pub(crate) mod race;

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use kstate::session::lock::LockOptions;
use kstate::session::{Mode, Session};
use kstate::store::registry::Env;
use kstate::store::{Store, StoreUrl};
use rustix::process::{Pid, Signal, kill_process};

use crate::s3_double::S3Double;
use crate::support::Desk;

/// Lets the runs of a desk know already that conditional writes to these buckets hold, so that
/// they need no probe.
pub(crate) fn trust(desk: &Desk, double: &S3Double, buckets: &[&str]) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a date");
    let stores: serde_json::Map<_, _> = buckets
        .iter()
        .map(|bucket| {
            let root = format!("s3+{}/{bucket}", double.endpoint());
            let verdict = serde_json::json!({
                "at": now.as_secs(), "strength": "atomic", "why": "the test says so",
            });
            (root, verdict)
        })
        .collect();
    let known = serde_json::json!({ "stores": stores });
    desk.write(".cache/kstate/probes.json", known.to_string());
}

/// A run of its own within this process.
pub(crate) fn session(desk: &Desk, double: Option<&S3Double>, mode: Mode) -> Session {
    let mut env = double.map(S3Double::env).unwrap_or_default();
    env.push(("HOME".to_owned(), desk.arg("")));
    Session::new(env.into_iter().collect::<Env>(), mode)
}

pub(crate) fn open(session: &Session, url: &str) -> Arc<dyn Store> {
    let url = StoreUrl::parse(url).expect("a URL");
    session.open(&url).expect("a store")
}

pub(crate) fn at_once() -> LockOptions {
    LockOptions::default()
}

/// A process that runs a script of the test, with these arguments.
pub(crate) fn script(desk: &Desk, double: Option<&S3Double>, text: &str, args: &[&str]) -> Command {
    let file = format!("{:x}.lua", fastrand::u64(..));
    desk.write(&file, text);
    let mut command = desk.kstate(&["run", &desk.arg(&file)]);
    command.args(args);
    if let Some(double) = double {
        command.envs(double.env());
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a process"), signal).expect("the child is there");
}

/// Looks again and again until it is so; a child that ends before fails the test.
fn wait_until(child: &mut Child, mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        if let Some(status) = child.try_wait().expect("a child") {
            panic!("it ended early: {status}");
        }
        std::thread::yield_now();
    }
}
