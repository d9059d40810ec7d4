//! The language itself: code, libraries, metatables, coroutines.

use super::{Denied, Futile, denied, futile};

const LOADING: &[Denied] = &[
    ("compiled script", "\u{1b}Lua", "unexpected symbol"),
    (
        "load with mode b",
        r#"assert(load("\27Lua", "x", "b"))"#,
        "only text chunks",
    ),
    (
        "load with mode bt",
        r#"assert(load("\27Lua", "x", "bt"))"#,
        "binary chunk",
    ),
    (
        "load in pieces",
        r#"local p = { "\27", "Lua" } assert(load(function() return table.remove(p, 1) end))"#,
        "binary chunk",
    ),
    (
        "a dumped function",
        "string.dump(print)",
        "attempt to call a nil value (field 'dump')",
    ),
    (
        "a dumped function by method",
        "local x = ('').dump(print)",
        "nil value (field 'dump')",
    ),
    ("loadfile", "loadfile('/etc/passwd')", "global 'loadfile'"),
    ("dofile", "dofile('/etc/passwd')", "global 'dofile'"),
    (
        "loadstring",
        "loadstring('return 1')",
        "global 'loadstring'",
    ),
    (
        "assignment through load",
        "assert(load('read = nil', 'x', 't', kstate.store))()",
        "read-only",
    ),
];

const LOADED: &[Futile] = &[
    (
        "globals of a loaded text",
        "assert(load('return io or debug or package or os.execute or dofile')() == nil)",
    ),
    (
        "no globals at all",
        "assert(not pcall(load('return print()', 'x', 't', nil)))",
    ),
    (
        "a name that looks like ours",
        "assert(load('return io', '=kstate:prelude')() == nil)",
    ),
    (
        "an environment of one's own",
        "local _ENV = { assert = assert } assert(kstate == nil and io == nil)",
    ),
];

#[test]
fn bytecode_and_loading() {
    denied(LOADING);
    futile(LOADED);
}

const MISSING: &[Denied] = &[
    ("io", "io.open('/etc/passwd')", "global 'io'"),
    ("debug", "debug.getregistry()", "global 'debug'"),
    (
        "package",
        "package.loadlib('libc.so.6', 'system')",
        "global 'package'",
    ),
    (
        "package.path",
        "package.path = '/tmp/?.lua'",
        "global 'package'",
    ),
    ("os.execute", "os.execute('id')", "field 'execute'"),
    ("os.exit", "os.exit(0)", "field 'exit'"),
    ("os.remove", "os.remove('/tmp/x')", "field 'remove'"),
    (
        "os.rename",
        "os.rename('/tmp/x', '/tmp/y')",
        "field 'rename'",
    ),
    ("os.tmpname", "os.tmpname()", "field 'tmpname'"),
    ("os.setlocale", "os.setlocale('C')", "field 'setlocale'"),
    ("os.getenv", "os.getenv('HOME')", "field 'getenv'"),
    ("required io", "require('io')", "no module 'io'"),
    ("required debug", "require('debug')", "no module 'debug'"),
    (
        "stopped collection",
        "collectgarbage('stop')",
        "not available in scripts",
    ),
    (
        "changed collection",
        "collectgarbage('generational')",
        "not available in scripts",
    ),
    (
        "collection parameters",
        "collectgarbage('param', 'pause', 1000000)",
        "not available in scripts",
    ),
];

#[test]
fn what_is_not_there() {
    denied(MISSING);
}

