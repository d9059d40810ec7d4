//! Functions that wait, in all the places where Lua calls functions.

use crate::lua::testing::{Bench, fails, passes};

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
fn c2_14_pure_functions_work_where_nothing_can_wait() {
    passes(
        r#"
        local seen = ("[1]"):gsub("%[.*", function(text) return kstate.json.decode(text)[1] end)
        assert(seen == "1")
        "#,
    );
}
