//! Every trap of mlua that the runtime must not fall into, by name. Numbers are those of the
//! list in `docs/architecture.md`.

use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use super::testing::{Bench, fails, passes, with};
use super::{Source, Stop};

#[test]
fn c2_01_waiting_works_in_every_place_that_lua_allows() {
    passes(
        r#"
        local sleep = function(...) kstate.task.sleep("1ms") return ... end
        local ok, value = pcall(sleep, 1)
        assert(ok and value == 1)
        assert(select(2, xpcall(sleep, print, 2)) == 2)
        local magic = setmetatable({}, {
          __index = function(_, k) return sleep(k) end,
          __add = function() return sleep(3) end,
          __close = function() sleep() end,
        })
        assert(magic.x == "x" and magic + 1 == 3)
        do local closed <close> = magic end
        local seen = 0
        for i in function(_, i) i = sleep((i or 0) + 1) if i < 4 then return i end end do
          seen = seen + i
        end
        assert(seen == 6)
        assert(load("return kstate.task.sleep('1ms') or 7")() == 7)
        "#,
    );
}

#[test]
fn c2_02_waiting_within_c_functions_fails_with_a_hint() {
    for body in [
        r#"("x"):gsub("x", function() kstate.task.sleep("1ms") end)"#,
        r#"table.sort({ 2, 1, 3 }, function(a, b) kstate.task.sleep("1ms") return a < b end)"#,
        r#"tostring(setmetatable({}, { __tostring = function() kstate.task.sleep("1ms") end }))"#,
    ] {
        let error = fails(body);
        assert!(error.message().contains("C-call boundary"), "{error}");
        let hint = error.hint_text().unwrap_or_default();
        assert!(hint.contains("collect first, then loop"), "{hint}");
    }
}

#[test]
fn c2_02_rust_functions_that_take_a_function_may_wait_in_it() {
    passes(
        r#"
        local list = kstate.task.map({ 3, 1, 2 }, function(n)
          kstate.task.sleep(n / 1000)
          return n * 10
        end)
        assert(list[1] == 30 and list[2] == 10 and list[3] == 20)
        assert(kstate.try(function() kstate.task.sleep("1ms") return 5 end) == 5)
        "#,
    );
}

#[test]
fn c2_03_waiting_works_in_coroutines_of_the_script() {
    passes(
        r#"
        local function numbers(n)
          return coroutine.wrap(function()
            for i = 1, n do
              kstate.task.sleep("1ms")
              coroutine.yield(i, nil, "third")
            end
          end)
        end
        local sum = 0
        for i, none, third in numbers(3) do
          assert(none == nil and third == "third")
          sum = sum + i
        end
        assert(sum == 6)

        -- nested, with values in both directions
        local outer = coroutine.create(function(a)
          local inner = coroutine.wrap(function(x)
            kstate.task.sleep("1ms")
            local y = coroutine.yield(x + 1)
            kstate.task.sleep("1ms")
            return y * 2
          end)
          local b = inner(a)
          local c = coroutine.yield(b)
          return inner(c)
        end)
        assert(select(2, coroutine.resume(outer, 1)) == 2)
        assert(select(2, coroutine.resume(outer, 21)) == 42)
        assert(coroutine.status(outer) == "dead")
        assert(select('#', coroutine.resume(coroutine.create(function() end))) == 1)
        "#,
    );
}

#[test]
fn c2_03_a_long_computation_in_a_coroutine_yields_no_value_to_the_script() {
    passes(
        r"
        local steps = 0
        local walk = coroutine.wrap(function()
          for i = 1, 3 do
            for _ = 1, 300000 do end
            coroutine.yield(i)
          end
          return 'end'
        end)
        assert(walk() == 1 and walk() == 2 and walk() == 3 and walk() == 'end')
        ",
    );
}

