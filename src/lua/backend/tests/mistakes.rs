//! What authors of backends do wrong, and what the run hears of it.

use super::Bench;
use crate::store::{Error, ErrorKind};

/// A backend in whose line 2 something is otherwise.
fn text(change: &str) -> String {
    format!(
        "local open, stat, read, write, delete, list = nil, \
           function() return {{ size = 3, tag = 't' }} end, \
           function() return 'abc', {{ tag = 't' }} end, \
           function(_, _, body) body:read() return {{ tag = 't' }} end, \
           function() end, \
           function() return {{ items = {{ {{ key = 'a', size = 3 }} }} }} end\n\
         {change}\n\
         return kstate.backend{{ scheme = 'bad', open = open, stat = stat, read = read, \
           write = write, delete = delete, list = list }}"
    )
}

/// What the first call that fails says: of stat, read, write and list.
#[track_caller]
fn failure(change: &str) -> Error {
    let bench = Bench::new();
    bench.add("bad.lua", &text(change));
    let store = bench.open("bad://x");
    let calls = [
        bench.stat(&store, "a").err(),
        bench.read(&store, "a").err(),
        bench.write(&store, "a", "abc").err(),
        bench.list(&store).1,
    ];
    let error = calls.into_iter().flatten().next();
    error.unwrap_or_else(|| panic!("nothing failed: {change}"))
}

/// What can be wrong with what a function returns, and how that is told.
const NONSENSE: &[(&str, &str)] = &[
    (
        "stat = function() return 1 end",
        "'stat' returned the number 1 instead of a table or nil",
    ),
    ("stat = function() return 'x' end", "returned a string"),
    ("stat = function() return true end", "returned true"),
    ("stat = function() return print end", "returned a function"),
    (
        "stat = function() return kstate.null end",
        "returned a lightuserdata",
    ),
    (
        "stat = function() return coroutine.create(print) end",
        "returned a thread",
    ),
    (
        "stat = function() return {} end",
        "'stat' gave no 'size' for 'a'",
    ),
    (
        "stat = function() return { size = -1 } end",
        "gave the number -1 as 'size' instead of a number of bytes",
    ),
    (
        "stat = function() return { size = 1.5 } end",
        "the number 1.5",
    ),
    ("stat = function() return { size = 1 } end", "no 'tag'"),
    (
        "stat = function() return { size = 1, tag = {} } end",
        "a table as 'tag' instead of a string",
    ),
    (
        "stat = function() return { size = 1, tag = '\\xff' } end",
        "no UTF-8",
    ),
    (
        "stat = function() return { size = 1, tag = 't', modified = 'x' } end",
        "seconds since 1970",
    ),
    (
        "stat = function() return { size = 1, tag = 't', checksum = { algorithm = 'x' } } end",
        "'checksum'",
    ),
    (
        "stat = function() return { size = 1, tag = 't', modifed = 7, own = 1 } end",
        "'stat' gave the unknown field 'modifed' (did you mean 'modified'?)",
    ),
    (
        "list = function() return { items = { { key = 'a', size = 1, chekcsum = 7 } } } end",
        "did you mean 'checksum'?",
    ),
    (
        "stat = function() return { size = 1, tag = 't', user = 7 } end",
        "as 'user'",
    ),
    (
        "read = function() return 7 end",
        "'read' returned the number 7 instead of a string, an iterator or nil",
    ),
    ("read = function() return {} end", "returned a table"),
    (
        "read = function() return 'abc', 'x' end",
        "a string behind the body",
    ),
    (
        "read = function() return function() return 7 end, { size = 3, tag = 't' } end",
        "'read' gave the number 7 instead of a chunk",
    ),
    (
        "read = function() return 'abc', { size = 4, tag = 't' } end",
        "the body ended 1 bytes early",
    ),
    (
        "read = function() return 'abc', { size = 2, tag = 't' } end",
        "longer than its metadata",
    ),
    (
        "read = function() return 'ab' end",
        "the body ended 1 bytes early",
    ),
    (
        "read = function() return 'abc', { tag = 't', checksum = { algorithm = 'md5', value = '00' } } end",
        "the checksum that the metadata tells",
    ),
    (
        "write = function() end",
        "'write' gave no sign of having read the whole body",
    ),
    (
        "write = function(_, _, body) body:read() return 7 end",
        "'write' returned the number 7",
    ),
    (
        "write = function(_, _, body) body:read() return { tag = 't', size = 99 } end",
        "'write' gave the size 99 for 3 bytes",
    ),
    (
        "list = function() return 7 end",
        "'list' returned the number 7 instead of an iterator or a page { items, next }",
    ),
    ("list = function() end", "'list' returned nothing"),
    ("list = function() return {} end", "a table without 'items'"),
    (
        "list = function() return { items = { 7 } } end",
        "the number 7 instead of an entry",
    ),
    (
        "list = function() return { items = { {} } } end",
        "without a 'key' or a 'prefix'",
    ),
    (
        "list = function() return { items = { { key = 'a' } } } end",
        "no 'size' for 'a'",
    ),
    (
        "list = function() return { items = { { prefix = 'a' } } } end",
        "no folder with a slash",
    ),
    (
        "list = function() return { items = { [2] = { key = 'a', size = 1 } } } end",
        "'items' that are no list, or one with a nil in it",
    ),
    (
        "list = function() return { items = {}, next = 1 } end",
        "the same 'next' twice",
    ),
    (
        "list = function() return function() return 7 end end",
        "the number 7 instead of an entry",
    ),
    (
        "list = function() return { items = { { key = 'b', size = 1 }, { key = 'a', size = 1 } } } end",
        "gave 'a' after 'b'",
    ),
    (
        "list = function() return { items = { { key = '', size = 1 } } } end",
        "gave '', which is not below ''",
    ),
    ("open = function() end", "'open' returned nothing"),
];

