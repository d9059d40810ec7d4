//! What is found, and what is not.

use super::super::testing::{Bench, with};
use super::Rule::{Declaration, Field, Global, Option, Syntax};
use super::*;

fn found(text: &str) -> Vec<Finding> {
    let source = Source::new("x.lua", text);
    let check = move || with(Bench::new().host(), async |runtime| runtime.check(&source));
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(check);
    thread.unwrap().join().unwrap()
}

/// Texts, where the first mistake in them is, and what is said of it. Those with an `s` have a line
/// before them that makes it a store.
const MISTAKES: &[(&str, usize, usize, Rule, &str)] = &[
    ("local x = )", 1, 11, Syntax, "unexpected symbol near ')'"),
    ("\nif true then", 2, 1, Syntax, "'end' expected"),
    (
        "for i = 1, 2 do i = 3 end",
        1,
        1,
        Syntax,
        "const variable 'i'",
    ),
    ("global x = 1", 1, 8, Syntax, "Lua 5.5"),
    (
        "local a\n  totl = 1",
        2,
        3,
        Global,
        "'totl' is a global, and is assigned",
    ),
    ("function main() end", 1, 10, Global, "'main' is a global"),
    (
        "local total = 1\nprint(totl)",
        2,
        7,
        Global,
        "'totl' (did you mean 'total'?)",
    ),
    (
        "do local x = 1 end print(x)",
        1,
        26,
        Global,
        "no local and no global 'x'",
    ),
    ("io.open('x')", 1, 1, Global, "'io'"),
    (
        "print(kstate.jsn)",
        1,
        14,
        Field,
        "kstate has no 'jsn' (did you mean 'json'?)",
    ),
    (
        "local j = require('kstate').json\nj.decod('1')",
        2,
        3,
        Field,
        "kstate.json has no 'decod'",
    ),
    ("os.execute('x')", 1, 4, Field, "os has no 'execute'"),
    ("kstate.json.decode = 1", 1, 13, Field, "is read-only"),
    (
        "kstate.store:open('memfs://x')",
        1,
        14,
        Field,
        "a dot for the colon",
    ),
    (
        "s:raed('k')",
        2,
        3,
        Field,
        "Store has no 'raed' (did you mean 'read'?)",
    ),
    (
        "print(s:stat('k').sise)",
        2,
        19,
        Field,
        "Meta has no 'sise' (did you mean 'size'?)",
    ),
    (
        "for e in s:walk() do print(e.kee) end",
        2,
        30,
        Field,
        "Entry has no 'kee'",
    ),
    (
        "for _, e in ipairs(s:list():collect()) do print(e.kee) end",
        2,
        51,
        Field,
        "Entry has no",
    ),
    (
        "local function f() return s:at('a'):urll() end",
        2,
        37,
        Field,
        "did you mean 'url'?",
    ),
    (
        "do local x = s.read('k' .. 1) end s:at('x')",
        2,
        20,
        Field,
        "'Store:read' is a method: write a colon for the dot",
    ),
    (
        "s:read('k', { limt = 1 })",
        2,
        15,
        Option,
        "'Store:read' has no option 'limt' (did you mean 'limit'?)",
    ),
    (
        "kstate.error{ kind = 'other' }",
        1,
        13,
        Option,
        "needs the option 'message'",
    ),
    (
        "s:lock('x', { tll = '1s' }, print)",
        2,
        15,
        Option,
        "did you mean 'ttl'?",
    ),
    (
        "kstate.task.map({}, print, { concurency = 2 })",
        1,
        30,
        Option,
        "'concurrency'",
    ),
    (
        "return { main = print, flag = {} }",
        1,
        24,
        Declaration,
        "did you mean 'flags'?",
    ),
    (
        "return { main = print, flags = { to = 'string' } }",
        1,
        34,
        Declaration,
        "is a list",
    ),
    (
        "return { main = print, flags = { 'to' } }",
        1,
        34,
        Declaration,
        "is a list",
    ),
    (
        "return { main = print, flags = { { name = 'to', typ = 'x' } } }",
        1,
        49,
        Declaration,
        "did you mean 'type'?",
    ),
    (
        "return { main = print, flags = { { name = 'to', type = 'strng' } } }",
        1,
        34,
        Declaration,
        "unknown type 'strng'",
    ),
    (
        "return { main = print, args = { { name = 'To' } } }",
        1,
        33,
        Declaration,
        "can't be the name of a flag",
    ),
    (
        "return { main = print, flags = { { name = 'n', type = 'integer', default = 'x' } } }",
        1,
        34,
        Declaration,
        "'x' is no whole number",
    ),
    (
        "return { main = print, permissions = { write = {} } }",
        1,
        24,
        Declaration,
        "has no 'write'",
    ),
    (
        "return { flags = { { name = 'to' } }, main = function(ctx) print(ctx.flags.too) end }",
        1,
        76,
        Field,
        "no flag 'too' (did you mean 'to'?)",
    ),
    (
        "local function main(c) print(c.arg) end return { main = main }",
        1,
        32,
        Field,
        "did you mean 'args'?",
    ),
    (
        "local function main(c) c.mine = 1 print(c.flgs) end return { main = main }",
        1,
        43,
        Field,
        "did you mean 'flags'?",
    ),
    (
        "return kstate.backend{\n  scheme = name, stat = print, read = print, list = print }",
        2,
        1,
        Declaration,
        "'scheme' must be written out",
    ),
    (
        "\nreturn kstate.backend{ scheme = 'x', stat = print, red = print, list = print }",
        2,
        52,
        Option,
        "did you mean 'read'?",
    ),
    (
        "\nreturn kstate.backend{ scheme = {}, stat = print, read = print, list = print }",
        2,
        8,
        Declaration,
        "needs a 'scheme'",
    ),
    (
        "print(kstate.store)\nreturn kstate.backend{ scheme = 'x', stat = print, read = print, list = print }",
        1,
        14,
        Field,
        "kstate has no 'store'",
    ),
];