#[test]
fn c2_03_errors_in_coroutines_keep_their_value() {
    passes(
        r#"
        local co = coroutine.create(function() kstate.task.sleep("1ms") error({ code = 7 }) end)
        local ok, e = coroutine.resume(co)
        assert(not ok and e.code == 7)
        local f = coroutine.wrap(function() kstate.json.decode("{") end)
        local ok, e = pcall(f)
        assert(not ok and e.kind == "invalid")
        local ok, e = pcall(coroutine.yield)
        assert(not ok and e:find("outside a coroutine"))
        local _, main = coroutine.running()
        assert(main and not coroutine.isyieldable())
        "#,
    );
}

#[test]
fn c2_03_a_waiting_coroutine_cannot_be_resumed_by_another_task() {
    passes(
        r#"
        local co = coroutine.create(function() kstate.task.sleep("20ms") return "done" end)
        local results = kstate.task.join({
          function() return select(2, coroutine.resume(co)) end,
          function() return select(2, coroutine.resume(co)) end,
        })
        assert(results[1] == "done")
        assert(results[2] == "cannot resume non-suspended coroutine", results[2])
        "#,
    );
}

#[test]
fn c2_04_dropping_the_run_closes_what_is_open_and_no_pcall_catches_it() {
    let bench = Bench::new();
    let source = Source::new(
        "test.lua",
        r#"
        local guard <close> = setmetatable({}, { __close = function() print("closed") end })
        while true do
          pcall(kstate.task.sleep, "1h")
          print("survived")
        end
        "#,
    );
    with(bench.host(), async |runtime| {
        let run = runtime.run_script(&source, &[]);
        let ended = tokio::time::timeout(Duration::from_millis(20), run).await;
        assert!(ended.is_err());
    });
    assert_eq!(bench.printed.text(), "closed\n");
}

#[test]
fn c2_04_cancelling_a_task_ends_the_wait_inside_its_coroutine() {
    let bench = Bench::new();
    bench
        .run(
            r#"
            local gate = kstate.task.semaphore(1)
            local ok, e = pcall(kstate.task.timeout, "5ms", function()
              coroutine.wrap(function()
                local permit <close> = gate:acquire()
                kstate.task.sleep("1h")
              end)()
            end)
            assert(not ok and e:is("timeout"), tostring(e))
            kstate.task.timeout("1s", function() gate:acquire() end)
            "#,
        )
        .unwrap();
}

/// Runs an endless script and stops it; how long that took.
fn stop(text: &str) -> (Option<Stop>, Duration) {
    let bench = Bench::new();
    let source = Source::new("test.lua", text);
    let (send, receive) = mpsc::channel();
    let mut host = bench.host();
    host.grace = Duration::from_mins(1);
    with(host, async |runtime| {
        let stopper = runtime.stopper();
        let (printed, started) = (bench.printed.clone(), Instant::now());
        std::thread::spawn(move || {
            // The script says when it is in its loop.
            while !printed.text().contains("go") && started.elapsed() < Duration::from_secs(30) {
                std::thread::yield_now();
            }
            stopper.stop(Stop::Cancelled);
            send.send(Instant::now()).unwrap();
        });
        let error = runtime.run_script(&source, &[]).await.unwrap_err();
        assert_eq!(error.exit_code(), 130);
        (error.stop(), receive.recv().unwrap().elapsed())
    })
}

