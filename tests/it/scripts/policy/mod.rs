//! Bucket policies for other accounts.

mod bucket;
mod check;
mod documents;

use std::path::Path;

use crate::s3_double::S3Double;
use crate::session;
use crate::support::{Desk, Ended};

/// The script as the README names it.
pub(crate) const SCRIPT: &str = "scripts/cross_account_policy.lua";

const ALICE: &str = "arn:aws:iam::111122223333:user/alice";
const BOB: &str = "arn:aws:iam::444455556666:role/kops/bob";

/// The documents that the script is known to print, by name.
pub(crate) fn expected() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/scripts/policy/expected")
}

fn script(desk: &Desk, arguments: &[&str]) -> Ended {
    desk.run(&[&["run", SCRIPT], arguments].concat())
}

/// The script before a double.
fn on(desk: &Desk, double: &S3Double, arguments: &[&str]) -> Ended {
    session::on(desk, double, &[&["run", SCRIPT], arguments].concat())
}
