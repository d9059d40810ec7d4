//! The suite that every store passes, over backends of every sort.

use std::sync::atomic::{AtomicBool, Ordering};

use age::secrecy::ExposeSecret;
use age::x25519;

use super::{Bench, SHELF};
use crate::lua::modules::http_tests::{Service, ok};
use crate::lua::testing::Bench as Script;
use crate::store::contract::{self, Options, Outcome};
use crate::store::{Body, ErrorKind, Key, Precondition, WriteOptions};

/// Does as little as a backend may: no conditions, one level a listing, and that in pages.
const PLAIN: &str = r#"
return kstate.backend{
  scheme = "plain",
  capabilities = { list = "one_level", ephemeral = true },
  open = function() return { objects = {}, writes = 0 } end,
  stat = function(self, key) return self.objects[key] end,
  read = function(self, key)
    local object, at = self.objects[key], 0
    return object and function()
      local chunk = object.bytes:sub(at + 1, at + 70000)
      at = at + #chunk
      return chunk ~= "" and chunk or nil
    end, object
  end,
  write = function(self, key, body)
    local parts = {}
    for chunk in body:chunks() do parts[#parts + 1] = chunk end
    self.writes = self.writes + 1
    local bytes = table.concat(parts)
    self.objects[key] = { size = #bytes, tag = tostring(self.writes), bytes = bytes }
  end,
  delete = function(self, key) self.objects[key] = nil end,
  list = function(self, folder, options)
    local below, level, names = folder == "" and "" or folder .. "/", {}, {}
    for key, object in pairs(self.objects) do
      if key:sub(1, #below) == below then
        local next = key:sub(#below + 1):match("^[^/]*/")
        level[next and below .. next or key] = next and true or object
      end
    end
    for name in pairs(level) do names[#names + 1] = name end
    table.sort(names)
    local from, items = options.next or 1, {}
    for at = from, math.min(from + 6, #names) do
      local name = names[at]
      items[#items + 1] = level[name] == true and { prefix = name }
        or { key = name, size = level[name].size }
    end
    return { items = items, next = from + 7 <= #names and from + 7 or nil }
  end,
}
"#;

/// Runs the suite; gives the names of what isn't claimed.
#[track_caller]
fn passes(bench: &Bench, url: &str, many: usize) -> Vec<&'static str> {
    passes_with(
        bench,
        url,
        Options {
            large_size: 3 << 20,
            many,
            racers: 16,
            swappers: 8,
            ..Options::default()
        },
    )
}

#[track_caller]
fn passes_with(bench: &Bench, url: &str, options: Options) -> Vec<&'static str> {
    let store = bench.open(url);
    let report = bench.io.block_on(contract::run(store, options));
    assert!(report.passed(), "{report}");
    let checks = report.checks.iter();
    checks
        .filter(|check| matches!(check.outcome, Outcome::NotClaimed(_)))
        .map(|check| check.name)
        .collect()
}

#[test]
fn the_tutorials_backend_passes_the_contract() {
    let bench = Bench::new();
    bench.add("shelf.lua", SHELF);
    let not_claimed = passes(&bench, "shelf://demo/folder", 300);
    let copies = not_claimed.iter().all(|name| name.contains("copy"));
    assert!(copies, "{not_claimed:?}");
}

#[test]
fn what_a_plain_backend_does_not_do_is_derived() {
    let bench = Bench::new();
    bench.add("plain.lua", PLAIN);
    let not_claimed = passes(&bench, "plain://here", 100);
    assert!(not_claimed.iter().any(|name| name.contains("if-absent")));
}

#[test]
fn a_store_that_a_cache_wraps_is_the_same_store() {
    let bench = Bench::new();
    bench.add_shipped();
    passes(
        &bench,
        "cache://x?store=memfs://inner&cache=memfs://kept/c",
        100,
    );
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().display();
    let url = format!("cache://x?store={made}/store&cache={made}/cache");
    passes(&bench, &url, 40);
    let (outer, inner) = (
        bench.open("cache://x?store=memfs://inner&cache=memfs://kept/c"),
        bench.open("memfs://inner"),
    );
    let kept = bench.open("memfs://kept");
    bench.write(&inner, "a", "one").unwrap();
    let before = bench.list(&kept).0.len();
    assert_eq!(bench.read(&outer, "a").unwrap(), "one");
    assert_eq!(bench.list(&kept).0.len(), before + 1);
    // What lies in the cache is believed only when it is what the store has.
    for name in bench.list(&kept).0 {
        bench.write(&kept, &name, "two").unwrap();
    }
    assert_eq!(bench.read(&outer, "a").unwrap(), "one");
    bench.write(&inner, "a", "new").unwrap();
    assert_eq!(bench.read(&outer, "a").unwrap(), "new");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test's own file")]
fn nothing_of_what_crypt_writes_can_be_read_below_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("identity");
    let identity = x25519::Identity::generate();
    std::fs::write(&file, identity.to_string().expose_secret()).unwrap();
    let bench = Bench::new();
    bench.add_shipped();
    let made = |name: &str| folder.path().join(name).display().to_string();
    for (names, inner) in [
        ("false", "memfs://plain"),
        ("false", &made("plain")),
        ("true", "memfs://hidden/x"),
        ("true", &made("hidden")),
    ] {
        let url = format!(
            "crypt://x/top?store={inner}&recipients={}&identity={}&names={names}",
            identity.to_public(),
            file.display()
        );
        // Encryption takes its time in a build for tests.
        let few = Options {
            large_size: 150_000,
            many: 12,
            racers: 4,
            swappers: 3,
            ..Options::default()
        };
        passes_with(&bench, &url, few);
        let (outer, inner) = (bench.open(&url), bench.open(inner));
        let kept: &[&str] = if names == "true" { &["key"] } else { &[] };
        assert_eq!(bench.list(&inner).0, kept);
        bench.write(&outer, "secrets/admin", "hunter2").unwrap();
        assert_eq!(bench.read(&outer, "secrets/admin").unwrap(), "hunter2");
        let (below, _) = bench.list(&inner);
        let is_named = below.iter().any(|name| name.contains("admin"));
        assert_eq!(is_named, names == "false", "{below:?}");
        for name in below {
            let stored = bench.read(&inner, &name).unwrap();
            assert!(stored.contains("age-encryption.org/v1"), "{name}");
            assert!(!stored.contains("hunter2") && !stored.contains("admin"));
        }
    }
    // Somebody else's object is no reason to give out nonsense.
    let inner = bench.open("memfs://plain");
    bench.write(&inner, "top/strange", "not encrypted").unwrap();
    let url = format!(
        "crypt://x/top?store=memfs://plain&identity={}",
        file.display()
    );
    let outer = bench.open(&url);
    let error = bench.read(&outer, "strange").unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Corrupt, "{error}");
    let error = bench.write(&outer, "new", "x").unwrap_err();
    assert!(error.message().contains("nobody is named"), "{error}");
}

#[test]
fn a_web_server_is_read_and_never_written() {
    let is_first = AtomicBool::new(true);
    let service = Service::start(move |path| match path {
        "/pub/a%20b" => ok("etag: \"1\"\r\n", "hello"),
        "/pub/c" => ok("last-modified: Mon\r\n", "12"),
        "/index.txt" => ok("", "pub/c\t2\npub/a b\nelse/x\t1\n"),
        "/pub/busy" if !is_first.swap(false, Ordering::Relaxed) => ok("etag: \"2\"\r\n", "at last"),
        "/pub/busy" => "HTTP/1.1 503 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".into(),
        _ => "HTTP/1.1 404 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".into(),
    });
    let bench = Bench::new();
    bench.add_shipped();
    let host = format!("http://127.0.0.1:{}/pub", service.port);
    let store = bench.open(&format!("{host}?index=index.txt"));
    assert_eq!(bench.read(&store, "a b").unwrap(), "hello");
    assert!(bench.read(&store, "d").unwrap_err().is_missing_key());
    assert_eq!(bench.read(&store, "busy").unwrap(), "at last");
    let (names, error) = bench.list(&store);
    assert_eq!(
        (names, error.map(|error| error.to_string())),
        (vec!["a b".into(), "c".into()], None)
    );
    let without = bench.open(&host);
    assert_eq!(
        *bench.list(&without).1.unwrap().kind(),
        ErrorKind::Unsupported
    );
    let error = bench.write(&store, "x", "y").unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot write {host}/x: the backend 'http' can't write: it is read only")
    );
}

#[test]
fn a_backend_of_a_scripts_runs_in_the_script() {
    let bench = Script::new();
    let text = SHELF.replace("return kstate.backend", "local backend = kstate.backend");
    let script = r#"
        kstate.store.register(backend)
        local s = kstate.store.open("shelf://here/x")
        local meta = s:write("a/b", "1", { if_absent = true })
        assert(meta.tag == "v1" and s:read("a/b") == "1" and s:stat("a/b").size == 1)
        local again, err = s:write("a/b", "2", { if_absent = true })
        assert(again == nil and err:is("already_exists") and err.key == "a/b")
        assert(s:list():collect()[1].prefix == "a/")
        local copy = kstate.store.open("memfs://copy")
        assert(s:sync(copy).copied == 1 and copy:read("a/b") == "1")
        local ok, e = pcall(kstate.store.register, backend)
        assert(not ok and e.message:find("another backend has it"))
        assert(kstate.store.open("shelf://here"):read("x/a/b") == "1")
    "#;
    if let Err(error) = bench.run(&format!("{text}\n{script}")) {
        panic!("{error} {error:?}");
    }
}

#[test]
fn what_is_read_without_its_metadata_is_of_one_version() {
    let bench = Bench::new();
    bench.add(
        "turns.lua",
        "local turn = 0
         local none = function() end
         return kstate.backend{
           scheme = 'turns', write = none, delete = none,
           list = function() return { items = {} } end,
           stat = function(_, key) return { size = 1, tag = 't' .. math.min(turn, 2) } end,
           read = function(_, key)
             turn = turn + 1
             if key == 'endless' then turn = turn % 2 end
             local text = tostring(math.min(turn, 2))
             return key == 'stream' and coroutine.wrap(function() coroutine.yield(text) end) or text
           end,
         }",
    );
    for key in ["text", "stream"] {
        let store = bench.open(&format!("turns://{key}"));
        assert_eq!(bench.read(&store, key).unwrap(), "2", "{key}");
    }
    let error = bench.read(&bench.open("turns://x"), "endless").unwrap_err();
    assert!(error.message().contains("changed 5 times"), "{error}");
}

#[test]
fn what_is_larger_than_a_backend_takes_never_reaches_it() {
    let bench = Bench::new();
    let limits = "capabilities = { max_size = 5, max_conditional = 3,";
    bench.add("shelf.lua", &SHELF.replace("capabilities = {", limits));
    let store = bench.open("shelf://x");
    let write = |key: &str, text: &'static str, is_stream, how| {
        let body = Body::from(text);
        let body = if is_stream {
            Body::stream(None, body.into_stream())
        } else {
            body
        };
        bench
            .io
            .block_on(store.write(&Key::parse(key).unwrap(), body, how))
    };
    let (always, absent) = (WriteOptions::default, WriteOptions::if_absent);
    for is_stream in [false, true] {
        write("all", "12345", is_stream, always()).unwrap();
        write("few", "123", is_stream, absent()).unwrap();
        for (text, how, words) in [
            (
                "123456",
                always(),
                "it has more than 5 B, which is the most that the store takes",
            ),
            (
                "1234",
                absent(),
                "more than 3 B, which is the most that conditions hold for",
            ),
        ] {
            let error = write("none", text, is_stream, how).unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.message().contains(words), "{error}");
        }
        assert_eq!(bench.list(&store).0, ["all", "few"]);
        for key in ["all", "few"] {
            let key = Key::parse(key).unwrap();
            bench
                .io
                .block_on(store.delete(&key, Precondition::None))
                .unwrap();
        }
    }
}

#[test]
fn folders_that_a_backend_leaves_behind_show_in_no_listing() {
    let bench = Bench::new();
    let left = "local left = ({ [''] = 'left/', left = 'left/deeper/' })[folder]
        if left then level[left] = true end
        for name in pairs(level)";
    let text = PLAIN.replace("for name in pairs(level)", left);
    let text = text.replace("\"one_level\",", "\"one_level\", empty_folders = true,");
    bench.add("plain.lua", &text);
    passes(&bench, "plain://here", 100);
}

#[test]
fn calls_do_not_wait_for_each_other() {
    let bench = Bench::new();
    bench.add(
        "meet.lua",
        "local here = 0
         local none = function() end
         return kstate.backend{
           scheme = 'meet', stat = none, read = none, delete = none,
           list = function() return { items = {} } end,
           write = function(_, _, body)
             here = here + 1
             while here < 10 do kstate.task.sleep('1ms') end
             return { tag = 'x', size = #body:read() }
           end,
         }",
    );
    let store = bench.open("meet://x");
    let writes = (0..10).map(|number| {
        let store = store.clone();
        async move {
            let key = Key::parse(&format!("k{number}")).unwrap();
            store
                .write(&key, Body::from("1"), WriteOptions::default())
                .await
        }
    });
    let done = bench.io.block_on(futures::future::join_all(writes));
    assert!(done.iter().all(Result::is_ok));
}