const METATABLES: &[Denied] = &[
    (
        "string metatable",
        "getmetatable('').__index = function() end",
        "index a boolean value",
    ),
    (
        "string metatable set",
        "setmetatable('', {})",
        "table expected",
    ),
    ("string function", "string.upper = nil", "read-only"),
    ("module function", "kstate.json.decode = print", "read-only"),
    ("module", "kstate.json = {}", "read-only"),
    (
        "rawset on a module",
        "rawset(kstate.json, 'decode', print)",
        "read-only",
    ),
    (
        "rawset on a library",
        "rawset(string, 'upper', print)",
        "read-only",
    ),
    (
        "setmetatable on a module",
        "setmetatable(kstate, {})",
        "protected metatable",
    ),
    (
        "setmetatable on globals behind",
        "getmetatable(_ENV).__index = {}",
        "index a boolean value",
    ),
    (
        "table.insert into a module",
        "table.insert(kstate.json, 1)",
        "read-only",
    ),
    (
        "table.move into a module",
        "table.move({ 1 }, 1, 1, 1, kstate.json)",
        "read-only",
    ),
    (
        "store field",
        "kstate.store.open('memfs://x').read = print",
        "attempt to index",
    ),
    (
        "store metatable",
        "getmetatable(kstate.store.open('memfs://x')).__index = {}",
        "index a boolean value",
    ),
    (
        "error metatable",
        "local _, e = pcall(kstate.json.decode, '{') getmetatable(e).__index = {}",
        "index a boolean value",
    ),
    (
        "setmetatable on a store",
        "setmetatable(kstate.store.open('memfs://x'), {})",
        "table expected",
    ),
    (
        "rawset on a store",
        "rawset(kstate.store.open('memfs://x'), 'read', 1)",
        "table expected",
    ),
    (
        "method of another class",
        "kstate.store.open('memfs://x').read(kstate.null, 'a')",
        "is a method",
    ),
    (
        "method on a table",
        "kstate.store.open('memfs://x').read({ url = 1 }, 'a')",
        "is a method",
    ),
    (
        "finalizer",
        "setmetatable({}, { __gc = function() while true do end end })",
        "'__gc' is not available",
    ),
    (
        "metatable of null",
        "setmetatable(kstate.null, {})",
        "table expected",
    ),
];

const MODULES: &[Futile] = &[
    (
        "the table behind a module by pairs",
        "local _, t = pairs(kstate.json) assert(not pcall(function() t.decode = print end))
             assert(not pcall(rawset, t, 'decode', print)) assert(kstate.json.decode('1') == 1)",
    ),
    (
        "the table behind a library by pairs",
        "local _, t = pairs(string) assert(not pcall(function() t.upper = print end))
             assert(('x'):upper() == 'X')",
    ),
    (
        "the table behind a module by next",
        "assert(next(kstate) == nil and rawget(kstate, 'json') == nil and rawlen(kstate) == 0)",
    ),
    (
        "a store's methods changed for all",
        "local a = kstate.store.open('memfs://x') assert(not pcall(function() a.write = nil end))
             assert(kstate.store.open('memfs://y').write)",
    ),
    (
        "a thing that pretends to be a store",
        "local fake = setmetatable({}, { __name = 'Store', __index = function() return print end })
             assert(not pcall(kstate.config.clusters, fake))",
    ),
];

#[test]
fn metatables_and_modules() {
    denied(METATABLES);
    futile(MODULES);
}

const COROUTINES: &[Denied] = &[
    (
        "closing the runtime's thread",
        "coroutine.close(coroutine.running())",
        "no coroutine of the script",
    ),
    (
        "closing without a name",
        "coroutine.close()",
        "no coroutine of the script",
    ),
    (
        "resuming the runtime's thread",
        "assert(coroutine.wrap(function(t) return coroutine.resume(t) end)(coroutine.running()))",
        "no coroutine of the script",
    ),
    (
        "yielding out of the script",
        "coroutine.yield(1)",
        "outside a coroutine",
    ),
    (
        "closing itself",
        "coroutine.wrap(function() coroutine.close(coroutine.running()) end)()",
        "cannot close a running coroutine",
    ),
    (
        "resuming itself",
        "assert(coroutine.wrap(function() return coroutine.resume(coroutine.running()) end)())",
        "cannot resume non-suspended",
    ),
    (
        "resuming a table",
        "coroutine.resume({})",
        "no coroutine of the script",
    ),
];

const THREADS: &[Futile] = &[
        (
            "what the runtime waits with is not seen",
            "local seen = {}
             local co = coroutine.wrap(function() kstate.task.sleep('1ms') coroutine.yield('mine') return 'done' end)
             for _ = 1, 2 do for _, v in ipairs({ co() }) do seen[#seen + 1] = v end end
             assert(table.concat(seen, ' ') == 'mine done')",
        ),
        (
            "a task's thread is not the script's",
            "kstate.task.map({ 1 }, function() assert(not pcall(coroutine.close, coroutine.running())) end)",
        ),
];

#[test]
fn coroutines() {
    denied(COROUTINES);
    futile(THREADS);
}
