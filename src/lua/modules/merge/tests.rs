//! Tests of `kstate.merge`.

use crate::lua::testing::{fails, passes};

const SAME: &str = r#"
local function equal(a, b)
  if type(a) ~= "table" or type(b) ~= "table" or next(a) == nil then
    return kstate.json.encode(a) == kstate.json.encode(b)
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  for key, inner in pairs(a) do
    if b[key] == nil or not equal(inner, b[key]) then return false end
  end
  return true
end
local function same(a, b)
  if not equal(a, b) then error(kstate.json.encode(a) .. " is not " .. kstate.json.encode(b), 2) end
end
local decode = kstate.yaml.decode
"#;

/// Runs a script that may use `same` and `decode`; it must end well.
#[track_caller]
fn holds(script: &str) {
    passes(&format!("{SAME}{script}"));
}

#[test]
fn lists_are_merged_as_the_option_says() {
    holds(
        r#"
        local base = decode "{l: [1, 2], k: [{id: a, x: 1}, {id: b}], n: {l: [1]}}"
        local over = decode "{l: [2, 3], k: [{id: a, y: 2}, {id: c}], n: {l: [2]}}"
        for lists, expected in pairs {
          replace = "{l: [2, 3], k: [{id: a, y: 2}, {id: c}], n: {l: [2]}}",
          append = "{l: [1, 2, 2, 3], k: [{id: a, x: 1}, {id: b}, {id: a, y: 2}, {id: c}], n: {l: [1, 2]}}",
          union = "{l: [1, 2, 3], k: [{id: a, x: 1}, {id: b}, {id: a, y: 2}, {id: c}], n: {l: [1, 2]}}",
        } do
          same(kstate.merge.deep(base, over, { lists = lists }), decode(expected))
        end
        same(kstate.merge.deep(base, over), over)
        for _, key in ipairs { "id", { "id" } } do
          same(kstate.merge.deep(base, over, { lists = { k = key, ["*"] = "union" } }),
            decode "{l: [1, 2, 3], k: [{id: a, x: 1, y: 2}, {id: b}, {id: c}], n: {l: [1, 2]}}")
        end
        -- The rule with fewer `*` wins, in whatever order Lua has them.
        same(kstate.merge.deep(base, over, { lists = { ["*.l"] = "append", ["n.l"] = "replace", ["*.*"] = "replace", ["*"] = "union" } }),
          decode "{l: [1, 2, 3], k: [{id: a, x: 1}, {id: b}, {id: a, y: 2}, {id: c}], n: {l: [2]}}")
        -- kOps's rules, and others beside them.
        same(kstate.merge.deep(decode "{spec: {subnets: [{name: a, x: 1}], zones: [a]}}",
          decode "{spec: {subnets: [{name: a, y: 2}], zones: [b]}}", { lists = { ["*"] = "kops", ["spec.zones"] = "append" } }),
          decode "{spec: {subnets: [{name: a, x: 1, y: 2}], zones: [a, b]}}")
        same(kstate.merge.deep({ a = 1, b = { c = 1 } }, { a = kstate.null }), decode "{a: null, b: {c: 1}}")
        "#,
    );
}

#[test]
fn a_list_option_that_cannot_be_right_is_refused() {
    for (lists, said, hint) in [
        ("'apend'", "(did you mean 'append'?)", "\"kops\" or a table"),
        ("'name'", "\"name\" is no strategy", "a table by path"),
        ("7", "7 is no strategy", "\"replace\""),
        (
            "{ a = 'unoin' }",
            "'unoin' is no strategy (did you mean 'union'?)",
            "{ \"unoin\" }",
        ),
        (
            "{ a = 'kops' }",
            "'kops' can't be a strategy by path",
            "[\"*\"] = \"kops\"",
        ),
        ("{ a = true }", "true is no strategy", "the name of a field"),
        ("{ a = {} }", "{} is no strategy", "the name of a field"),
        ("{ ['a[0]'] = 'append' }", "`a[0]` is no path of a list", ""),
        ("{ 'append' }", "the key 1 is no path of a list", ""),
    ] {
        let error = fails(&format!(
            "kstate.merge.deep({{}}, {{}}, {{ lists = {lists} }})"
        ));
        assert_eq!(error.kind(), "invalid", "{lists}");
        assert!(error.message().contains(said), "{lists}: {error}");
        assert!(
            error.hint_text().unwrap_or_default().contains(hint),
            "{lists}: {error}"
        );
    }
}

