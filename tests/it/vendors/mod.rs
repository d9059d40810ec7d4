//! The doubles before the vendors' own clients, which must find nothing odd about them: that a
//! double and our own client agree proves little; and policies before a linter. `tests/clients/with`
//! runs a command beside these:
//!
//! ```sh
//! tests/clients/with cargo test --locked --test it vendors:: -- --ignored
//! ```

mod kubectl;

use std::path::Path;
use std::process::Command;

use crate::gs_double;
use crate::k8s_double::K8sDouble;
use crate::oss_double::{self, KEY, REGION, Versioning};
use crate::support::{Desk, Ended};

/// Runs a script of `tests/clients` to its end.
fn run(script: &str, arguments: &[&str]) {
    run_by("KSTATE_CLIENTS_PYTHON", script, arguments);
}

/// [`run`], by the Python that a variable names.
fn run_by(python: &str, script: &str, arguments: &[&str]) {
    let python = std::env::var(python).unwrap_or_else(|_| {
        panic!("there are no clients: run this as `tests/clients/with cargo test …`")
    });
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let mut command = Command::new(python);
    command
        .arg(folder.join(script))
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_PROXY", "127.0.0.1");
    Ended::of(command).with(0);
}

#[ignore = "needs the vendors' clients"]
#[test]
fn alibabas_client_finds_its_service() {
    let double = oss_double::start();
    {
        let buckets = &mut double.service().buckets;
        let bucket = buckets.entry("versions".to_owned()).or_default();
        bucket.versioning = Versioning::Enabled;
    }
    run("oss.py", &[&double.endpoint(), REGION, KEY.0, KEY.1]);
    assert_eq!(double.service().unfinished_uploads(), 0);
}

#[ignore = "needs the vendors' clients"]
#[test]
fn googles_client_finds_its_service() {
    let double = gs_double::start();
    double.service().page_size = 3;
    double.service().rewrite_size = 300 << 10;
    run("gs.py", &[&double.endpoint(), gs_double::TOKEN]);
    assert_eq!(double.service().unfinished_uploads(), 0);
}

#[ignore = "needs the vendors' clients"]
#[test]
fn the_python_client_of_kubernetes_finds_an_api_server() {
    let desk = Desk::new();
    let rules = ["get secrets"];
    let double = K8sDouble::builder()
        .namespace("state")
        .user("limited", &rules)
        .start();
    for user in ["admin", "limited", "stranger"] {
        desk.write(user, double.kubeconfig(user));
    }
    let file = |user: &str| desk.arg(user);
    let arguments = [file("admin"), file("limited"), file("stranger")];
    run("k8s.py", &arguments.each_ref().map(String::as_str));
}

#[ignore = "needs the vendors' clients"]
#[test]
fn a_linter_of_policies_finds_nothing() {
    let files = std::fs::read_dir(crate::scripts::policy::expected()).expect("the folder");
    let files = files.map(|file| file.expect("a file").path());
    let files: Vec<_> = files.map(|file| file.display().to_string()).collect();
    assert!(!files.is_empty());
    let files: Vec<_> = files.iter().map(String::as_str).collect();
    run_by("KSTATE_LINTER_PYTHON", "policies.py", &files);
}
