//! Files and stores that a script must not reach or change, however it spells them.

use std::path::Path;

use super::futile;
use crate::lua::testing::{Bench, with};
use crate::lua::{ScriptError, Source};
use crate::session::permissions::{Granted, Grants, Origin, Target};
use crate::store::{StoreUrl, file::FileStore};

#[test]
fn required_files_stay_below_the_script() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    #[expect(clippy::disallowed_methods, reason = "the test's own files")]
    let write = |name: &str, bytes: &[u8]| {
        std::fs::create_dir_all(path(name).parent().unwrap()).unwrap();
        std::fs::write(path(name), bytes).unwrap();
    };
    write("outside.lua", b"return 'outside'");
    write("home/compiled.lua", b"\x1bLua\x55");
    write("home/latin.lua", b"return '\xff'");
    write("home/inside.lua", b"return 'inside'");
    std::os::unix::fs::symlink("../outside.lua", path("home/link.lua")).unwrap();
    std::os::unix::fs::symlink("..", path("home/up")).unwrap();
    let run = |name: &str| -> Result<(), ScriptError> {
        write(
            "home/main.lua",
            format!("return require({name})").as_bytes(),
        );
        let source = Source::read(&path("home/main.lua"))?;
        let bench = Bench::new();
        let ended = with(bench.host(), async |runtime| {
            runtime.run_script(&source, &[]).await
        });
        ended.map(drop)
    };
    let outside = format!("'{}'", path("outside").display());
    for (name, words) in [
        ("'../outside'", "can't be the name of a module"),
        ("'..outside'", "can't be the name of a module"),
        ("'lib/../outside'", "can't be the name of a module"),
        (outside.as_str(), "can't be the name of a module"),
        ("'inside\\0'", "can't be the name of a module"),
        (
            "'https://example.com/x.lua'",
            "can't be the name of a module",
        ),
        ("''", "can't be the name of a module"),
        ("'link'", "leads out of the script's folder"),
        ("'up.outside'", "leads out of the script's folder"),
        ("'compiled'", "compiled Lua"),
        ("'latin'", "is not UTF-8"),
        ("'outside'", "no module 'outside'"),
    ] {
        let error = run(name).expect_err(name);
        assert!(error.message().contains(words), "{name}: {error}");
    }
    // What it returns is no exit code, which shows that it was found.
    assert!(
        run("'inside'")
            .expect_err("a string")
            .message()
            .contains("returned a string")
    );
}

/// A bench whose scripts may write below `folder` alone.
fn bench_for(folder: &Path) -> Bench {
    let url = StoreUrl::parse(folder.to_str().unwrap()).unwrap();
    let granted = Granted {
        what: Target::of(&FileStore::open(&url).unwrap()),
        by: Origin::Flag,
    };
    let mut bench = Bench::new();
    bench.grant(Grants {
        write: Some(vec![granted]),
        ..Grants::default()
    });
    bench
}

/// `TOP` stands for a folder with a granted `pro` in it, and `prod` and `secret` beside.
const WRITES: &[(&str, &str, &str)] = &[
    (
        "a similar name",
        "open('TOP/prod'):write('a', 'x')",
        "permission_denied",
    ),
    (
        "the folder above",
        "open('TOP'):write('prod/a', 'x')",
        "permission_denied",
    ),
    (
        "file URL",
        "open('file://TOP/prod'):write('a', 'x')",
        "permission_denied",
    ),
    (
        "up in the URL",
        "open('TOP/pro/../prod'):write('a', 'x')",
        "permission_denied",
    ),
    (
        "up from a missing folder",
        "open('TOP/pro/none/../../prod'):write('a', 'x')",
        "permission_denied",
    ),
    (
        "slashes",
        "open('TOP//prod///'):write('a', 'x')",
        "permission_denied",
    ),
    (
        "another system folder",
        "open('file:///etc'):write('kstate-test', 'x')",
        "permission_denied",
    ),
    (
        "delete elsewhere",
        "open('TOP/prod'):delete('a')",
        "permission_denied",
    ),
    (
        "copy elsewhere",
        "open('TOP/pro'):copy('keep', open('TOP/prod'), 'a')",
        "permission_denied",
    ),
    (
        "sync elsewhere",
        "open('TOP/pro'):sync(open('TOP/prod'), { include = { 'keep' } })",
        "permission_denied",
    ),
    (
        "probe elsewhere",
        "open('TOP/prod'):probe()",
        "permission_denied",
    ),
    (
        "open beside",
        "open('TOP/pro'):open('TOP/prod'):write('a', 'x')",
        "permission_denied",
    ),
    (
        "up in the key",
        "open('TOP/pro'):write('../prod/a', 'x')",
        "invalid_key",
    ),
    (
        "up in a folder",
        "open('TOP/pro'):at('../prod'):write('a', 'x')",
        "invalid_key",
    ),
    (
        "absolute key",
        "open('TOP/pro'):write('TOP/prod/a', 'x')",
        "invalid_key",
    ),
    (
        "NUL in the key",
        "open('TOP/pro'):write('a\\0/../../prod/a', 'x')",
        "invalid_key",
    ),
    (
        "NUL in the URL",
        "open('TOP/pro\\0/../prod'):write('a', 'x')",
        "invalid",
    ),
    (
        "write through a linked folder",
        "open('TOP/pro'):write('folder/a', 'x')",
        "unsupported",
    ),
    (
        "delete through a linked folder",
        "open('TOP/pro'):delete('folder/a')",
        "unsupported",
    ),
    (
        "read through a linked folder",
        "open('TOP/pro'):read('folder/a')",
        "unsupported",
    ),
    (
        "read through a linked file",
        "open('TOP/pro'):read('file')",
        "unsupported",
    ),
    (
        "copy through a linked file",
        "open('TOP/pro'):copy('file', open('TOP/pro'), 'b')",
        "unsupported",
    ),
    (
        "list through a linked folder",
        "for _ in open('TOP/pro'):list('folder') do end",
        "unsupported",
    ),
    (
        "store at a linked folder",
        "open('TOP/pro/folder'):write('a', 'x')",
        "permission_denied",
    ),
    (
        "user in the URL",
        "open('s3://key:hunter2@bucket')",
        "invalid",
    ),
    (
        "secret in the URL",
        "open('s3://bucket?secret_key=hunter2')",
        "invalid",
    ),
    ("up in a bucket", "open('s3://bucket/../other')", "invalid"),
    (
        "NUL in a bucket's folder",
        "open('s3://bucket/a\\0b')",
        "invalid",
    ),
];