#[test]
fn mistakes_are_found_where_they_are() {
    const STORE: &str = "local s = kstate.store.open('memfs://x')\n";
    for &(text, line, column, rule, words) in MISTAKES {
        let is_on_store = line == 2 && text.contains("s:");
        let text = if is_on_store {
            format!("{STORE}{text}")
        } else {
            text.to_owned()
        };
        let findings = found(&text);
        let first = findings
            .first()
            .unwrap_or_else(|| panic!("nothing found in {text}"));
        let place = (first.line, first.column, first.rule);
        assert_eq!(place, (line, column, rule), "{text}: {findings:?}");
        assert!(first.message.contains(words), "{text}: {findings:?}");
    }
}

#[test]
fn what_can_not_be_known_is_passed_over() {
    for text in [
        "#!/usr/bin/env kstate\nprint(arg[1], _G.x, _VERSION, utf8.char(65))",
        "--- @kstate allow-globals\nx = 1 print(x)",
        "_G.made = 1 print(made)",
        // Another value may have other fields.
        "local s = kstate.store.open('memfs://x') s = { raed = print } s:raed()",
        "local s = kstate.store.open('memfs://x') local function f() s.raed() end s = nil f()",
        "local s = kstate.store.open('memfs://x') do local s = { raed = print } s:raed() end",
        "local function f(kstate) return kstate.anything end",
        "local _, err = kstate.store.open('memfs://x'):read('k') print(err.own)",
        "local options = { anything = 1 } kstate.error(options)",
        "kstate.error{ ['mess' .. 'age'] = 'x' }",
        "local kinds = {} return { main = print, flags = { { name = 'to', choices = kinds }, table.unpack(kinds) } }",
        "local list = {} return { flags = list, main = function(ctx) print(ctx.flags.any) end }",
        // What a script keeps in objects, also under another name.
        "local m = kstate.store.open('memfs://x'):stat('k') m.extra = 1 print(m.extra)",
        "for e in kstate.store.open('memfs://x'):walk() do e['own'] = 1 print(e.own) end",
        "local s = kstate.store.open('memfs://x') function s.mine() end s:mine()",
        "local function f(m) m.own = 1 end local m = kstate.store.open('memfs://x'):stat('k') f(m) print(m.own)",
        "return { main = function(ctx) ctx.flags.extra = 1 print(ctx.flags.extra) end }",
        "return { main = function(ctx) for k, v in pairs(ctx.args) do ctx.flags[k] = v end print(ctx.flags.x) end }",
        "return { main = function(ctx) ctx.flags = { own = 1 } print(ctx.flags.own) end }",
        // Methods without their object, which may come with what isn't written out.
        "local s = kstate.store.open('memfs://x') print(pcall(s.read, s, 'k'), s.read(s, 'k'), s.at(s or s))",
        "local s = kstate.store.open('memfs://x') local function f(...) return s.read(...) end f(s)",
        // Another function of the same name.
        "do local function main(q) return q.foo end main({}) end local function main(c) print(c.flags) end return { main = main }",
        "local function main(c) local function main(q) return q.foo end main(c) end return { main = main }",
        "local function main(q) return q.foo end local main = print return { main = main }",
        "repeat local done = true until done",
        "goto over ::over:: local t <close> = nil",
        "local M = {} function M.f() return M end function M:g() return self end return M",
    ] {
        let findings = found(text);
        assert_eq!(findings, [], "{text}");
    }
}

#[test]
fn what_the_parser_can_not_read_is_no_mistake() {
    for text in [";;; print(1)", "print('a\\z\r\n  b')"] {
        let findings = found(text);
        let [finding] = &findings[..] else {
            panic!("{text}: {findings:?}")
        };
        assert!(!finding.is_mistake(), "{finding:?}");
        assert!(!finding.message.contains("5.5"), "{finding:?}");
    }
}

#[test]
fn no_text_is_too_deep() {
    let sum = format!("local x = 1{}", " + 1".repeat(100_000));
    assert_eq!(found(&sum), []);
    let table = format!("local x = {}{}", "{".repeat(190), "}".repeat(190));
    assert_eq!(found(&table), []);
    let deeper = format!("local x = {}{}", "{".repeat(100_000), "}".repeat(100_000));
    assert_eq!(found(&deeper)[0].rule, Rule::Syntax);
}
