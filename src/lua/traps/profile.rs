//! What a script must not reach, change or do by accident.

use crate::lua::testing::{fails, passes};

#[test]
fn c2_16_bytecode_is_never_loaded() {
    passes(
        r#"
        local bytecode = "\27Lua\x55\0\x19\x93\r\n\x1a\n"
        for _, mode in ipairs({ "b", "bt" }) do
          local f, e = load(bytecode, "x", mode)
          assert(f == nil and e, mode)
        end
        local f, e = load(bytecode)
        assert(f == nil and e:find("binary chunk"), e)
        assert(string.dump == nil and ("x").dump == nil)
        "#,
    );
    let error = fails("\u{1b}Lua");
    assert_eq!(error.kind(), "invalid");
}

#[test]
fn c4_what_a_script_must_not_reach_is_not_there() {
    passes(
        r#"
        for _, name in ipairs({ "io", "debug", "package", "dofile", "loadfile", "loadstring" }) do
          assert(_G[name] == nil, name)
        end
        for _, name in ipairs({ "execute", "exit", "remove", "rename", "tmpname", "getenv",
            "setlocale" }) do
          assert(os[name] == nil, name)
        end
        assert(os.time() > 0 and os.date and os.clock and os.difftime)
        assert(not pcall(collectgarbage, "stop"))
        assert(collectgarbage("count") > 0)
        "#,
    );
}

#[test]
fn c4_modules_and_strings_cannot_be_changed() {
    passes(
        r#"
        assert(not pcall(function() string.upper = nil end))
        assert(not pcall(function() kstate.json.decode = nil end))
        assert(not pcall(function() kstate.json = nil end))
        assert(not pcall(rawset, kstate.json, "decode", 1))
        assert(not pcall(rawset, kstate, "json", 1))
        assert(not pcall(setmetatable, kstate.json, {}))
        assert(not pcall(setmetatable, kstate.json, nil))
        assert(not getmetatable("") and not getmetatable(kstate))
        assert(not pcall(table.insert, kstate.json, 1))
        local names = {}
        for name, f in pairs(kstate.json) do names[name] = type(f) end
        assert(names.decode == "function" and names.encode == "function")
        assert(("x"):upper() == "X")
        "#,
    );
}

#[test]
fn c4_loaded_chunks_have_the_scripts_globals_and_no_more() {
    passes(
        r#"
        assert(load("return io, debug, package")() == nil)
        assert(load("return x", "name", "t", { x = 5 })() == 5)
        assert(load("return kstate")() == kstate)
        local parts = { "return ", "9" }
        local n = 0
        assert(load(function() n = n + 1 return parts[n] end)() == 9)
        "#,
    );
}

#[test]
fn c5_an_accidental_global_does_not_compile() {
    let error = fails("local n = 1\nfor i = 1, 2 do\n  total = n + i\nend");
    assert_eq!(
        error.message(),
        "test.lua:3: attempt to assign to const variable 'total'"
    );
    let hint = error.hint_text().unwrap_or_default();
    assert!(
        hint.contains("globals are read-only in scripts; add `local`"),
        "{hint}"
    );

    assert!(
        fails("function main() end")
            .hint_text()
            .unwrap_or_default()
            .contains("add `local`")
    );
    let loop_variable = fails("for i = 1, 2 do i = 3 end");
    assert!(
        loop_variable
            .hint_text()
            .unwrap_or_default()
            .contains("copy 'i'")
    );
    passes("_G.shared = 1 assert(shared == 1)");
    passes("--- @kstate allow-globals\nshared = 1 assert(shared == 1)");
}

#[test]
fn c5_a_shebang_keeps_the_line_numbers() {
    let error = fails("#!/usr/bin/env kstate\nerror('here')");
    assert_eq!(error.message(), "test.lua:2: here");
}

#[test]
fn c4_a_name_that_does_not_exist_suggests_the_near_one() {
    for (text, said) in [
        (
            "kstate.stroe.open('memfs://x')",
            "kstate has no 'stroe' (did you mean 'store'?)",
        ),
        (
            "kstate.json.decod('1')",
            "json has no 'decod' (did you mean 'decode'?)",
        ),
        (
            "kstate.store.open('memfs://x'):raed('a')",
            "Store has no 'raed' (did you mean 'read'?)",
        ),
    ] {
        let error = fails(text);
        assert!(error.message().contains(said), "{text}: {error}");
    }
    passes("assert(string.nothing == nil)");
}
