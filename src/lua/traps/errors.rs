//! Errors and data keep all that they have on their way through Rust.

use crate::lua::testing::{fails, passes};

#[test]
fn c2_11_errors_of_rust_functions_have_fields_and_one_line() {
    passes(
        r#"
        local ok, e = pcall(kstate.json.decode, "{")
        assert(not ok and e.kind == "invalid" and e:is("invalid") and not e:is("other"))
        assert(e.message == tostring(e) and not tostring(e):find("\n"))
        assert(e.nonsense == nil and e.retryable == false)
        assert("so: " .. e == "so: " .. tostring(e))
        local ok, again = pcall(error, e)
        assert(not ok and again == e)
        "#,
    );
}

#[test]
fn c2_11_errors_of_scripts_keep_their_fields_across_rust() {
    passes(
        r#"
        local mine = { code = 42 }
        local _, e = kstate.try(error, mine)
        assert(e == mine)
        local ok, e = pcall(kstate.task.timeout, "1s", error, mine)
        assert(e == mine)
        local ok, e = pcall(kstate.task.map, { "a", "b" }, function(x)
          if x == "b" then error(mine) end
        end)
        assert(e.code == 42 and e.index == 2 and e.kind == "other")
        local ok, e = pcall(kstate.task.timeout, "1s", error, "just text")
        assert(e == "just text")
        "#,
    );
}

#[test]
fn c2_11_errors_have_their_fields_in_close_handlers() {
    passes(
        r#"
        local seen
        local mt = { __close = function(_, e) seen = e and e.kind end }
        for _ = 1, 2 do
          seen = nil
          pcall(function()
            local guard <close> = setmetatable({}, mt)
            kstate.json.decode("{")
          end)
          assert(seen == "invalid", seen)
        end
        do local guard <close> = setmetatable({}, mt) end
        assert(seen == nil)
        "#,
    );
}

#[test]
fn c2_11_errors_that_leave_a_script_are_whole() {
    let error = fails(
        r#"
        local function deep()
          error(kstate.error{ kind = "not_found", message = "gone", hint = "look", cause = "why" })
        end
        deep()
        "#,
    );
    assert_eq!((error.kind(), error.message()), ("not_found", "gone"));
    assert_eq!(error.hint_text(), Some("look"));
    assert_eq!(
        error.cause().map(ToString::to_string).as_deref(),
        Some("why")
    );
    let trace = error.traceback().unwrap();
    assert!(trace.starts_with("test.lua:3: in "), "{trace}");

    let table = fails(r#"error({ kind = "mine", message = "said", key = "k" })"#);
    assert_eq!(
        (table.kind(), table.message(), table.key()),
        ("mine", "said", Some("k"))
    );
    assert!(table.traceback().is_some());
    assert_eq!(fails("error({ 1 })").message(), "{ 1 }");
}

#[test]
fn c2_12_tracebacks_show_the_script_only() {
    let error = fails(
        r#"
        local function inner() kstate.task.sleep("1ms") kstate.json.decode("{") end
        kstate.task.map({ 1 }, function() inner() end)
        "#,
    );
    let trace = error.traceback().unwrap();
    for noise in ["__mlua", "[C]", "tail calls", "prelude", "stack traceback"] {
        assert!(!trace.contains(noise), "{trace}");
    }
    assert!(
        trace.lines().next().unwrap().starts_with("test.lua:2: in "),
        "{trace}"
    );
}

#[test]
fn c2_13_argument_errors_name_the_function_and_the_argument() {
    for (text, said) in [
        (
            "kstate.json.decode()",
            "bad argument #1 'text' to 'json.decode': string expected, got no value",
        ),
        ("kstate.json.decode(12)", "string expected, got integer"),
        (
            "kstate.exit('1')",
            "bad argument #1 'code' to 'kstate.exit': integer expected, got string",
        ),
        ("kstate.exit(1.5)", "integer expected, got the number 1.5"),
        (
            "kstate.json.encode({}, { prety = true })",
            "'json.encode' has no option 'prety' (did you mean 'pretty'?)",
        ),
        (
            "kstate.json.encode({}, { pretty = 1 })",
            "bad option 'pretty' to 'json.encode': boolean expected, got integer",
        ),
        (
            "kstate.json.decode('{}', 1)",
            "'json.decode' takes at most 1 argument",
        ),
        (
            "kstate.task.sleep('soon')",
            "bad argument #1 'time' to 'task.sleep': 'soon' is no duration",
        ),
        (
            "kstate.task.semaphore(1).acquire()",
            "'Semaphore:acquire' is a method",
        ),
        (
            "local s = kstate.task.semaphore(1) s.acquire(s:acquire())",
            "'Semaphore:acquire' is a method",
        ),
        (
            "kstate.store.open('memfs://a'):copy('k', 'memfs://b')",
            "bad argument #2 'target' to 'Store:copy': kstate.Store expected, got string",
        ),
        (
            "local s = kstate.store.open('memfs://a') s:copy('k', kstate.task.semaphore(1))",
            "kstate.Store expected, got kstate.Semaphore",
        ),
        (
            "kstate.error{ kind = 'not_fond', message = 'x' }",
            "(did you mean 'not_found'?)",
        ),
        (
            "kstate.error{}",
            "'kstate.error' needs the option 'message'",
        ),
    ] {
        let error = fails(text);
        assert!(error.message().contains(said), "{text}: {error}");
    }
}

#[test]
fn c2_15_null_and_empty_tables_survive() {
    passes(
        r#"
        local json = kstate.json
        for _, text in ipairs({
          '{"z":1,"a":{"y":null,"x":[]},"list":[[],{},null,1.5,9223372036854775807]}',
          '[]', '{}', 'null', '"\\u0000"',
        }) do
          assert(json.encode(json.decode(text)) == text, json.encode(json.decode(text)))
        end
        local doc = json.decode('{"b":1,"a":2}')
        doc.new, doc.b = 3, nil
        assert(json.encode(doc) == '{"a":2,"new":3}')
        local ok, e = pcall(json.encode, { a = { 1, nil, 3 } })
        assert(not ok and e.message:find("'a%[2%]': the list has a hole"), e.message)
        local ok, e = pcall(json.encode, { f = { print } })
        assert(not ok and e.message:find("'f%[1%]': a function is no data"), e.message)
        local t = {} t.t = t
        assert(not pcall(json.encode, t))
        "#,
    );
}
