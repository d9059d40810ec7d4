//! `kstate check`: mistakes found without running anything.

use crate::support::Desk;

#[test]
fn nothing_is_wrong_with_what_ships_and_with_the_examples() {
    let ended = Desk::new().run(&["check", "scripts", "examples"]).with(0);
    assert_eq!(ended.stdout, "");
    ended.says("files checked, 0 mistakes found");
}

#[test]
fn findings_are_told_with_their_places_and_nothing_runs() {
    let desk = Desk::new();
    desk.write("folder/good.lua", "print('it ran')\n");
    desk.write(
        "folder/deep/bad.lua",
        "local s = kstate.store.open('made')\nlocal x = s:raed('k')\nreturn totl\n",
    );
    desk.write("folder/.ejected/bad.lua", "not Lua");
    desk.write("folder/types/stub.lua", "---@meta kstate\nkstate = {}\n");
    let ended = desk.run_here(&["check", "folder"]).with(1);
    assert_eq!(
        ended.stdout,
        "folder/deep/bad.lua:2:13: Store has no 'raed' (did you mean 'read'?)\n\
         folder/deep/bad.lua:3:8: there is no local and no global 'totl'\n"
    );
    ended.says("2 files checked, 2 mistakes found");
    assert!(!desk.path("made").exists());

    let json = desk.run_here(&["--json", "check", "folder"]).with(1).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let first = &json["findings"][0];
    assert_eq!((&json["files"], &first["line"]), (&2.into(), &2.into()));
    assert_eq!(
        (&first["rule"], &first["column"]),
        (&"field".into(), &13.into())
    );

    desk.run_here(&["check", "folder/good.lua"]).with(0);
    desk.run_here(&["check", "missing.lua"])
        .with(1)
        .says("cannot read the script missing.lua");
    let here = desk.run_here(&["check"]).with(1);
    assert!(
        here.stdout.starts_with("folder/deep/bad.lua:2:13:"),
        "{here:?}"
    );
    desk.run_here(&["check", "folder/types"])
        .with(2)
        .says("there is nothing to check");
}

#[test]
fn a_file_that_can_not_be_read_is_a_finding_and_the_others_are_checked() {
    let desk = Desk::new();
    desk.write("folder/a.lua", b"print('\xff')");
    std::os::unix::fs::symlink("nowhere", desk.path("folder/b.lua")).expect("a link");
    desk.write("folder/c.lua", "return totl\n");
    desk.write("folder/d.lua", ";;; print(1)\n");
    let ended = desk.run_here(&["check", "folder"]).with(1);
    ended.says("folder/a.lua:1:1: folder/a.lua is not UTF-8 text");
    ended.says("folder/b.lua:1:1: cannot read the script folder/b.lua: No such file");
    ended.says("folder/c.lua:1:8: there is no local and no global 'totl'");
    ended.says("folder/d.lua:1:1: this is Lua, but the check can't read it");
    ended.says("4 files checked, 3 mistakes found");

    let json = desk.run_here(&["--json", "check", "folder"]).with(1).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let rules = json["findings"].as_array().expect("a list").iter();
    let rules: Vec<_> = rules.map(|finding| finding["rule"].as_str()).collect();
    assert_eq!(rules, ["file", "file", "global", "unchecked"].map(Some));
    desk.run_here(&["check", "folder/d.lua"]).with(0);
}