#[test]
fn nonsense_is_told_by_its_function_and_line() {
    for (change, words) in NONSENSE {
        let error = failure(change);
        assert_eq!(*error.kind(), ErrorKind::Corrupt, "{change}: {error}");
        let shown = error.to_string();
        assert!(shown.contains(words), "{change}: {shown}");
        assert!(shown.contains("bad://x"), "{shown}");
        let by_line = ["ended", "longer", "checksum that"];
        if !by_line.iter().any(|part| words.contains(part)) {
            assert!(
                shown.contains("the backend 'bad' failed: bad.lua:2: "),
                "{shown}"
            );
        }
    }
}

#[test]
fn what_is_raised_keeps_its_kind_or_names_the_line() {
    for (raised, kind, words) in [
        (
            "error('boom')",
            "other",
            "the backend 'bad' failed: bad.lua:2: boom",
        ),
        (
            "local x = nil; return x.y",
            "other",
            "failed: bad.lua:2: attempt to index a nil value",
        ),
        ("error({ code = 7 })", "other", "failed: bad.lua:2: "),
        ("error()", "other", "failed: "),
        (
            "error(kstate.error{ message = 'plain' })",
            "other",
            "failed: bad.lua:2: plain",
        ),
        (
            "error(kstate.error{ kind = 'throttled', message = 'slow' })",
            "throttled",
            "cannot stat bad://x/a: slow",
        ),
        (
            "return nil, kstate.error{ kind = 'unavailable', message = 'gone' }",
            "unavailable",
            "gone",
        ),
        (
            "error(kstate.error{ retryable = true, message = 'again' })",
            "unavailable",
            "again",
        ),
        (
            "error(kstate.error{ kind = 'permission_denied', message = 'no' })",
            "permission_denied",
            "no",
        ),
        (
            "kstate.json.decode('{')",
            "invalid",
            "the backend 'bad' failed: bad.lua:2: ",
        ),
        ("kstate.exit(3)", "other", "exits with code 3"),
        (
            "kstate.store.open('memfs://x')",
            "invalid",
            "kstate has no 'store'",
        ),
        (
            "kstate.process.run({ 'true' })",
            "invalid",
            "kstate has no 'process'",
        ),
        ("return os.execute('true')", "other", "bad.lua:2"),
    ] {
        let error = failure(&format!("stat = function() {raised} end"));
        let shown = error.to_string();
        let found = error.kind().name();
        assert!(
            found == kind || raised.contains("exit"),
            "{raised}: {found} {shown}"
        );
        assert!(shown.contains(words), "{raised}: {shown}");
    }
}

