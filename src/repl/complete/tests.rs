use super::super::testing::Bench;
use super::place::place;

/// What replaces the word before `|`, by how it is listed.
fn listed(bench: &Bench, line: &str) -> Vec<String> {
    let cursor = line.find('|').unwrap();
    let completion = bench.evaluator.complete(&line.replace('|', ""), cursor);
    let candidates = completion.candidates.into_iter();
    candidates.map(|candidate| candidate.shown).collect()
}

#[track_caller]
fn has(bench: &Bench, line: &str, wanted: &[&str]) {
    let found = listed(bench, line);
    for wanted in wanted {
        assert!(
            found.iter().any(|found| found == wanted),
            "{line}: {wanted} not in {found:?}"
        );
    }
}

#[test]
fn variables_fields_and_methods_are_completed() {
    let bench = Bench::new();
    bench
        .eval("local cluster = { name = 'x', spec = { zones = {} }, ['a b'] = 1 } function cluster.f() end")
        .unwrap();
    bench.eval("s = store.open('memfs://names')").unwrap();
    has(&bench, "clu|", &["cluster"]);
    has(&bench, "x = f(|", &["cluster", "store", "print", "nil"]);
    assert_eq!(listed(&bench, "cluster.|"), ["f", "name", "spec"]);
    assert_eq!(listed(&bench, "cluster.spec.z|"), ["zones"]);
    assert_eq!(listed(&bench, "cluster:|"), ["f"]);
    assert_eq!(listed(&bench, "x = 1 .. cluster.na|"), ["name"]);
    has(&bench, "1 ..clu|", &["cluster"]);
    has(&bench, "store.|", &["open(url, options?)"]);
    has(&bench, "kstate.json.de|", &["decode(text)"]);
    has(&bench, "s:rea|", &["read(key, options?)"]);
    has(&bench, "store.open('memfs://names'):sta|", &["stat(key)"]);
    has(&bench, "('x'):rep|", &["rep"]);
    has(&bench, "math.fl|", &["floor"]);
    for nothing in [
        "nope.|",
        "cluster.name.|",
        "f():|",
        "-- clu|",
        "x = [[clu|",
        "'clu|",
        "s.|",
    ] {
        assert_eq!(listed(&bench, nothing), [""; 0], "{nothing}");
    }
}

#[test]
fn options_and_commands_are_completed() {
    let bench = Bench::new();
    bench.eval("s = store.open('memfs://options')").unwrap();
    has(&bench, "s:read('x', { |", &["range = table"]);
    has(&bench, "store.open('x', { reg|", &["region = string"]);
    has(&bench, "kstate.error{ hi|", &["hint = string"]);
    let left = listed(&bench, "kstate.error{ hint = 'x', |");
    assert!(
        left.contains(&"message = string".to_owned())
            && !left.iter().any(|l| l.starts_with("hint"))
    );
    has(&bench, "x = { clu, pri|", &["print"]);
    assert_eq!(listed(&bench, ":co|"), [":commit"]);
    has(&bench, ":help store.|", &["store.open"]);
    assert_eq!(listed(&bench, ":load move|"), ["move_bucket"]);
    has(&bench, ":type kstate.jso|", &["json"]);
    has(&bench, ":store mem|", &["memfs://"]);
}

#[test]
fn nothing_of_the_script_runs() {
    let bench = Bench::new();
    bench
        .eval(
            "ran = 0; local function count() ran = ran + 1 return {} end
             trap = setmetatable({ own = 1 }, { __index = count, __pairs = count, __len = count, __call = count })
             deep = setmetatable({}, { __index = setmetatable({ behind = 1 }, { __index = count }) })
             loop = {}; setmetatable(loop, { __index = loop })",
        )
        .unwrap();
    assert_eq!(listed(&bench, "trap.|"), ["own"]);
    assert_eq!(listed(&bench, "trap.missing.|"), [""; 0]);
    assert_eq!(listed(&bench, "trap():|"), [""; 0]);
    assert_eq!(listed(&bench, "deep.|"), ["behind"]);
    assert_eq!(listed(&bench, "loop.|"), [""; 0]);
    assert_eq!(bench.eval("ran"), Ok("0".to_owned()));
}

#[test]
fn store_paths_are_completed_with_what_is_staged_and_no_plan_depends_on_it() {
    let bench = Bench::new();
    bench
        .eval(
            "s = store.open('memfs://paths/top')
             for _, key in ipairs{ 'a/config', 'a/pki/x', 'ab/config', 'b', 'b2', 'ü' } do s:write(key, '1') end",
        )
        .unwrap();
    assert_eq!(listed(&bench, "store.open('memfs://paths/|"), ["top/"]);
    assert_eq!(
        listed(&bench, "store.open('memfs://paths/top/a|"),
        ["a/", "ab/"]
    );
    assert_eq!(listed(&bench, "s:read('a/|"), ["config", "pki/"]);
    assert_eq!(listed(&bench, "s:read(\"b|"), ["b", "b2"]);
    assert_eq!(listed(&bench, "s:stat 'ü|"), ["ü"]);
    assert_eq!(listed(&bench, "s:write('b', 'a|"), [""; 0]);
    let end = "s:read('a/".len();
    assert_eq!(bench.evaluator.complete("s:read('a/c", end + 1).start, end);
    let plan = bench.session.plan(bench.session.origin("", "", Vec::new()));
    assert_eq!(plan.observed.listings, []);
}

#[test]
fn a_listing_that_was_cut_leaves_no_name_out() {
    let bench = Bench::new();
    bench
        .eval(
            "s = store.open('memfs://many')
             for i = 1, 1200 do s:write(('a/k%04d'):format(i), '') end",
        )
        .unwrap();
    let found = bench.evaluator.complete("s:read('a/k", 11).candidates;
    assert_eq!(found.len(), 1001);
    let last = found.last().unwrap();
    assert_eq!((last.text.as_str(), last.shown.as_str()), ("k", "… more"));
    assert_eq!(listed(&bench, "s:read('a/k11|").len(), 100);
}

#[test]
fn places_are_told_apart() {
    for (text, start, shown) in [
        ("a.b", 2, "Field"),
        ("f(x, { y = 1, z", 14, "Option"),
        ("f(x, { y = z", 11, "Name"),
        ("a.b:c('k', { d", 13, "Option"),
        ("x = y[", 6, "Name"),
        ("f(1, \"s3://b/", 6, "Text"),
        ("t = { 'x", 7, "Nothing"),
    ] {
        let (at, found) = place(text);
        assert!(
            at == start && format!("{found:?}").starts_with(shown),
            "{text}: {at} {found:?}"
        );
    }
}
