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
    desk.run_here(&["check"]).with(2);
}