#[test]
fn a_listing_that_breaks_off_gives_what_it_had_and_the_error_last() {
    let bench = Bench::new();
    bench.add(
        "bad.lua",
        &text(
            "list = function() local at = 0 return function() at = at + 1 \
               if at > 2 then error('boom') end return { key = 'k' .. at, size = 1 } end end",
        ),
    );
    let (names, error) = bench.list(&bench.open("bad://x"));
    assert_eq!(names, ["k1", "k2"]);
    let shown = error.unwrap().to_string();
    assert_eq!(
        shown,
        "cannot list bad://x: the backend 'bad' failed: bad.lua:2: boom"
    );
}

#[test]
fn a_tag_that_swaps_rely_on_is_not_asked_for_afterwards() {
    let bench = Bench::new();
    let text = text("write = function(_, _, body) body:read() end").replace(
        "open = open",
        "capabilities = { if_match = true }, open = open",
    );
    bench.add("bad.lua", &text);
    let error = bench.write(&bench.open("bad://x"), "a", "abc").unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Corrupt);
    assert!(error.message().contains("'write' gave no 'tag'"), "{error}");
}

#[test]
fn a_body_that_breaks_off_is_an_error() {
    let change = "read = function() local at = 0 return function() at = at + 1 \
        if at > 1 then error('boom') end return 'a' end, { size = 3, tag = 't' } end";
    let error = failure(change);
    assert!(error.message().contains("bad.lua:2: boom"), "{error}");
}

#[test]
fn a_backend_that_does_not_end_is_stopped_and_asked_again() {
    let loops = [
        ("while true do end", "bad.lua:2"),
        ("while true do pcall(error) end", "bad.lua:2"),
        ("kstate.task.sleep('1h')", "was stopped at bad.lua:2"),
        // Where it can't be suspended it is ended from outside.
        (
            "table.sort({ 3, 2, 1 }, function() while true do end end)",
            "bad.lua:2",
        ),
        (
            "return ('a'):rep(23):find(('a?'):rep(23) .. ('a'):rep(23))",
            "one long call",
        ),
    ];
    for (work, words) in loops {
        let bench = Bench::strict();
        let change = format!(
            "stat = function(_, key) if key == 'a' then {work} end return {{ size = 1, tag = 't' }} end"
        );
        bench.add("bad.lua", &text(&change));
        let store = bench.open("bad://x");
        let error = bench.stat(&store, "a").unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::TimedOut, "{work}: {error}");
        assert!(error.message().contains("the backend 'bad'"), "{error}");
        assert!(error.message().contains(words), "{work}: {error}");
        assert_eq!(bench.stat(&store, "b").unwrap().size, 1, "{work}");
    }
    let bench = Bench::strict();
    bench.add("bad.lua", &text("while true do end"));
    let error = bench.stat(&bench.open("bad://x"), "a").unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::TimedOut, "{error}");
}

