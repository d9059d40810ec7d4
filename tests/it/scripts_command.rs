//! `kstate scripts`: what ships with kstate, and copies of it.

use kstate::store::{Algorithm, Checksum};

use crate::support::Desk;

const COPY: &str = "scripts/move_bucket.lua";

#[test]
fn what_ships_is_listed_and_shown() {
    let desk = Desk::new();
    let listed = desk.run_here(&["scripts", "list"]).with(0);
    listed.says("  Moves clusters from one state store to another\n");
    listed.says("backends.etcd");
    listed.says("lib.args");
    let json = desk.run_here(&["--json", "scripts", "list"]).with(0).stdout;
    let list: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let all = list.as_array().expect("a list");
    assert!(
        all.iter()
            .all(|one| one["copy"].is_null() && one["summary"] != "")
    );

    let shown = desk
        .run_here(&["scripts", "show", "lib.args"])
        .with(0)
        .stdout;
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/lib/args.lua");
    assert_eq!(shown, std::fs::read_to_string(source).expect("a script"));
    let ended = desk.run_here(&["scripts", "show", "move_buckte"]).with(2);
    ended.says("did you mean 'move_bucket'?");
}

#[test]
fn a_copy_is_what_runs_and_is_never_overwritten() {
    let desk = Desk::new();
    let none = desk.run_here(&["--json", "scripts", "diff"]).with(0).stdout;
    assert_eq!(none, "[]\n");
    desk.run_here(&["scripts", "diff", "move_bucket"])
        .with(2)
        .says("kstate scripts eject");
    let eject = ["scripts", "eject", "move_bucket"];
    desk.run_here(&["--dry-run", "scripts", "eject", "move_bucket"])
        .with(0);
    assert!(!desk.path(COPY).exists());
    desk.run_here(&eject)
        .with(0)
        .says("kstate run move_bucket runs that");
    desk.run_here(&eject).with(0).says("same text already");
    let json = desk.run_here(&["--json", "scripts", "diff"]).with(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("one document");
    assert_eq!(json[0]["yours"], "");
    desk.run_here(&["scripts", "diff"])
        .with(0)
        .says("is as it ships");
    // Its modules are found in kstate itself.
    desk.run_here(&["run", "move_bucket", "--help"])
        .with(0)
        .says("--all-clusters");

    desk.write(COPY, "print('mine')\n");
    assert_eq!(
        desk.run_here(&["run", "move_bucket"]).with(0).stdout,
        "mine\n"
    );
    desk.run_here(&eject).with(3).says("nothing was written");
    desk.run_here(&["scripts", "list"])
        .says("→ scripts/move_bucket.lua (changed by you)");
    let diff = desk.run_here(&["scripts", "diff", "move_bucket"]).with(1);
    diff.says("what you changed:\n--- kstate ");
    diff.says("+print('mine')");

    let forced = [&eject[..], &["--force"]].concat();
    desk.run_here(&forced)
        .with(0)
        .says("scripts/move_bucket.lua.old");
    assert_eq!(desk.read(&format!("{COPY}.old")), "print('mine')\n");
}

#[test]
fn after_an_upgrade_both_changes_are_shown() {
    let desk = Desk::new();
    desk.run_here(&["scripts", "eject", "move_bucket"]).with(0);
    let shipped = desk.read(COPY);
    let base = shipped.replace("-- Moves clusters", "-- Carries clusters");
    let sum = Checksum::of(Algorithm::Sha256, base.as_bytes()).hex();
    let kept = "scripts/.ejected/move_bucket.lua";
    desk.write(kept, format!("-- kstate 0.0.7 sha256:{sum}\n{base}"));
    desk.write(COPY, format!("{base}-- my own line\n"));

    desk.run_here(&["scripts", "list"])
        .says("changed by you, ours changed since 0.0.7");
    desk.run_here(&["scripts", "eject", "lib.args"]).with(0);
    let json = desk.run_here(&["--json", "scripts", "diff"]).with(1).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("one document");
    assert_eq!(json.as_array().map(Vec::len), Some(2));
    let diff = desk.run_here(&["scripts", "diff", "move_bucket"]).with(1);
    let (yours, ours) = diff
        .stdout
        .split_once("what changed in ours")
        .expect("both");
    assert!(
        yours.contains("+-- my own line") && !yours.contains("Moves"),
        "{yours}"
    );
    assert!(
        ours.contains("-- Carries") && ours.contains("+-- Moves"),
        "{ours}"
    );
    assert!(
        ours.contains("--- kstate 0.0.7") && !ours.contains("my own"),
        "{ours}"
    );

    desk.write(kept, "-- kstate 0.0.7 sha256:00\nreturn\n");
    desk.run_here(&["scripts", "diff"])
        .with(1)
        .says("is not known");
}

#[test]
fn a_backend_goes_where_kstate_finds_it() {
    let desk = Desk::new();
    let args = ["scripts", "eject", "backends.etcd", "--user"];
    desk.run_here(&args).with(0).says("from now on");
    let file = ".local/share/kstate/backends/etcd.lua";
    desk.write(
        file,
        desk.read(file).replace("the keys of an etcd", "my keys"),
    );
    desk.run_here(&["scripts", "list"])
        .says(&format!("{file} (changed by you)"));
    desk.run_here(&["backend", "list"]).with(0).says("etcd.lua");
}