#[test]
fn c2_05_busy_loop_can_be_cancelled() {
    let (reason, took) = stop("print('go') while true do end");
    assert_eq!(reason, Some(Stop::Cancelled));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn c2_05_busy_loop_in_a_coroutine_can_be_cancelled() {
    let (reason, took) = stop("coroutine.wrap(function() print('go') while true do end end)()");
    assert_eq!(reason, Some(Stop::Cancelled));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn c2_06_a_busy_loop_leaves_other_tasks_their_turn() {
    passes(
        r#"
        local done = false
        kstate.task.join({
          function() while not done do end end,
          function() kstate.task.sleep("5ms") done = true end,
        })
        local ok, e = pcall(kstate.task.timeout, "20ms", function() while true do end end)
        assert(not ok and e:is("timeout"))
        "#,
    );
}

#[test]
fn c2_06_a_busy_loop_where_nothing_can_wait_is_cancelled_too() {
    let (reason, took) = stop(
        r"
        print('go')
        table.sort({ 1, 2, 3, 4 }, function() while true do end end)
        ",
    );
    assert_eq!(reason, Some(Stop::Cancelled));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn c2_07_no_pcall_swallows_a_cancellation() {
    for text in [
        "print('go') while true do pcall(function() while true do end end) end",
        "print('go') while true do xpcall(function() while true do end end, function() end) end",
        "print('go') while true do
           pcall(table.sort, { 2, 1 }, function() while true do end end)
         end",
        "print('go') while true do kstate.try(function() while true do end end) end",
    ] {
        let (reason, took) = stop(text);
        assert_eq!(reason, Some(Stop::Cancelled), "{text}");
        assert!(took < Duration::from_secs(5), "{text} {took:?}");
    }
}

#[test]
fn c2_08_the_watchdog_sees_c_code_that_no_hook_sees() {
    let bench = Bench::new();
    let stuck = Arc::new(Mutex::new(Vec::new()));
    let mut host = bench.host();
    host.timeout = Some(Duration::from_millis(10));
    host.grace = Duration::from_millis(10);
    let seen = Arc::clone(&stuck);
    host.on_stuck = Arc::new(move |reason| seen.lock().unwrap().push(reason));
    // Exponential backtracking within one call of a C function: a second or so.
    let source = Source::new(
        "test.lua",
        "local n = 23 print(('a'):rep(n):find(('a?'):rep(n) .. ('a'):rep(n))) while true do end",
    );
    let error = with(host, async |runtime| {
        runtime.run_script(&source, &[]).await.unwrap_err()
    });
    assert_eq!(error.stop(), Some(Stop::TimedOut));
    assert_eq!(error.exit_code(), 124);
    assert_eq!(*stuck.lock().unwrap(), [Stop::TimedOut]);
}

#[test]
fn c2_09_the_memory_limit_is_an_error_and_the_vm_lives_on() {
    let bench = Bench::new();
    let mut host = bench.host();
    host.memory_limit = 16 << 20;
    let source = Source::new(
        "test.lua",
        r#"
        local ok, e = pcall(string.rep, "x", 1 << 30)
        assert(not ok and tostring(e):find("not enough memory"), tostring(e))
        local t = {}
        for i = 1, 1000 do t[i] = ("x"):rep(1 << 20) end
        "#,
    );
    let error = with(host, async |runtime| {
        runtime.run_script(&source, &[]).await.unwrap_err()
    });
    assert!(error.message().contains("not enough memory"), "{error}");
    assert!(error.hint_text().is_some());
}

#[test]
fn c2_10_an_object_can_be_used_by_many_tasks_at_once() {
    passes(
        r#"
        local gate = kstate.task.semaphore(2)
        kstate.task.map({ 1, 2, 3, 4, 5 }, function()
          local permit <close> = gate:acquire()
          kstate.task.sleep("1ms")
        end)
        "#,
    );
}

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
fn c2_14_pure_functions_work_where_nothing_can_wait() {
    passes(
        r#"
        local seen = ("[1]"):gsub("%[.*", function(text) return kstate.json.decode(text)[1] end)
        assert(seen == "1")
        "#,
    );
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
fn d5_exit_passes_every_handler_and_closes_what_is_open() {
    let bench = Bench::new();
    let exit = bench.run(
        r#"
        local guard <close> = setmetatable({}, { __close = function()
          kstate.task.sleep("1ms")
          print("closed")
        end })
        local leave = function() kstate.exit(7) end
        pcall(xpcall, function()
          kstate.try(function()
            coroutine.wrap(function() kstate.task.map({ 1 }, leave, { on_error = "collect" }) end)()
          end)
        end, function() print("handled") end)
        print("survived")
        "#,
    );
    assert_eq!(exit.unwrap().0, 7);
    assert_eq!(bench.printed.text(), "closed\n");
}
