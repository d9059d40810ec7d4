//! What is too deep, too large or too long.

use super::{Denied, Futile, denied, futile};

const ENDLESS: &[Denied] = &[
    (
        "recursion",
        "local function f() return 1 + f() end f()",
        "stack overflow",
    ),
    (
        "recursion through pcall",
        "local function f() assert(pcall(f)) end f()",
        "stack overflow",
    ),
    (
        "recursion through a metamethod",
        "local t = setmetatable({}, {}) getmetatable(t).__index = function(_, k) return t[k .. 'x'] end local _ = t.a",
        "overflow",
    ),
    (
        "recursion through kstate.try",
        "local function f() local r, e = kstate.try(f) if e then error(e, 0) end end f()",
        "stack overflow",
    ),
    (
        "recursion through tasks",
        "local function f() kstate.task.join({ f }) end f()",
        "stack overflow",
    ),
    (
        "recursion through a timeout",
        "local function f() kstate.task.timeout('1h', f) end f()",
        "stack overflow",
    ),
    (
        "recursion through coroutines",
        "local function f() coroutine.wrap(f)() end f()",
        "stack overflow",
    ),
    (
        "recursion through __close",
        "local function f() local x <close> = setmetatable({}, { __close = function() f() end }) end f()",
        "stack overflow",
    ),
    (
        "recursion through __tostring",
        "local t = setmetatable({}, {}) getmetatable(t).__tostring = function() print(t) return '' end print(t)",
        "stack overflow",
    ),
    (
        "a deep manifest",
        "kstate.config.parse(('{a: '):rep(2000))",
        "deeper than 64 levels",
    ),
    (
        "endless __index",
        "local t = {} setmetatable(t, { __index = t }) local _ = t.x",
        "loop",
    ),
    (
        "a huge string",
        "local _ = ('x'):rep(1 << 40)",
        "not enough memory",
    ),
    (
        "a string too large for its length",
        "local _ = ('x'):rep(math.maxinteger)",
        "too large",
    ),
    (
        "a huge table",
        "local _ = table.create(1 << 30)",
        "not enough memory",
    ),
    (
        "a huge concatenation",
        "local t = {} for i = 1, 64 do t[i] = ('x'):rep(1 << 25) end table.concat(t)",
        "not enough memory",
    ),
    (
        "a huge list of values",
        "table.unpack({}, 1, 1e8)",
        "too many results",
    ),
    (
        "a wide format",
        "string.format('%99999d', 1)",
        "invalid conversion",
    ),
    (
        "deep JSON",
        "kstate.json.decode(('['):rep(100000))",
        "recursion limit",
    ),
    ("deep YAML", "kstate.yaml.decode(('['):rep(20000))", ""),
    (
        "deep YAML by indentation",
        "local t = {} for i = 1, 3000 do t[i] = (' '):rep(i) .. 'a:' end kstate.yaml.decode(table.concat(t, '\\n'))",
        "",
    ),
    (
        "YAML bomb",
        "local t = { 'a0: &a0 [x, x, x, x, x, x, x, x, x, x]' } for i = 1, 12 do local r = {} for j = 1, 10 do r[j] = '*a' .. (i - 1) end t[#t + 1] = ('a%d: &a%d [%s]'):format(i, i, table.concat(r, ', ')) end kstate.yaml.decode(table.concat(t, '\\n'))",
        "repetition limit",
    ),
    (
        "a cycle in JSON",
        "local t = {} t.t = t kstate.json.encode(t)",
        "itself",
    ),
    (
        "a cycle in YAML",
        "local t = {} t.t = t kstate.yaml.encode(t)",
        "itself",
    ),
    (
        "deep data out",
        "local t = {} for _ = 1, 100000 do t = { t } end kstate.json.encode(t)",
        "deep",
    ),
];

const BOUNDED: &[Futile] = &[
    (
        "printing what is deep",
        "local t = {} for _ = 1, 100000 do t = { t } end assert(#kstate.inspect(t, { depth = 3 }) < 100)",
    ),
    (
        "printing a cycle",
        "local t = {} t.t = t assert(kstate.inspect(t))",
    ),
    (
        "an error beneath itself",
        "local e = kstate.error{ message = 'a' } for _ = 1, 1000 do e = kstate.error{ message = 'b', cause = e } end assert(tostring(e) == 'b')",
    ),
];

#[test]
fn too_deep_too_large_too_long() {
    let thread = std::thread::Builder::new().stack_size(crate::lua::STACK);
    let run = thread.spawn(|| {
        denied(ENDLESS);
        futile(BOUNDED);
    });
    run.unwrap().join().unwrap();
}