#[test]
fn patches_make_what_the_difference_says() {
    holds(
        r#"
        local texts = {
          "{}", "{a: 1}", "{a: 2, b: {c: [1, 2, 3]}}", "{b: {c: [1, 3], d: x}}", "{a: {b: {c: 1}}}", "[1, 2]", "[]", "x",
          "{subnets: [{name: a}, {name: b, x: 1}]}", "{subnets: [{name: b, x: 2}, {name: c}]}", "{a/b: 1, c~d: 2}", "1.5",
        }
        for _, a in ipairs(texts) do
          for _, b in ipairs(texts) do
            local a, b = decode(a), decode(b)
            same(kstate.merge.json_patch(a, kstate.merge.diff_ops(a, b)), b)
            local patched = kstate.merge.patch(a, kstate.merge.diff(a, b))
            assert(#kstate.merge.diff_ops(patched, b) == 0)
          end
        end
        same(kstate.merge.diff(decode "{a: 1}", decode "{a: 1}"), {})
        same(kstate.merge.diff_ops(1, 1), kstate.array {})
        "#,
    );
}

#[test]
fn keys_keep_their_order() {
    holds(
        r#"
        local base = decode "{z: 1, a: {y: 1, b: 2}, m: 3}"
        local text = kstate.json.encode
        assert(text(kstate.merge.deep(base, { a = { b = 3, c = 4 }, k = 5 })) == '{"z":1,"a":{"y":1,"b":3,"c":4},"m":3,"k":5}')
        assert(text(kstate.merge.patch(base, { m = kstate.null })) == '{"z":1,"a":{"y":1,"b":2}}')
        assert(text(kstate.merge.set(base, "a.x", 1)) == '{"z":1,"a":{"y":1,"b":2,"x":1},"m":3}')
        assert(text((kstate.merge.unset(base, "a.y"))) == '{"z":1,"a":{"b":2},"m":3}')
        local ours = kstate.merge.set(base, "m", 4)
        assert(text((kstate.merge.three_way(base, ours, { z = 1, a = { y = 2, b = 2 }, m = 3 }))) == '{"z":1,"a":{"b":2,"y":2},"m":4}')
        assert(text(base) == '{"z":1,"a":{"y":1,"b":2},"m":3}')
        "#,
    );
}

#[test]
fn values_are_changed_by_path() {
    holds(
        r#"
        local value = decode "{spec: {subnets: [{name: a, x: 1}, {name: b, x: 2}, {name: c}], e: [], n: null}}"
        local before = kstate.json.encode(value)
        local get, set, unset = kstate.merge.get, kstate.merge.set, kstate.merge.unset
        assert(get(value, "spec.subnets[*].x") == 1 and get(value, "spec.subnets[name=b].x") == 2)
        assert(get(value, "spec.none") == nil and get(value, "spec.n") == kstate.null)
        same(get(value, "."), value)
        same(get(set(value, "spec.subnets[*].x", { 7 }), "spec.subnets[2].x"), { 7 })
        same(get(set(value, "spec.n.deep['a.b'][+]", 1), "spec.n"), { deep = { ["a.b"] = { 1 } } })
        same(set(value, "spec.e[*].x", 1), value)
        same(set(value, ".", 1), 1)
        local new, was_there = unset(value, "spec.subnets[*].x")
        same(new, decode "{spec: {subnets: [{name: a}, {name: b}, {name: c}], e: [], n: null}}")
        assert(was_there == true)
        same((unset(value, "spec.subnets[name=b]")), decode "{spec: {subnets: [{name: a, x: 1}, {name: c}], e: [], n: null}}")
        same((unset(value, "spec.subnets[*]")), decode "{spec: {subnets: [], e: [], n: null}}")
        new, was_there = unset(value, "spec.subnets[name=z].x")
        same(new, value)
        assert(was_there == false)
        assert(kstate.json.encode(value) == before)
        "#,
    );
    for (script, said) in [
        ("get({}, 'a[')", "column 3 of the path \"a[\""),
        ("set({}, 'a..b', 1)", "column 3 of the path \"a..b\""),
        ("unset({}, '')", "column 1 of the path \"\""),
        ("unset({}, '.')", "the whole value can't be removed"),
        (
            "set({ a = 'x' }, 'a.b', 1)",
            "a: has no key b: it is a string",
        ),
        (
            "set({ a = { 1 } }, 'a[3]', 1)",
            "a: has no element [3]: the list has 1 element",
        ),
        (
            "set({ a = {{ name = 'x' }} }, 'a[name=y]', 1)",
            "no element has name=y; there is x",
        ),
        (
            "set({}, 'a', nil)",
            "'new' has no value; kstate.null stands for null",
        ),
        ("get(nil, 'a')", "'value' has no value"),
        ("deep({}, nil)", "'over' has no value"),
        ("three_way(1, nil, 2)", "'ours' has no value"),
        ("patch({ a = print }, {})", "at 'a': a function is no data"),
        (
            "json_patch({}, {{ op = 'ad', path = '/a' }})",
            "operation 1: there is no `ad`",
        ),
        (
            "json_patch({}, {{ op = 'add', path = 'a', value = 1 }})",
            "operation 1: `path`: ",
        ),
        ("diff({}, { a = kstate.null })", "can't set a to null"),
        (
            "three_way_text('\\xff', '', '')",
            "a text that isn't UTF-8 (invalid utf-8",
        ),
    ] {
        let error = fails(&format!("kstate.merge.{script}"));
        assert_eq!(error.kind(), "invalid", "{script}: {error}");
        assert!(error.message().contains(said), "{script}: {error}");
    }
}

#[test]
fn a_json_patch_is_applied_whole_or_not_at_all() {
    let error =
        fails("kstate.merge.json_patch({ a = 1 }, {{ op = 'test', path = '/a', value = 2 }})");
    assert_eq!(error.kind(), "precondition_failed");
    assert!(
        error.message().starts_with("operation 1 (test /a): "),
        "{error}"
    );
    assert_eq!(error.exit_code(), 4);
    let error = fails("kstate.merge.json_patch({ a = 1 }, {{ op = 'remove', path = '/b' }})");
    assert_eq!(error.kind(), "not_found");
    holds(
        "same(kstate.merge.json_patch({ a = 1 }, {}), { a = 1 })
         same(kstate.merge.json_patch({ a = { 1 } }, { { op = 'add', path = '/a/-', value = kstate.null } }), { a = { 1, kstate.null } })",
    );
}

const SIDES: &str = r#"
local base = decode "{gone: 1, both: 1, same: 1, s: [{name: a, x: 1, y: 1}], new: 0}"
local ours = decode "{gone: 2, both: 2, same: 3, s: [{name: a, x: 2, y: 1}], new: 0, added: {o: 1}}"
local theirs = decode "{both: 3, same: 3, s: [{name: a, x: 3, y: 2}], new: null, added: 7}"
local lists = { s = "name" }
"#;

#[test]
fn conflicts_are_listed_and_resolved() {
    holds(&format!(
        "{SIDES}{}",
        r#"
        local merged, conflicts = kstate.merge.three_way(base, ours, theirs, { lists = lists })
        same(conflicts, {
          { path = "gone", base = 1, ours = 2 },
          { path = "both", base = 1, ours = 2, theirs = 3 },
          { path = "s.a.x", base = 1, ours = 2, theirs = 3 },
          { path = "added", ours = { o = 1 }, theirs = 7 },
        })
        same(merged, decode "{gone: 2, both: 2, same: 3, s: [{name: a, x: 2, y: 2}], new: null, added: {o: 1}}")

        local seen = {}
        merged, conflicts = kstate.merge.three_way(base, ours, theirs, {
          lists = lists,
          resolve = function(conflict)
            seen[#seen + 1] = conflict.path
            kstate.task.sleep("1ms")
            return ({ gone = "theirs", both = { value = { "either" } }, added = "base" })[conflict.path]
          end,
        })
        assert(table.concat(seen, " ") == "gone both s.a.x added")
        same(conflicts, { { path = "s.a.x", base = 1, ours = 2, theirs = 3 } })
        same(merged, decode "{both: [either], same: 3, s: [{name: a, x: 2, y: 2}], new: null}")

        merged, conflicts = kstate.merge.three_way(base, ours, theirs, {
          lists = lists,
          resolve = function(conflict)
            return ({ gone = "ours", both = { remove = true }, ["s.a.x"] = { value = kstate.null } })[conflict.path] or "theirs"
          end,
        })
        same(conflicts, kstate.array {})
        same(merged, decode "{gone: 2, same: 3, s: [{name: a, x: null, y: 2}], new: null, added: 7}")

        -- Whole values.
        merged, conflicts = kstate.merge.three_way(1, 2, 3, { resolve = function() return { remove = true } end })
        assert(merged == kstate.null and #conflicts == 0)
        merged, conflicts = kstate.merge.three_way(1, 2, 3)
        same(conflicts, { { path = ".", base = 1, ours = 2, theirs = 3 } })
        -- Nobody is asked where nothing conflicts.
        assert(kstate.merge.three_way(1, 1, 3, { resolve = error }) == 3)
        "#
    ));
}

#[test]
fn an_error_of_a_resolver_keeps_its_fields() {
    holds(&format!(
        "{SIDES}{}",
        r#"
        local function raising(raise)
          local ok, e = pcall(kstate.merge.three_way, base, ours, theirs, { lists = lists, resolve = raise })
          assert(not ok)
          return e
        end
        local e = raising(function(conflict) error(kstate.error { kind = "refused", message = "ask Ann", hint = conflict.path }) end)
        assert(e.kind == "refused" and e.message == "ask Ann" and e.hint == "gone")
        local mine = { code = 7 }
        assert(raising(function() error(mine) end) == mine)
        assert(raising(function() error("plain", 0) end) == "plain")
        assert(raising(function() local t; return t.x end):find("attempt to index a nil value"))
        "#
    ));
    for answer in [
        "'yours'",
        "7",
        "true",
        "{}",
        "{ value = 1, remove = true }",
        "{ remove = false }",
        "{ valu = 1 }",
        "print",
    ] {
        let error = fails(&format!(
            "kstate.merge.three_way({{ a = 1 }}, {{ a = 2 }}, {{ a = 3 }}, {{ resolve = function() return {answer} end }})"
        ));
        assert_eq!(error.kind(), "invalid", "{answer}");
        assert!(
            error.message().contains("the resolver returned ")
                && error.message().ends_with(" for a"),
            "{error}"
        );
    }
}

#[test]
fn merged_texts_count_their_conflicts() {
    holds(
        r#"
        local merge = kstate.merge.three_way_text
        local text, conflicts = merge("a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n")
        assert(text == "A\nb\nC\n" and conflicts == 0)
        text, conflicts = merge("a\n", "b\n", "c\n", { ours = "yours", theirs = "the store's" })
        assert(text == "<<<<<<< yours\nb\n=======\nc\n>>>>>>> the store's\n" and conflicts == 1)
        "#,
    );
}

#[test]
fn what_is_endless_or_too_deep_is_refused() {
    for (script, said) in [
        ("local t = 1 for _ = 1, 100 do t = { t, t } end kstate.merge.diff(t, t)", "more than 64.0 MiB"),
        ("local t = {} t.a = t kstate.merge.patch(t, {})", "the table contains itself"),
        ("local t = 1 for _ = 1, 1000 do t = { t } end kstate.merge.deep({}, t)", "nested too deeply"),
        (
            "local ops = {} for i = 1, 64 do ops[i] = { op = 'copy', from = '', path = '/a' .. i } end
             kstate.merge.json_patch({ a = 'xxxx' }, ops)",
            "the copies of this patch add more than 64 MiB",
        ),
        ("kstate.merge.set(table.create(1), ('a.'):rep(5000) .. 'a', 1)", "at most 4096 bytes"),
        (
            "local list = {} for i = 1, 1000 do list[i] = i end
             kstate.merge.set(list, '[*]', ('x'):rep(1 << 20))",
            "too large to be written in 1000 places",
        ),
    ] {
        let error = fails(script);
        assert_eq!(error.kind(), "invalid", "{script}: {error}");
        assert!(error.message().contains(said), "{script}: {error}");
    }
}
