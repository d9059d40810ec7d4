//! `kstate init` and `kstate new`: files to begin with.

use crate::support::Desk;

#[test]
fn an_editor_gets_what_it_needs_and_what_differs_stays() {
    let desk = Desk::new();
    desk.run_here(&["--dry-run", "init", "work"]).with(0);
    assert!(!desk.path("work").exists());
    let written = desk.run_here(&["init", "work"]).with(0).stdout;
    assert_eq!(
        written,
        "work/.luarc.json\nwork/stylua.toml\nwork/types/kstate.lua\n"
    );
    let again = desk.run_here(&["init", "work"]).with(0);
    assert_eq!(again.stdout, "");
    again.says("all is there already");

    let settings: serde_json::Value =
        serde_json::from_str(&desk.read("work/.luarc.json")).expect("JSON");
    let library = settings["workspace.library"][0].as_str().expect("a folder");
    let stubs = desk.read(&format!("work/{library}/kstate.lua"));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/types/kstate.lua");
    assert_eq!(stubs, std::fs::read_to_string(source).expect("the stubs"));

    desk.write("work/.luarc.json", "{}");
    std::fs::remove_file(desk.path("work/stylua.toml")).expect("a file");
    // As an older kstate wrote it.
    desk.write("work/types/kstate.lua", "---@meta kstate\nkstate = {}\n");
    let again = desk.run_here(&["init", "work"]).with(0);
    assert_eq!(again.stdout, "work/stylua.toml\nwork/types/kstate.lua\n");
    again.says("left as it is, though other than ours: work/.luarc.json");
    assert_eq!(desk.read("work/.luarc.json"), "{}");
    assert_eq!(desk.read("work/types/kstate.lua"), stubs);

    desk.write("work/types/kstate.lua", "-- mine\n");
    let forced = desk.run_here(&["init", "work", "--force"]).with(0);
    forced.says("what was in work/.luarc.json is now in work/.luarc.json.old");
    assert!(desk.read("work/.luarc.json").contains("types"));
    assert_eq!(desk.read("work/.luarc.json.old"), "{}");
    assert_eq!(desk.read("work/types/kstate.lua.old"), "-- mine\n");
    assert!(!desk.path("work/stylua.toml.old").exists());
}

#[test]
fn a_new_script_passes_its_test_and_the_check() {
    let desk = Desk::new();
    desk.write("state/c.example.com/config", "kind: Cluster\n");
    let new = ["new", "script", "my_list"];
    desk.run_here(&new).with(0).says("scripts/my_list_test.lua");
    desk.run_here(&["check", "scripts"])
        .with(0)
        .says("2 files checked");
    desk.run_here(&["test"]).with(0).says("1 test: 1 passed");
    desk.run_here(&["run", "my_lits"])
        .with(2)
        .says("did you mean 'my_list'?");
    desk.run_here(&["run", "my_list", "--help"])
        .with(0)
        .says("--store <STORE>");
    desk.run_here(&["run", "my_list", "--store", "./state"])
        .with(0);
    assert_eq!(
        desk.read("state/inventory.json"),
        r#"[{"bytes":14,"name":"c.example.com"}]"#
    );

    desk.write("scripts/my_list.lua", "mine");
    desk.run_here(&new).with(3).says("choose another name");
    assert_eq!(desk.read("scripts/my_list.lua"), "mine");
    desk.run_here(&["new", "script", "../x"])
        .with(2)
        .says("small letters");
    desk.run_here(&["new", "script", "foo_test"])
        .with(2)
        .says("the names of tests end in _test");
    desk.run_here(&["new", "script", "move_bucket"])
        .with(2)
        .says("kstate scripts eject move_bucket makes it yours");
}

#[test]
fn a_new_backend_keeps_its_word() {
    let desk = Desk::new();
    desk.run_here(&["new", "backend", "mine"])
        .with(0)
        .says("backends/mine.lua");
    desk.run_here(&["check", "backends"]).with(0);
    let small = ["--large", "100KiB", "--many", "50", "--racers", "4"];
    let test = [
        "--backend",
        "backends/mine.lua",
        "backend",
        "test",
        "mine://demo",
    ];
    desk.run_here(&[&test[..], &small].concat()).with(0);
    desk.run_here(&["new", "backend", "s3"])
        .with(2)
        .says("kstate's own");
    desk.run_here(&["new", "backend", "etcd"])
        .with(2)
        .says("ships with kstate");
}