#[test]
fn writes_stay_in_the_granted_place_however_it_is_spelled() {
    let folder = tempfile::tempdir().unwrap();
    let (top, path) = (folder.path().display(), |name: &str| {
        folder.path().join(name)
    });
    #[expect(clippy::disallowed_methods, reason = "the test's own files")]
    let write = |name: &str, text: &str| {
        std::fs::create_dir_all(path(name).parent().unwrap()).unwrap();
        std::fs::write(path(name), text).unwrap();
    };
    write("pro/keep", "");
    write("prod/a", "old");
    write("secret/a", "hunter2");
    std::os::unix::fs::symlink("../secret", path("pro/folder")).unwrap();
    std::os::unix::fs::symlink("../secret/a", path("pro/file")).unwrap();
    let bench = bench_for(&path("pro"));
    for (name, script, kind) in WRITES {
        let script = script.replace("TOP", &top.to_string());
        let script = format!("local open = kstate.store.open {script}");
        let error = bench.run(&script).expect_err(name);
        assert_eq!(error.kind(), *kind, "{name}: {error}");
        let all = format!("{error} {:?}", error.hint_text());
        assert!(!all.contains("hunter2"), "{name}: {all}");
    }
    // Names that only look like a way up are names.
    for name in [
        "%2e%2e/prod/a",
        "..%2fprod",
        "..\\\\prod\\\\a",
        "\u{ff0e}\u{ff0e}/prod/a",
        "\u{2025}/a",
    ] {
        let script = format!(
            "local s = kstate.store.open('{top}/pro') s:write('{name}', 'x') s:delete('{name}')"
        );
        bench.run(&script).expect(name);
    }
    // A linked file is replaced where it stands.
    bench
        .run(&format!("local s = kstate.store.open('{top}/pro') s:write('file', 'x') assert(s:read('file') == 'x')"))
        .unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test's own files")]
    let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
    assert_eq!(
        (read("prod/a"), read("secret/a")),
        ("old".to_owned(), "hunter2".to_owned())
    );
    assert!(!path("prod/.kstate").exists());
}

#[test]
fn what_is_kstates_own_in_a_store_is_no_scripts() {
    for (name, script) in [
        ("a lock written", "s:write('.kstate/locks/x', 'mine')"),
        ("a lock deleted", "s:delete('.kstate/locks/x')"),
        (
            "a lock copied",
            "s:write('a', 'x') s:copy('a', s, '.kstate/locks/x')",
        ),
        (
            "from its folder",
            "s:at('.kstate'):write('locks/x', 'mine')",
        ),
        (
            "from a folder below",
            "s:at('.kstate/locks'):write('x', 'mine')",
        ),
        (
            "opened there",
            "kstate.store.open('memfs://own/.kstate'):write('locks/x', 'mine')",
        ),
        (
            "of a store further down",
            "s:write('team/.kstate/locks/x', 'mine')",
        ),
        (
            "synced",
            "s:write('from/x', 'mine') s:at('from'):sync(s:at('.kstate/locks'))",
        ),
    ] {
        let script = format!("local s = kstate.store.open('memfs://own') {script}");
        let error = Bench::new().run(&script).expect_err(name);
        assert_eq!(
            (error.kind(), error.exit_code()),
            ("permission_denied", 3),
            "{name}: {error}"
        );
    }
    futile(&[(
        "a name that only begins so",
        "kstate.store.open('memfs://own'):write('.kstatement/x', '1')",
    )]);
}
