//! Backends in Lua, from the command line.

use age::secrecy::ExposeSecret;

use super::support::{Desk, sample};

/// Keeps what it is given in the store of its option, under other names.
const SUFFIX: &str = r#"
return kstate.backend{
  scheme = "suffix",
  capabilities = { sorted = false },
  wraps = "store",
  options = { { name = "store", type = "store", required = true } },
  open = function(config) return config.options.store end,
  stat = function(store, key)
    local meta = store:stat(key .. ".kept")
    return meta and { size = meta.size, tag = meta.tag }
  end,
  read = function(store, key) return store:read(key .. ".kept") end,
  write = function(store, key, body) store:write(key .. ".kept", body:read()) end,
  delete = function(store, key) store:delete(key .. ".kept") end,
  list = function(store, folder)
    local items = {}
    for entry in store:walk(folder) do
      items[#items + 1] = { key = entry.key:gsub("%.kept$", ""), size = entry.size }
    end
    return { items = items }
  end,
}
"#;

#[test]
fn a_backend_is_a_store_for_every_command_wherever_it_is_found() {
    let desk = Desk::new();
    desk.write("from/c/config", "kind: Cluster\n");
    desk.write("suffix.lua", SUFFIX);
    let (from, file) = (desk.arg("from"), desk.arg("suffix.lua"));
    let to = format!("suffix://x?store={}", desk.arg("to"));
    desk.run(&["sync", &from, &to])
        .with(2)
        .says("no store of the kind 'suffix://'");

    desk.run(&["--backend", &file, "sync", &from, &to]).with(0);
    assert_eq!(desk.read("to/c/config.kept"), "kind: Cluster\n");

    desk.write(".local/share/kstate/backends/suffix.lua", SUFFIX);
    desk.write(".local/share/kstate/backends/broken.lua", "return 1");
    let listed = desk.run(&["ls", "-r", &to]).with(0);
    listed.says("a backend is left out");
    listed.says("broken.lua:1: it returns something else than kstate.backend");
    assert!(listed.stdout.contains("c/config"), "{}", listed.stdout);
    std::fs::remove_dir_all(desk.path(".local")).unwrap();

    let config = format!(
        "backends:\n  suffix:\n    file: {file}\nstores:\n  kept:\n    url: suffix://x\n    store: {}\n",
        desk.arg("to")
    );
    desk.write(".config/kstate/config.yaml", config);
    let shown = desk.run(&["cat", "kept:c/config"]).with(0);
    assert_eq!(shown.stdout, "kind: Cluster\n");
    // A dry run, a plan and an undo are the same as everywhere.
    desk.run(&["--dry-run", "rm", "--yes", "kept:c/config"])
        .with(0);
    assert_eq!(desk.tree("to").len(), 1);
    let gone = desk.run(&["rm", "--yes", "kept:c/config"]).with(0);
    assert_eq!(desk.tree("to").len(), 0);
    let id = gone.stderr.split("kstate undo ").nth(1).expect("a name");
    desk.run(&[
        "undo",
        "--yes",
        id.split_whitespace().next().expect("a word"),
    ])
    .with(0);
    assert_eq!(desk.read("to/c/config.kept"), "kind: Cluster\n");
}

#[test]
fn a_backend_that_fails_ends_the_command_with_its_line() {
    let desk = Desk::new();
    let text = SUFFIX.replace("store:stat(key", "error('no luck') or store:stat(key");
    desk.write("suffix.lua", text);
    let url = format!("suffix://x/a?store={}", desk.arg("to"));
    let ended = desk
        .run(&["--backend", &desk.arg("suffix.lua"), "cat", &url])
        .with(1);
    ended.says("the backend 'suffix' failed: ");
    ended.says("suffix.lua:9: no luck");
    desk.write("none.lua", "print(1)");
    let ended = desk
        .run(&["--backend", &desk.arg("none.lua"), "ls", &url])
        .with(2);
    ended.says("none.lua:1: it is no backend");
}

#[test]
fn to_a_wrapping_store_a_folder_that_its_first_write_makes_is_empty() {
    let desk = Desk::new();
    desk.write_tree("from", &sample());
    desk.write("suffix.lua", SUFFIX);
    let identity = age::x25519::Identity::generate();
    desk.write("age.txt", identity.to_string().expose_secret());
    let key = format!(
        "recipients={}&identity={}",
        identity.to_public(),
        desk.arg("age.txt")
    );
    let (from, file) = (desk.arg("from"), desk.arg("suffix.lua"));
    for (number, url) in [
        "suffix://x?",
        "crypt://x?",
        "crypt://x?names=true&",
        "cache://x?",
    ]
    .into_iter()
    .enumerate()
    {
        let (inner, kept) = (format!("to{number}"), desk.arg("kept"));
        let url = match url.split_once("://") {
            Some(("crypt", _)) => format!("{url}{key}"),
            Some(("cache", _)) => format!("{url}cache={kept}"),
            _ => url.to_owned(),
        };
        let to = format!("{url}&store={}", desk.arg(&inner));
        let args = ["--backend", &file, "run", "move_bucket", "--from", &from];
        let moved = |how| [&args[..], &["--to", &to, "--all-clusters", how]].concat();
        desk.run(&moved("--dry-run")).with(0);
        assert!(!desk.path(&inner).exists() && !desk.path("kept").exists());
        desk.run(&moved("--yes")).with(0);
        let listed = desk.run(&["--backend", &file, "ls", &to]).with(0);
        assert!(listed.stdout.contains("blue.k8s.example.com/"));
    }
}