#[test]
fn a_backend_that_eats_memory_gets_a_new_vm() {
    let bench = Bench::strict();
    let change = "local kept = {} \
        stat = function(_, key) while key == 'a' do kept[#kept + 1] = ('x'):rep(1000000) .. #kept end \
        return { size = #kept, tag = 't' } end";
    bench.add("bad.lua", &text(change));
    let store = bench.open("bad://x");
    let error = bench.stat(&store, "a").unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Other, "{error}");
    let words = "failed: 'stat' got not enough memory, at bad.lua:2";
    assert!(error.message().contains(words), "{error}");
    assert!(
        error.hint_text().unwrap().contains("the backend"),
        "{error:?}"
    );
    assert_eq!(bench.stat(&store, "b").unwrap().size, 0);
}

#[test]
fn what_is_no_backend_is_told_before_it_is_run() {
    let bench = Bench::new();
    for (text, words) in [
        ("print(1)", "bad.lua:1: it is no backend"),
        (
            "return kstate.backend{ scheme = 'x',\n stat = f, read = f, list = f }",
            "bad.lua: a backend needs the function 'write' and 'delete'",
        ),
        (
            "return kstate.backend{ scheme = 'x', capabilities = { read_only = true }, stat = f, list = f }",
            "needs the function 'read'",
        ),
        ("return kstate.backend{ stat = f }", "needs a 'scheme'"),
        (
            "return kstate.backend{ scheme = 'x', raed = f }",
            "unknown field 'raed' (did you mean 'read'?)",
        ),
        (
            "return kstate.backend{ scheme = 'x', capabilities = { if_absnt = true } }",
            "did you mean 'if_absent'?",
        ),
        (
            "return kstate.backend{ scheme = 'x', capabilities = { range = 1 } }",
            "'range' of 'capabilities' of a backend must be true or false",
        ),
        (
            "return kstate.backend{ scheme = 'x', capabilities = { checksum = 'crc' } }",
            "must be md5, sha256, crc32c or crc64ecma",
        ),
        (
            "return kstate.backend{ scheme = 'x', capabilities = { read_only = true }, stat = f, read = f, list = f, options = { { name = 'url' } } }",
            "can't be the name of an option",
        ),
        (
            "return kstate.backend{ scheme = 'x', capabilities = { read_only = true }, stat = f, read = f, list = f, options = { { name = 'a', type = 'stor' } } }",
            "did you mean 'store'?",
        ),
        (
            "return kstate.backend{ scheme = 'x', capabilities = { read_only = true }, stat = f, read = f, list = f, wraps = 'a' }",
            "no option of the type 'store'",
        ),
        (
            "return kstate.backend{ scheme = 'x', capabilities = { read_only = true }, stat = f, read = f, list = f, permissions = { process = { 'a' } } }",
            "unknown field 'process'",
        ),
    ] {
        let source = crate::lua::Source::new("bad.lua", text);
        let fault = bench.plugin(source, crate::session::permissions::Grants::default());
        let fault = fault.err().unwrap_or_else(|| panic!("{text}"));
        assert!(fault.message().contains(words), "{text}: {fault}");
    }
    let ours = text("").replace("'bad'", "'s3'");
    let plugin = bench.plugin(
        crate::lua::Source::new("bad.lua", ours),
        crate::session::permissions::Grants::default(),
    );
    let error = plugin.unwrap().register(&bench.registry).err().unwrap();
    assert!(
        error.message().contains("kstate's own stores have it"),
        "{error}"
    );
}

#[test]
fn a_file_that_says_one_thing_and_is_another_is_found_out() {
    for (end, words) in [
        (
            "return 1",
            "bad.lua returned something else than kstate.backend",
        ),
        ("error('at the top')", "bad.lua:1: at the top"),
        ("local x = ", "bad.lua:"),
    ] {
        let bench = Bench::new();
        // Nobody runs what comes behind the first return.
        let text = format!("if true then {end} end {}", text(""));
        bench.add("bad.lua", &text);
        let error = bench.stat(&bench.open("bad://x"), "a").unwrap_err();
        assert!(error.message().contains(words), "{error}");
    }
}
