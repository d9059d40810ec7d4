//! Every script in `tests/lua` runs to its end.

use std::path::Path;
use std::sync::Arc;

use kstate::lua::{Host, Output, Runtime, Source, block_on};
use kstate::session::{Mode, Session};
use kstate::store::registry::Env;

/// Runs one of the scripts, in a VM and a session of its own.
fn run(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/lua")
        .join(name);
    let source = Source::read(&path).unwrap();
    let io = tokio::runtime::Runtime::new().unwrap();
    let session = Arc::new(Session::new(Env::default(), Mode::Direct));
    let host = Host::new(io.handle().clone(), session, Output::new(std::io::sink()));
    block_on(async {
        let runtime = Runtime::new(host).unwrap();
        if let Err(error) = runtime.run_script(&source, &[]).await {
            panic!("{}", runtime.render(&error));
        }
    })
    .unwrap();
}

#[test]
fn store() {
    run("store.lua");
}

#[test]
fn config() {
    run("config.lua");
}

#[test]
fn task() {
    run("task.lua");
}

#[test]
fn lock() {
    run("lock.lua");
}

#[test]
fn data() {
    run("data.lua");
}

#[test]
fn every_script_is_run_by_a_test() {
    #[expect(clippy::disallowed_methods, reason = "the sources of the tests")]
    let files = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lua")).unwrap();
    for file in files {
        let name = file.unwrap().file_name().into_string().unwrap();
        let line = format!("run(\"{name}\");");
        assert!(include_str!("lua.rs").contains(&line), "{name}");
    }
}
